// Certificates for servers of tests, made by the openssl command.
#pragma once

#include "tests/support/folder.hpp"

#include <string>

namespace actionflows::test {

// An authority of its own and one certificate by it. Paths of PEM files.
struct Certificates {
  std::string ca;
  std::string certificate;
  std::string key;
};

// `names`: whom the certificate is for, as openssl has it: "IP:127.0.0.1,DNS:localhost". Throws
// std::runtime_error when openssl fails.
Certificates make_certificates(const Folder& folder, const std::string& names);

}  // namespace actionflows::test

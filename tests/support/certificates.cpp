#include "tests/support/certificates.hpp"

#include "tests/support/child.hpp"

#include <vector>

namespace actionflows::test {

Certificates make_certificates(const Folder& folder, const std::string& names) {
  const Certificates made{.ca = folder.path("ca.crt"),
                          .certificate = folder.path("tls.crt"),
                          .key = folder.path("tls.key")};
  const std::string ca_key = folder.path("ca.key");
  const std::string request = folder.path("tls.csr");
  const std::string extensions = folder.file("tls.ext", "subjectAltName=" + names + "\n");
  const std::string output = folder.path("openssl.out");
  const auto openssl = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "openssl");
    run_to_end(words, output);
  };
  const std::string curve = "ec_paramgen_curve:prime256v1";
  openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", curve, "-nodes", "-days", "2", "-subj",
           "/CN=an authority of tests", "-keyout", ca_key, "-out", made.ca});
  openssl({"req", "-new", "-newkey", "ec", "-pkeyopt", curve, "-nodes", "-subj",
           "/CN=a server of tests", "-keyout", made.key, "-out", request});
  openssl({"x509", "-req", "-in", request, "-CA", made.ca, "-CAkey", ca_key, "-CAcreateserial",
           "-days", "2", "-extfile", extensions, "-out", made.certificate});
  return made;
}

}  // namespace actionflows::test

// Uses std::string without <string>: what the check of headers on their own has to refuse.
#pragma once

namespace planted {

struct Name {
  std::string text;
};

}  // namespace planted

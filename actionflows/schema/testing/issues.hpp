// Issues as lines of text, for tests.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/base/issue.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace actionflows::schema::testing {

// "invalid_type at steps[3].title: must be a string, not a number (string, number)"
inline std::string line(const Issue& issue) {
  std::string out(to_string(issue.code));
  if (!issue.path.empty()) out += " at " + to_string(issue.path);
  out += ": " + issue.message;
  if (issue.expected.empty() && issue.received.empty()) return out;
  return out + " (" + issue.expected + ", " + issue.received + ")";
}

using Lines = std::vector<std::string>;

inline Lines lines(const Issues& issues) {
  Lines out;
  for (const Issue& issue : issues) out.push_back(line(issue));
  return out;
}

// What `call` throws, as lines; none if it throws nothing.
template <class Call>
Lines refusal(ErrorCode code, const Call& call) {
  try {
    call();
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), code);
    EXPECT_FALSE(error.issues.empty());
    return lines(error.issues);
  }
  return {};
}

}  // namespace actionflows::schema::testing

// StorageError: every failure of the library, in one type.
//
// Absence is never an error (it is std::nullopt), and an error is never told as absence.
#pragma once

#include "actionflows/base/issue.hpp"

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows {

enum class ErrorCode {
  invalid,             // the input breaks a rule; `issues` names all of them
  not_found,           // the thing to change does not exist
  conflict,            // it exists already, or its version is not the expected one
  illegal_transition,  // the change is not allowed in the present state
  unavailable,         // the backend can't be reached or refuses to work
  timeout,             // no answer in time: a write may or may not have been applied
  exhausted,           // a configured limit is reached
  corrupt,             // what is stored does not fit its schema
};

// The code as it stands in the HTTP interface: "not_found".
std::string_view to_string(ErrorCode code);

class StorageError : public std::exception {
 public:
  StorageError(ErrorCode code, std::string message);

  // For logs and whoever runs the program: the message and, in parentheses, the cause.
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  // Plain words for a person. Names ids and limits, never a secret, a path or a pointer.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

  // Adds what the library or the system below said. That may name anything, so it stands in what()
  // only and never reaches a client.
  void set_cause(std::string_view cause);
  [[nodiscard]] bool has_cause() const noexcept { return what_.size() > message_.size(); }

  // Whether the same call can succeed later without being changed. False once a layer has spent its
  // retries, so that no outer layer repeats them.
  bool retryable = false;
  std::string operation;                         // "update_chain"; empty when not known
  std::string record;                            // the id concerned; empty when there is none
  Issues issues;                                 // with `invalid` and `corrupt`
  std::optional<std::uint64_t> current_version;  // with a `conflict` of versions, where known
  bool version_mismatch = false;  // a `conflict` with the version that the caller expects

 private:
  ErrorCode code_;
  std::string message_;
  std::string what_;
};

// The same with what it concerned, as one expression: `throw failure(ErrorCode::conflict, ...)`.
StorageError failure(ErrorCode code, std::string message, std::string operation,
                     std::string record = {});

// `invalid` with these issues; its message counts them and states the first.
StorageError invalid_input(Issues issues, std::string operation = {}, std::string record = {});

}  // namespace actionflows

#include "actionflows/base/error.hpp"

#include <utility>

namespace actionflows {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid: return "invalid";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::conflict: return "conflict";
    case ErrorCode::illegal_transition: return "illegal_transition";
    case ErrorCode::unavailable: return "unavailable";
    case ErrorCode::timeout: return "timeout";
    case ErrorCode::exhausted: return "exhausted";
    case ErrorCode::corrupt: return "corrupt";
  }
  return "corrupt";
}

StorageError::StorageError(ErrorCode code, std::string message)
    : retryable(code == ErrorCode::unavailable || code == ErrorCode::timeout),
      code_(code),
      message_(std::move(message)),
      what_(message_) {}

void StorageError::set_cause(std::string_view cause) {
  what_ = message_;
  what_.append(" (").append(cause).append(")");
}

StorageError failure(ErrorCode code, std::string message, std::string operation,
                     std::string record) {
  StorageError error(code, std::move(message));
  error.operation = std::move(operation);
  error.record = std::move(record);
  return error;
}

StorageError invalid_input(Issues issues, std::string operation, std::string record) {
  std::string message = "invalid input";
  if (!issues.empty()) {
    const std::string place = to_string(issues.front().path);
    message += ": " + (place.empty() ? "" : place + ": ") + issues.front().message;
    if (issues.size() > 1) message += " (and " + std::to_string(issues.size() - 1) + " more)";
  }
  StorageError error =
      failure(ErrorCode::invalid, std::move(message), std::move(operation), std::move(record));
  error.issues = std::move(issues);
  return error;
}

}  // namespace actionflows

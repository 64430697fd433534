#include "cli/output.hpp"

#include "cli/failure.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace actionflows::cli {

Output::Output(std::string file) : file_(std::move(file)), out_(stdout) {
  if (file_.empty()) return;
  std::error_code unknown;
  const auto kind = std::filesystem::status(file_, unknown).type();
  const bool in_place =
      kind == std::filesystem::file_type::regular || kind == std::filesystem::file_type::not_found;
  if (in_place) partial_ = file_ + ".partial";
  out_ = std::fopen(in_place ? partial_.c_str() : file_.c_str(), "wbe");
  if (out_ == nullptr) fail();
}

Output::~Output() {
  if (out_ != nullptr && out_ != stdout) std::fclose(out_);
  if (out_ != nullptr && !partial_.empty()) ::unlink(partial_.c_str());
}

void Output::write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), out_) != text.size()) fail();
  bytes_ += text.size();
}

void Output::finish() {
  if (std::fflush(out_) != 0) fail();
  if (out_ == stdout) return;
  if (!partial_.empty()) {
    if (::fsync(::fileno(out_)) != 0) fail();
    if (std::rename(partial_.c_str(), file_.c_str()) != 0) fail();
  }
  std::fclose(std::exchange(out_, nullptr));
}

std::string Output::finish_partial() {
  if (partial_.empty()) {
    finish();
    return {};
  }
  if (std::fflush(out_) != 0 || ::fsync(::fileno(out_)) != 0) fail();
  std::fclose(std::exchange(out_, nullptr));
  return partial_;
}

void Output::fail() const {
  throw Failure(fmt::format("can't write {}: {}", file_.empty() ? "to standard output" : file_,
                            std::strerror(errno)));
}

}  // namespace actionflows::cli

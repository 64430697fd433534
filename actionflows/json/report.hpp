// Report: collects what is wrong with a value, each issue with its place, up to a bound.
#pragma once

#include "actionflows/base/issue.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace actionflows::json {

// A hostile input must not turn into megabytes of issues.
inline constexpr std::size_t max_issues = 100;

// One step on the way from the document's root to where reading stands. Lives on the stack of
// whoever reads that object or array.
struct Place {
  const Place* parent = nullptr;
  std::string_view key;   // the member; its data() is null in an array
  std::size_t index = 0;  // the position in an array
};

// Collects issues. Those beyond the bound are not kept: in their place stands one that says so.
class Report {
 public:
  // Issues are appended to `issues`, which must outlive this object.
  explicit Report(Issues& issues) : issues_(&issues), first_(issues.size()) {}

  // At the current place.
  void add(IssueCode code, std::string message, std::string expected = {},
           std::string received = {});

  // At the current place, extended by the issue's own path.
  void add(Issue issue);

  [[nodiscard]] std::size_t count() const noexcept { return issues_->size() - first_; }
  [[nodiscard]] bool clean() const noexcept { return count() == 0; }
  // Nothing that is added any more will be kept: there is no use in looking on.
  [[nodiscard]] bool full() const noexcept { return count() > max_issues; }

  // The way from the root to the current place. Long names are cut.
  [[nodiscard]] Path path() const;

  [[nodiscard]] const Place* place() const noexcept { return place_; }
  void move_to(const Place* place) noexcept { place_ = place; }

 protected:
  Report() = default;

  Issues* issues_ = nullptr;
  std::size_t first_ = 0;
  const Place* place_ = nullptr;
};

// Makes a member or an element of the current place the current one for as long as it lives. The
// name must outlive it.
class Within {
 public:
  Within(Report& report, std::string_view key);
  Within(Report& report, std::size_t index);
  Within(const Within&) = delete;
  Within& operator=(const Within&) = delete;
  ~Within();

 private:
  Report& report_;
  const Place place_;
};

// `text` cut to at most `max_bytes` bytes, at the end of a character, with "..." where it was cut.
std::string shortened(std::string_view text, std::size_t max_bytes);

}  // namespace actionflows::json

// The query of a request: which parameters a route takes, and their values, checked.
#pragma once

#include "actionflows/model/chain.hpp"
#include "actionflows/model/event.hpp"
#include "actionflows/model/session.hpp"
#include "actionflows/storage/page.hpp"
#include "server/http/request.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace actionflows::api {

// Literals all.
struct Parameter {
  std::string_view name;
  std::string_view schema;  // JSON Schema
  std::string_view description;
};

// Reads the parameters one by one and gathers what is wrong with them.
//
//     Query query(request, step_list_parameters);
//     const auto status = query.step_status("status");
//     const PageQuery page = query.page(ListKind::steps);
//     query.check();
//
// Thread-safety: none; for one request.
class Query {
 public:
  // Parameters that are not in `known`, and those that come twice, are issues: a mistyped filter
  // must not list everything.
  Query(const http::Request& request, std::span<const Parameter> known);

  std::optional<std::string_view> text(std::string_view name) const;
  // Up to what JavaScript can hold, 2^53 - 1, as all integers of the interface.
  std::optional<std::uint64_t> number(std::string_view name);
  // The same of a header.
  std::optional<std::uint64_t> number_in_header(std::string_view name);
  std::optional<Timestamp> time(std::string_view name);
  std::optional<UserId> user(std::string_view name);
  std::optional<EventType> event_type(std::string_view name);
  std::optional<SessionState> session_state(std::string_view name);
  std::optional<ChainStatus> chain_status(std::string_view name);
  std::optional<StepStatus> step_status(std::string_view name);

  // Whether the parameter is given with `value`; any other value is an issue.
  bool has(std::string_view name, std::string_view value);

  // Whether a parameter is given that must be.
  void require(std::string_view name, bool given);

  // limit: 1-1000; `usual` where it is not given.
  std::size_t limit(std::size_t usual);
  // limit and cursor.
  PageQuery page(ListKind list);

  // Throws StorageError(invalid) with every issue so far.
  void check();

 private:
  struct Range {
    std::uint64_t min = 0;
    std::uint64_t max = (std::uint64_t{1} << 53) - 1;
  };
  std::optional<std::uint64_t> number_in(std::string_view name,
                                         std::optional<std::string_view> text, Range range);
  template <class T, class Parse>
  std::optional<T> parsed(std::string_view name, std::string_view expected, Parse parse,
                          IssueCode code = IssueCode::invalid_string);
  void add(std::string_view name, IssueCode code, std::string message, std::string expected = {});

  const http::Request& request_;
  Issues issues_;
};

}  // namespace actionflows::api

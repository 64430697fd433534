// A backend that does as it is told, for tests.
#pragma once

#include "actionflows/base/clock.hpp"
#include "cli/backend.hpp"

#include <map>
#include <set>
#include <string>

namespace actionflows::cli {

// "sleep N" takes N milliseconds; "bad" is refused; "down" finds no backend; all else is stored.
class FakeBackend final : public Backend {
 public:
  std::set<std::string> stored;
  std::vector<std::string> order;                                      // in which lines ended
  std::map<std::string, std::vector<Verification::Outcome>> outcomes;  // by session, of each call
  std::set<std::string> erased;                                        // listed, but gone
  std::set<std::string> slow;                                          // verifying them times out
  std::vector<std::string> corrupt;
  std::size_t workers = 1;

  Task<bool> import_line(std::string line, std::optional<UserId>) override {
    if (line.starts_with("sleep "))
      co_await system_clock().sleep_for(std::chrono::milliseconds(std::stoi(line.substr(6))));
    order.push_back(line);
    if (line.starts_with("bad")) throw StorageError(ErrorCode::invalid, "it is " + line);
    if (line == "down") throw StorageError(ErrorCode::unavailable, "the backend is down");
    co_return stored.insert(line).second;
  }

  Task<SessionNames> list_sessions(std::optional<UserId>,
                                   std::optional<std::string> cursor) override {
    // One a page, so that paging is part of it; in reverse, so that sorting is.
    SessionNames page;
    auto at = outcomes.rbegin();
    if (cursor)
      while (at->first != *cursor) ++at;
    if (at != outcomes.rend()) {
      page.ids.push_back(*SessionId::parse(at->first));
      if (++at != outcomes.rend()) page.next_cursor = at->first;
    }
    if (!cursor) page.corrupt = corrupt;
    co_return page;
  }

  Task<std::optional<std::string>> export_line(SessionId id) override { co_return id.str(); }

  Task<Verification> verify(SessionId id) override {
    const auto found = outcomes.find(id.str());
    if (found == outcomes.end() || erased.contains(id.str()))
      throw failure(ErrorCode::not_found, "session " + id.str() + " does not exist", "verify");
    if (slow.contains(id.str())) throw StorageError(ErrorCode::timeout, "no answer in time");
    auto& left = found->second;
    Verification verification;
    verification.session = id;
    verification.outcome = left.front();
    if (left.size() > 1) left.erase(left.begin());
    verification.events = 5;
    verification.records = 2;
    if (verification.outcome == Verification::Outcome::different)
      verification.differences = {id.str() + ".c1: the log says {}"};
    co_return verification;
  }

  std::size_t parallelism() const override { return workers; }
};

}  // namespace actionflows::cli

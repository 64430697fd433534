#include "cli/verify.hpp"

#include "actionflows/base/clock.hpp"
#include "cli/quantities.hpp"
#include "cli/run_tasks.hpp"

#include <fmt/core.h>

#include <map>
#include <utility>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;
using Outcome = Verification::Outcome;

constexpr int max_attempts = 5;  // at a session that is being changed

class Verifier {
 public:
  Verifier(Backend& backend, const std::optional<SessionId>& only,
           const std::function<void(const Advance&)>& advanced)
      : backend_(backend), only_(only), advanced_(advanced) {}

  Task<void> list();
  Task<void> work();
  VerifyReport report() &&;

 private:
  Task<void> verify(std::size_t at);
  void count(std::size_t at, const Verification& found);
  void fail(std::size_t at, const std::string& finding);

  // constant after construction
  Backend& backend_;
  const std::optional<SessionId>& only_;
  const std::function<void(const Advance&)>& advanced_;

  SessionNames sessions_;
  std::size_t next_ = 0;
  std::size_t done_ = 0;
  std::map<std::size_t, std::vector<std::string>> findings_;  // by position in sessions_
  VerifyReport report_;
};

Task<void> Verifier::list() {
  if (only_) {
    sessions_.ids.push_back(*only_);
  } else {
    sessions_ = co_await backend_.all_sessions(std::nullopt);
  }
}

Task<void> Verifier::work() {
  while (next_ < sessions_.ids.size()) {
    co_await verify(next_++);
    advanced_({.items = ++done_, .done = done_, .total = sessions_.ids.size()});
  }
}

Task<void> Verifier::verify(std::size_t at) {
  const SessionId& id = sessions_.ids[at];
  try {
    for (int attempt = 1;; ++attempt) {
      const Verification found = co_await backend_.verify(id);
      if (found.outcome != Outcome::busy || attempt == max_attempts) {
        count(at, found);
        co_return;
      }
      co_await system_clock().sleep_for(100ms * attempt);
    }
  } catch (const StorageError& error) {
    if (error.code() == ErrorCode::unavailable) throw;
    if (error.code() == ErrorCode::timeout) {
      fail(at, fmt::format("{}: could not be verified: {}", id.str(), error.what()));
    } else if (error.code() != ErrorCode::not_found) {
      fail(at, fmt::format("{}: {}", id.str(), error.what()));
    } else if (only_) {
      throw;
    }
    // Else it was erased since it was listed.
  }
}

void Verifier::count(std::size_t at, const Verification& found) {
  const std::string& id = sessions_.ids[at].str();
  ++report_.sessions;
  report_.events += found.events;
  report_.records += found.records;
  switch (found.outcome) {
    case Outcome::equal: ++report_.equal; return;
    case Outcome::pruned:
      ++report_.pruned;
      findings_[at] = {id + ": can't be verified: the beginning of its log was pruned"};
      return;
    case Outcome::busy:
      ++report_.failed;
      findings_[at] = {id + ": could not be verified: it is changed all the time"};
      return;
    case Outcome::different:
      ++report_.failed;
      findings_[at] = {fmt::format("{}: differs from its log in {}", id,
                                   counted(found.differences.size(), "record"))};
      for (const std::string& difference : found.differences)
        findings_[at].push_back("  " + difference);
      return;
  }
}

void Verifier::fail(std::size_t at, const std::string& finding) {
  ++report_.sessions;
  ++report_.failed;
  findings_[at] = {finding};
}

VerifyReport Verifier::report() && {
  for (auto& [at, lines] : findings_)
    for (std::string& line : lines) report_.findings.push_back(std::move(line));
  for (const std::string& id : sessions_.corrupt) {
    ++report_.sessions;
    ++report_.failed;
    report_.findings.push_back(id + ": its record is corrupt");
  }
  return std::move(report_);
}

}  // namespace

VerifyReport verify_sessions(boost::asio::io_context& context, Backend& backend,
                             const std::optional<SessionId>& only,
                             const std::function<void(const Advance&)>& advanced) {
  Verifier verifier(backend, only, advanced);
  run_task(context, [&] { return verifier.list(); });
  run_workers(context, backend.parallelism(), [&] { return verifier.work(); });
  return std::move(verifier).report();
}

std::string summary_of(const VerifyReport& report) {
  std::string text = fmt::format("{} of {} rebuilt equal", grouped(report.equal),
                                 counted(report.sessions, "session"));
  if (report.pruned > 0) text += fmt::format(", {} not verifiable", grouped(report.pruned));
  return text + fmt::format(" ({} from {})", counted(report.records, "record"),
                            counted(report.events, "event"));
}

}  // namespace actionflows::cli

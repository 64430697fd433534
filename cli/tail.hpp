// Tail: follows a server's events, across cut connections.
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/model/ids.hpp"
#include "cli/http_client.hpp"
#include "cli/sse_parser.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace actionflows::cli {

struct TailOptions {
  std::optional<SessionId> session;    // nullopt: notices of all sessions
  std::optional<std::uint64_t> after;  // nullopt: from now on
  bool raw = false;                    // the JSON as it came
};

// What of a stream is shown: each event of a session once and in order, whatever is sent again, and
// said aloud what is missing.
//
// Thread-safety: as an int.
class TailView {
 public:
  TailView(TailOptions options, Clock& clock) : options_(std::move(options)), clock_(clock) {}

  struct Shown {
    std::string line;  // for standard output; empty: nothing
    std::string note;  // for standard error; empty: nothing
    bool over = false;
  };
  // Throws Failure for what makes no sense and where the server ends it for cause.
  Shown take(const SseEvent& event);

  // The number of the last event shown or said to be missing; nullopt: none yet.
  [[nodiscard]] std::optional<std::uint64_t> position() const { return options_.after; }
  void start_after(std::uint64_t sequence) { options_.after = sequence; }

 private:
  Shown take_gap(const SseEvent& event);
  [[nodiscard]] std::string line_of(const SseEvent& event) const;

  TailOptions options_;
  Clock& clock_;
};

// How long to wait before connecting again for the nth time in a row (from 1): doubles from 250 ms
// to 5 s, and from the second time on is never less than what the server asked for. Of that,
// between a half and all, by `random`.
std::chrono::milliseconds reconnect_pause(int attempt,
                                          std::optional<std::chrono::milliseconds> server_asks,
                                          std::uint64_t random);

// Follows until the session ends. `print` and `note` get lines for standard output and standard
// error. Throws Failure when the server can't be reached in the first place, or says no.
Task<void> follow(boost::asio::any_io_executor executor, ServerUrl server,
                  HttpClientOptions client_options, TailOptions options,
                  std::function<void(const std::string&)> print,
                  std::function<void(const std::string&)> note);

}  // namespace actionflows::cli

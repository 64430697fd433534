#include "cli/tail.hpp"

#include "actionflows/base/random.hpp"
#include "cli/answers.hpp"
#include "cli/quantities.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;

// Three heartbeats of the server's.
constexpr std::chrono::milliseconds patience = 45s;

std::optional<std::uint64_t> number_of(const std::string& text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [behind, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || behind != end) return std::nullopt;
  return number;
}

std::string gap_text(std::uint64_t from, std::uint64_t to, std::string_view why) {
  if (from == to) return fmt::format("gap: event {} {}", from, why);
  return fmt::format("gap: events {} to {} {}", from, to, why);
}

}  // namespace

TailView::Shown TailView::take(const SseEvent& event) {
  if (event.type == "gap") return take_gap(event);
  if (event.type == "end") {
    if (event.data.find("unauthenticated") != event.data.npos)
      throw Failure("the server ended the stream: the key or token is not valid any more");
    return {.line = {}, .note = "the session has ended", .over = true};
  }
  if (event.type == "corrupt")
    return {.line = {}, .note = "an event can't be read: " + printable(event.data), .over = false};

  Shown shown;
  if (options_.session) {
    const auto sequence = number_of(event.id);
    if (!sequence) throw Failure("the server sent an event without a number");
    if (options_.after && *sequence <= *options_.after) return shown;
    if (options_.after && *sequence > *options_.after + 1)
      shown.note = gap_text(*options_.after + 1, *sequence - 1, "did not come");
    options_.after = sequence;
  }
  shown.line = options_.raw ? event.data : line_of(event);
  return shown;
}

TailView::Shown TailView::take_gap(const SseEvent& event) {
  if (!options_.session)
    return {.line = {}, .note = "gap: notices were lost, this client was too slow", .over = false};
  const EventFollower::Gap gap = gap_of(event.data);
  // Where the stream goes on: behind the gap, or earlier where the log is not what it was.
  options_.after = number_of(event.id).value_or(gap.to);
  const bool restarted = *options_.after < gap.to;
  return {.line = {},
          .note = gap_text(gap.from, gap.to,
                           restarted ? "are not in the log (any more), which goes on behind " +
                                           std::to_string(*options_.after)
                                     : std::string("were pruned before they could be read")),
          .over = false};
}

std::string TailView::line_of(const SseEvent& event) const {
  const StreamItem item = stream_item_of(event.data);
  const std::string& id = !item.step.empty()    ? item.step
                          : !item.chain.empty() ? item.chain
                                                : item.session;
  const std::string at = item.at.empty() ? format_rfc3339(clock_.now()) : item.at;
  std::string line = fmt::format("{} {:>6}  {:<18} {}", at, item.sequence, item.type, id);
  if (!item.actor.empty()) line += "  by " + item.actor;
  return printable(line);
}

std::chrono::milliseconds reconnect_pause(int attempt,
                                          std::optional<std::chrono::milliseconds> server_asks,
                                          std::uint64_t random) {
  const std::chrono::milliseconds doubled = 250ms * (1 << std::clamp(attempt - 1, 0, 5));
  auto most = std::min<std::chrono::milliseconds>(doubled, 5s);
  if (attempt > 1 && server_asks)
    most = std::max(most, std::min<std::chrono::milliseconds>(*server_asks, 1min));
  const auto half = static_cast<std::uint64_t>(most.count()) / 2;
  return most - std::chrono::milliseconds(static_cast<std::int64_t>(half == 0 ? 0 : random % half));
}

namespace {

class Tail {
 public:
  Tail(boost::asio::any_io_executor executor, ServerUrl server, HttpClientOptions client_options,
       TailOptions options, std::function<void(const std::string&)> print,
       std::function<void(const std::string&)> note)
      : client_(std::move(executor), std::move(server), std::move(client_options)),
        session_(options.session),
        view_(std::move(options), system_clock()),
        print_(std::move(print)),
        note_(std::move(note)) {}

  Task<void> follow();

 private:
  Task<void> find_position();
  Task<std::string> follow_once();
  bool show(std::string_view piece);

  HttpClient client_;
  const std::optional<SessionId> session_;
  TailView view_;
  const std::function<void(const std::string&)> print_;
  const std::function<void(const std::string&)> note_;

  SseParser parser_;  // of the present connection
  std::optional<std::chrono::milliseconds> server_asks_;
  bool connected_before_ = false;
  bool over_ = false;
  int attempt_ = 0;  // in a row, without anything received
};

// "From now on" is a number, so that nothing is left out should the first connection break before
// its first event.
Task<void> Tail::find_position() {
  if (!session_ || view_.position()) co_return;
  HttpRequest request{.target = "/v1/sessions/" + session_->str() + "/events?limit=1"};
  const HttpAnswer answer = co_await client_.send(std::move(request));
  if (answer.status != 200) throw error_of(answer);
  view_.start_after(last_sequence_of(answer.body));
}

Task<void> Tail::follow() {
  co_await find_position();
  for (;;) {
    const std::string trouble = co_await follow_once();
    if (over_) co_return;
    const auto pause = reconnect_pause(++attempt_, server_asks_, system_random().next());
    note_(fmt::format("{}; connecting again in {}{}", trouble, duration_text(pause),
                      session_ ? "" : "; what happens in between will not be seen"));
    co_await system_clock().sleep_for(pause);
  }
}

// One connection, until it breaks: returns why. Throws when there is no use in another one.
Task<std::string> Tail::follow_once() {
  try {
    HttpRequest request{.target = session_ ? "/v1/sessions/" + session_->str() + "/stream"
                                           : std::string("/v1/stream")};
    request.headers.emplace_back("Accept", "text/event-stream");
    if (const auto position = view_.position(); session_ && position)
      request.headers.emplace_back("Last-Event-ID", std::to_string(*position));
    const HttpAnswer answer = co_await client_.open_stream(std::move(request));
    if (answer.status != 200) {
      const StorageError error = error_of(answer);
      const bool may_pass = answer.status >= 500 || answer.status == 429;
      if (!connected_before_ || !may_pass) throw error;
      co_return error.message();
    }
    connected_before_ = true;
    parser_ = SseParser();
    while (!over_) {
      const auto piece = co_await client_.read_piece(patience);
      if (!piece) co_return "the server has ended the stream";
      attempt_ = 0;
      over_ = show(*piece);
      server_asks_ = parser_.retry();
    }
  } catch (const ConnectionLost& error) {
    if (!connected_before_) throw;
    co_return error.what();
  }
  co_return std::string();
}

// Whether that was the end.
bool Tail::show(std::string_view piece) {
  for (const SseEvent& event : parser_.take(piece)) {
    const TailView::Shown shown = view_.take(event);
    if (!shown.note.empty()) note_(shown.note);
    if (!shown.line.empty()) print_(shown.line);
    if (shown.over) return true;
  }
  return false;
}

}  // namespace

Task<void> follow(boost::asio::any_io_executor executor, ServerUrl server,
                  HttpClientOptions client_options, TailOptions options,
                  std::function<void(const std::string&)> print,
                  std::function<void(const std::string&)> note) {
  Tail tail(std::move(executor), std::move(server), std::move(client_options), std::move(options),
            std::move(print), std::move(note));
  co_await tail.follow();
}

}  // namespace actionflows::cli

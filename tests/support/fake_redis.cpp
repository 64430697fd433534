#include "tests/support/fake_redis.hpp"

#include "actionflows/base/as_result.hpp"
#include "actionflows/base/clock.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace actionflows::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// The number behind `kind` in the line at `at`, which moves behind it. nullopt: not there yet.
std::optional<std::size_t> take_count(std::string_view input, std::size_t& at, char kind) {
  const std::size_t end = input.find("\r\n", at);
  if (end == input.npos || input[at] != kind) return std::nullopt;
  const std::size_t count = std::stoul(std::string(input.substr(at + 1, end - at - 1)));
  at = end + 2;
  return count;
}

// The first whole command in `input`, removed from it. nullopt: there is none yet.
std::optional<FakeRedis::Command> take_command(std::string& input) {
  std::size_t at = 0;
  if (input.empty()) return std::nullopt;
  const auto count = take_count(input, at, '*');
  if (!count) return std::nullopt;
  FakeRedis::Command command;
  while (command.size() < *count) {
    if (at >= input.size()) return std::nullopt;
    const auto size = take_count(input, at, '$');
    if (!size || at + *size + 2 > input.size()) return std::nullopt;
    command.push_back(input.substr(at, *size));
    at += *size + 2;
  }
  input.erase(0, at);
  if (!command.empty())
    for (char& c : command[0]) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return command;
}

std::string push_reply(const FakeRedis::Command& command) {
  std::string kind = command[0];
  for (char& c : kind) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string reply;
  for (std::size_t i = 1; i < command.size(); ++i) {
    reply.append(">3\r\n").append(bulk_reply(kind)).append(bulk_reply(command[i]));
    reply.append(":").append(std::to_string(i)).append("\r\n");
  }
  return reply;
}

std::string usual_answer(const FakeRedis::Command& command) {
  const std::string& name = command[0];
  if (name == "HELLO") {
    return "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n"
           "$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
           "$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
  }
  if (name == "PING") return command.size() > 1 ? bulk_reply(command[1]) : "+PONG\r\n";
  if (name.ends_with("SUBSCRIBE")) return push_reply(command);
  if (is_of_connection(command)) return "+OK\r\n";
  if (name == "SCRIPT") return bulk_reply(std::string(40, '0'));
  return "_\r\n";
}

}  // namespace

std::string error_reply(std::string_view text) {
  return std::string("-").append(text).append("\r\n");
}

std::string bulk_reply(std::string_view text) {
  return std::string("$")
      .append(std::to_string(text.size()))
      .append("\r\n")
      .append(text)
      .append("\r\n");
}

bool is_of_connection(const FakeRedis::Command& command) {
  constexpr std::array<std::string_view, 9> names = {"HELLO",       "AUTH",       "CLIENT",
                                                     "SELECT",      "PING",       "SUBSCRIBE",
                                                     "UNSUBSCRIBE", "SSUBSCRIBE", "PSUBSCRIBE"};
  return std::ranges::find(names, command.at(0)) != names.end();
}

FakeRedis::FakeRedis(Handler handler)
    : acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
      handler_(std::move(handler)) {
  asio::co_spawn(context_, accept(), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

FakeRedis::~FakeRedis() {
  context_.stop();
  thread_.join();
}

RedisAddress FakeRedis::address() const { return {"127.0.0.1", acceptor_.local_endpoint().port()}; }

RedisOptions FakeRedis::storage_options() const {
  RedisOptions options;
  options.servers = {address()};
  return options;
}

void FakeRedis::answer_by(Handler handler) {
  const std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
}

void FakeRedis::answer_all_by(Answer answer) {
  answer_by([answer = std::move(answer)](const Command& command) -> std::optional<Answer> {
    if (is_of_connection(command)) return std::nullopt;
    return answer;
  });
}

int FakeRedis::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

std::map<std::string, int> FakeRedis::commands() const {
  const std::lock_guard lock(mutex_);
  return commands_;
}

FakeRedis::Answer FakeRedis::answer_to(const Command& command) {
  const std::lock_guard lock(mutex_);
  ++commands_[command.at(0)];
  std::optional<Answer> answer = handler_ ? handler_(command) : std::nullopt;
  return answer ? *std::move(answer) : Answer{.bytes = usual_answer(command)};
}

Task<void> FakeRedis::accept() {
  for (;;) {
    tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
    {
      const std::lock_guard lock(mutex_);
      ++connections_;
    }
    asio::co_spawn(context_, serve(std::move(socket)), asio::detached);
  }
}

Task<void> FakeRedis::serve(tcp::socket socket) {
  std::string input;
  std::array<char, 4096> space;
  for (;;) {
    const auto [error, size] = co_await socket.async_read_some(asio::buffer(space), as_result);
    if (error) co_return;
    input.append(space.data(), size);
    while (const auto command = take_command(input)) {
      const Answer answer = answer_to(*command);
      if (answer.delay.count() > 0) co_await system_clock().sleep_for(answer.delay);
      const auto [failed, written] =
          co_await asio::async_write(socket, asio::buffer(answer.bytes), as_result);
      if (failed || answer.cut) co_return;
    }
  }
}

}  // namespace actionflows::test

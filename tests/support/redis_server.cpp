#include "tests/support/redis_server.hpp"

#include "actionflows/base/random.hpp"
#include "tests/support/wait_until.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace actionflows::test {
namespace {

// Below the ports that a system gives to outgoing connections, also with the 10,000 that a
// cluster's bus adds: nobody takes them while a server is away.
constexpr std::uint16_t first_port = 20'000;
constexpr std::uint16_t port_count = 2'700;
constexpr std::uint16_t bus_offset = 10'000;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] int get() const { return number_; }

 private:
  const int number_;
};

int open_socket(int domain) { return ::socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0); }

bool is_free(std::uint16_t port) {
  const Descriptor socket(open_socket(AF_INET));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// One connection through a server's socket. Blocking; commands one at a time.
class Connection {
 public:
  explicit Connection(const std::string& path) : socket_(open_socket(AF_UNIX)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw std::runtime_error("a long path: " + path);
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("can't connect to Redis");
  }

  RedisReply call(const std::vector<std::string>& words) {
    std::string command = "*";
    command.append(std::to_string(words.size())).append("\r\n");
    for (const std::string& word : words) {
      command.append("$").append(std::to_string(word.size())).append("\r\n");
      command.append(word).append("\r\n");
    }
    for (std::string_view rest = command; !rest.empty();) {
      const ssize_t sent = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error("Redis does not take a command");
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    return read_reply();
  }

 private:
  void fill() {
    char space[16'384];
    const ssize_t size = ::recv(socket_.get(), space, sizeof space, 0);
    if (size <= 0) throw std::runtime_error("Redis does not answer");
    input_.append(space, static_cast<std::size_t>(size));
  }

  std::string take(std::size_t size, std::size_t behind) {
    while (input_.size() < size + behind) fill();
    std::string taken = input_.substr(0, size);
    input_.erase(0, size + behind);
    return taken;
  }

  std::string take_line() {
    std::size_t end = 0;
    while ((end = input_.find("\r\n")) == std::string::npos) fill();
    return take(end, 2);
  }

  RedisReply read_reply() {
    const std::string line = take_line();
    RedisReply reply{.kind = line.at(0), .text = line.substr(1), .items = {}};
    if (reply.kind != '$' && reply.kind != '*') return reply;
    const int size = std::stoi(std::exchange(reply.text, {}));
    if (size < 0) {
      reply.kind = '_';
    } else if (reply.kind == '$') {
      reply.text = take(static_cast<std::size_t>(size), 2);
    } else {
      for (int i = 0; i < size; ++i) reply.items.push_back(read_reply());
    }
    return reply;
  }

  const Descriptor socket_;
  std::string input_;
};

// Debian has the server twice: its package redis-server is a link to a file of redis-tools, which
// goes by the name it is called by, and a service that tests have no use for.
std::optional<std::string> server_file() {
  const auto server = find_program("redis-server");
  return server ? server : find_program("redis-check-rdb");
}

std::string value_of(const std::string& lines, const std::string& field) {
  const std::string sought = "\n" + field + ":";
  const std::string text = "\n" + lines;
  const std::size_t begin = text.find(sought);
  if (begin == std::string::npos) return {};
  const std::size_t value = begin + sought.size();
  return text.substr(value, text.find_first_of("\r\n", value) - value);
}

}  // namespace

bool in_ci() {
  const char* const ci = std::getenv("CI");
  return ci != nullptr && *ci != '\0';
}

std::string redis_is_missing() {
  return server_file() ? "" : "there is no Redis server here: ./dev setup installs one";
}

// A port that no other test on this machine takes, even while its server is away: a name in the
// system's own list of sockets, gone with the process.
class RedisServer::Port {
 public:
  explicit Port(std::uint16_t number) : socket_(open_socket(AF_UNIX)), number_(number) {
    const std::string name = "actionflows-test-port-" + std::to_string(number);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    taken_ = ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0;
  }

  // The next one, from a random place on, that no other program has either.
  static std::unique_ptr<Port> find() {
    const std::uint64_t begin = system_random().below(port_count);
    for (std::uint16_t i = 0; i < port_count; ++i) {
      const auto number = static_cast<std::uint16_t>(first_port + (begin + i) % port_count);
      auto port = std::make_unique<Port>(number);
      const auto bus = static_cast<std::uint16_t>(number + bus_offset);
      if (port->taken_ && is_free(number) && is_free(bus)) return port;
    }
    throw std::runtime_error("there is no free port");
  }

  [[nodiscard]] std::uint16_t number() const { return number_; }

 private:
  const Descriptor socket_;
  const std::uint16_t number_;
  bool taken_ = false;
};

RedisServer::RedisServer(RedisServerOptions options) : options_(std::move(options)) {
  if (!server_file()) throw std::runtime_error(redis_is_missing());
  if (options_.tls) certificates_ = make_certificates(folder_, options_.certificate_names);
  port_lock_ = Port::find();
  port_ = port_lock_->number();
  start();
}

RedisServer::~RedisServer() = default;

RedisOptions RedisServer::storage_options() const {
  RedisOptions options;
  options.servers = {address()};
  options.cluster = options_.cluster;
  options.tls = options_.tls;
  options.ca_file = ca_file();
  return options;
}

std::string RedisServer::url() const {
  std::string url = options_.tls ? "rediss://127.0.0.1:" : "redis://127.0.0.1:";
  url.append(std::to_string(port_));
  return options_.tls ? url.append("?ca_file=").append(ca_file()) : url;
}

std::string RedisServer::write_config() const {
  std::string config = "bind 127.0.0.1\nsave \"\"\nappendfsync no\nrepl-diskless-sync-delay 0\n";
  const auto add = [&](const std::string& name, const std::string& value) {
    config.append(name).append(" ").append(value).append("\n");
  };
  add("dir", folder_.path("data"));
  add("logfile", folder_.path("log"));
  add("unixsocket", folder_.path("socket"));
  add("port", options_.tls ? "0" : std::to_string(port_));
  add("appendonly", options_.appendonly ? "yes" : "no");
  if (options_.tls) {
    add("tls-port", std::to_string(port_));
    add("tls-cert-file", certificates_.certificate);
    add("tls-key-file", certificates_.key);
    add("tls-ca-cert-file", certificates_.ca);
    add("tls-auth-clients", "no");
  }
  if (options_.cluster) {
    add("cluster-enabled", "yes");
    // Not in `data`: a node that loses its data is still the same node.
    add("cluster-config-file", folder_.path("nodes.conf"));
  }
  for (const std::string& line : options_.config) config.append(line).append("\n");
  return folder_.file("redis.conf", config);
}

void RedisServer::start() {
  std::filesystem::create_directory(folder_.path("data"));
  child_.emplace(*server_file(), std::vector<std::string>{"redis-server", write_config()},
                 folder_.path("log"));
  stopped_ = false;
  if (wait_until_it_answers()) return;
  child_.reset();
  throw std::runtime_error("Redis does not start: " + log());
}

bool RedisServer::wait_until_it_answers() {
  const auto answers = [&] {
    try {
      return text({"PING"}) == "PONG";
    } catch (const std::runtime_error&) {
      return false;  // not there yet, or still loading
    }
  };
  bool ended = false;
  return wait_until([&] { return answers() || (ended = child_->has_ended()); }) && !ended;
}

RedisReply RedisServer::call(const std::vector<std::string>& words) const {
  return Connection(folder_.path("socket")).call(words);
}

std::string RedisServer::text(const std::vector<std::string>& words) const {
  RedisReply reply = call(words);
  if (reply.kind == '-') throw std::runtime_error(words.at(0) + ": " + reply.text);
  if (reply.kind == '*') throw std::runtime_error(words.at(0) + ": a list");
  return std::move(reply.text);
}

std::string RedisServer::info(const std::string& field) const {
  return value_of(text({"INFO"}), field);
}

std::string RedisServer::cluster_info(const std::string& field) const {
  return value_of(text({"CLUSTER", "INFO"}), field);
}

void RedisServer::stop() {
  if (child_) child_->stop();
  stopped_ = true;
}

void RedisServer::go_on() {
  if (child_) child_->go_on();
  stopped_ = false;
}

void RedisServer::restart(Data data) {
  kill();
  if (data == Data::dropped) std::filesystem::remove_all(folder_.path("data"));
  start();
}

std::string RedisServer::log() const { return read_file(folder_.path("log")); }

}  // namespace actionflows::test

// One client's connection, from accept to close. Internal to the server.
#pragma once

#include "server/http/request_reader.hpp"
#include "server/http/shared.hpp"
#include "server/http/stream.hpp"
#include "server/http/wire.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/intrusive/list.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows::http {

struct Worker;

// Made on any thread, used on its worker's. Lives as long as its coroutine `run`.
class Connection final : public std::enable_shared_from_this<Connection>,
                         public boost::intrusive::list_base_hook<
                             boost::intrusive::link_mode<boost::intrusive::auto_unlink>>,
                         private StreamWriter {
 public:
  Connection(Shared& shared, Worker& worker, boost::asio::ip::tcp::socket socket,
             const boost::asio::ip::address& remote);
  ~Connection() override;

  // Serves requests until either side closes; or, where the server is full, says so and closes.
  // `self` keeps the object.
  static Task<void> run(std::shared_ptr<Connection> self);

  // Ends what has waited for too long.
  void sweep(Monotonic now) noexcept { wire_.sweep(now); }

  // Closes when idle, ends a stream; a request in flight is still answered.
  void wind_down();

  // Closes at once.
  void abort() { wire_.close(); }

 private:
  // What becomes of one request.
  struct Exchange {
    const Route* route = nullptr;
    Monotonic begun;
    int status = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
  };

  void begin_exchange();
  Task<void> serve();
  Task<void> turn_away();
  Task<void> close_gently();
  Task<void> answer();
  Task<void> refuse(Refusal refusal);

  // From the request to its response; what is thrown on the way is a response too.
  Task<Response> respond();
  Task<Response> handle(const Route& route);
  std::optional<Response> answer_without_route(const Router::Match& match);
  Task<std::optional<Refusal>> receive_body(const Route& route);
  Response fault(std::string_view what);
  void report_fault(std::string_view what);

  Task<void> send(const Response& response);
  Task<void> send_stream(const Response& response);
  Task<std::exception_ptr> run_stream(const Stream& stream);
  Task<void> feed(const Stream& stream);
  void begin_head(const Response& response);
  void end_head();
  void count();
  void log() const;

  Task<bool> write(std::string_view chunk) override;
  bool open() const noexcept override;

  Shared& shared_;
  Worker& worker_;
  Wire wire_;
  RequestReader reader_;
  const std::string remote_;
  Share place_;  // among the server's connections

  Request request_;
  Exchange exchange_;
  bool keep_alive_ = true;
  bool closing_ = false;
  std::string output_;  // a head, with the body behind it where that is small, or a stream's chunk

  // While a stream runs.
  bool streaming_ = false;
  bool peer_gone_ = false;
  boost::asio::cancellation_signal end_stream_;
};

// One thread's event loop and the connections that live on it. For that thread only, except
// `context`, to which anyone may post.
struct Worker {
  boost::intrusive::list<Connection, boost::intrusive::constant_time_size<false>> connections;
  DateLine date;
  // The last, so that it is destroyed first: it owns the coroutines, and these the connections.
  boost::asio::io_context context{1};
};

}  // namespace actionflows::http

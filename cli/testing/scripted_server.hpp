// A server that says what a test has written down, whatever it is asked.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace actionflows::cli {

class ScriptedServer {
 public:
  // One connection after another: of each, the answers to its requests, in order; then it is
  // closed. An answer "silence" is none: the connection stays open until the client leaves. All of
  // them have to be used up.
  explicit ScriptedServer(std::vector<std::vector<std::string>> connections)
      : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
        thread_([this, connections = std::move(connections)] {
          for (const auto& answers : connections) serve(answers);
        }) {}
  ~ScriptedServer() {
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  // What it was asked, heads only; once the server is done.
  [[nodiscard]] const std::vector<std::string>& requests() {
    if (thread_.joinable()) thread_.join();
    return requests_;
  }

 private:
  void serve(const std::vector<std::string>& answers) {
    boost::asio::ip::tcp::socket socket = acceptor_.accept();
    std::string input;
    boost::system::error_code error;
    for (const std::string& answer : answers) {
      const std::size_t size =
          boost::asio::read_until(socket, boost::asio::dynamic_buffer(input), "\r\n\r\n", error);
      if (error) return;
      requests_.push_back(input.substr(0, size));
      input.erase(0, size);
      if (answer == "silence") {
        char byte = 0;
        while (!error) socket.read_some(boost::asio::buffer(&byte, 1), error);
        return;
      }
      boost::asio::write(socket, boost::asio::buffer(answer), error);
    }
  }

  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::vector<std::string> requests_;
  std::thread thread_;  // the last: it uses the others
};

}  // namespace actionflows::cli

// A proxy on this machine that cuts every connection after some bytes of the answer.
#pragma once

#include "actionflows/base/random.hpp"
#include "actionflows/base/task.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>

namespace actionflows::test {

class CuttingProxy {
 public:
  // In front of the server at `url`; cuts after up to `max_bytes`, by `random`, which must outlive
  // it.
  CuttingProxy(const std::string& url, std::size_t max_bytes, Random& random);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  [[nodiscard]] std::string url() const;
  [[nodiscard]] int cuts() const { return cuts_; }
  // From now on connections live.
  void stop_cutting() { cutting_ = false; }

 private:
  Task<void> accept();
  Task<void> serve(boost::asio::ip::tcp::socket client);

  const boost::asio::ip::tcp::endpoint server_;
  const std::size_t max_bytes_;
  Random& random_;
  std::atomic<int> cuts_{0};
  std::atomic<bool> cutting_{true};
  boost::asio::io_context context_{1};
  boost::asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

}  // namespace actionflows::test

// A response body that is written piece by piece while its coroutine runs: Server-Sent Events.
#pragma once

#include "actionflows/base/task.hpp"

#include <functional>
#include <string_view>

namespace actionflows::http {

// What a stream writes to. One coroutine at a time, on the coroutine's own executor.
class StreamWriter {
 public:
  virtual ~StreamWriter() = default;

  // Sends `chunk`, and returns when the system has taken all of it: nothing queues up in between,
  // so a slow reader slows only its own stream. False when the stream is over: the peer is gone, it
  // did not read for the write timeout, or the server stops; whoever gets it returns soon. An empty
  // chunk sends nothing. `chunk` must live until the call returns.
  virtual Task<bool> write(std::string_view chunk) = 0;

  // Whether the next write has a chance. It notices a peer that goes away without being written to.
  [[nodiscard]] virtual bool open() const noexcept = 0;
};

// Writes the whole body, then returns. When the peer goes away or the server stops, the coroutine
// is cancelled: what it waits for at that moment, and whatever it awaits after, throws
// boost::system::system_error (operation_aborted), which is a clean end and no failure. What throws
// anything else breaks the body off, so that the client does not take it for whole.
//
// The function object lives until its coroutine has ended; what it uses of the Request must be
// copied, because that is gone by then. A heartbeat is the stream's own business.
using Stream = std::function<Task<void>(StreamWriter&)>;

}  // namespace actionflows::http

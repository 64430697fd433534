// Task<T>: the one asynchronous result type of the library.
//
// A Task is lazy: nothing runs before it is awaited (`co_await storage.get_session(id)`) or handed
// to `boost::asio::co_spawn`. It is move-only and is awaited once. Errors arrive as exceptions at
// the `co_await`. A Task runs on the executor of the coroutine that awaits it.
#pragma once

#include <boost/asio/awaitable.hpp>

namespace actionflows {

template <class T>
using Task = boost::asio::awaitable<T>;

}  // namespace actionflows

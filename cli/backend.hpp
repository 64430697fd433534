// Sessions as import, export and verify need them, wherever they are kept.
#pragma once

#include "actionflows/services/event_log.hpp"
#include "actionflows/storage/storage.hpp"
#include "cli/answers.hpp"
#include "cli/http_client.hpp"
#include "cli/limit_flags.hpp"
#include "cli/open_storage.hpp"
#include "cli/target.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace actionflows::cli {

// Every call throws StorageError: `unavailable` and `timeout` when the backend does not work, any
// other code when this line or session is refused; and Failure when going on makes no sense.
//
// Thread-safety: calls may run at the same time, on one thread.
class Backend {
 public:
  virtual ~Backend() = default;

  // A line of the interchange format; `user` is whose the runs are that name none, nullopt leaves
  // it to the backend. False: it is stored already.
  virtual Task<bool> import_line(std::string line, std::optional<UserId> user) = 0;

  // One page, in no order that matters. unavailable: only a part of the sessions is known.
  virtual Task<SessionNames> list_sessions(std::optional<UserId> user,
                                           std::optional<std::string> cursor) = 0;

  // nullopt: there is no such session (any more).
  virtual Task<std::optional<std::string>> export_line(SessionId id) = 0;

  // not_found: neither a session nor a log.
  virtual Task<Verification> verify(SessionId id) = 0;

  // How many calls at the same time it gains from.
  [[nodiscard]] virtual std::size_t parallelism() const = 0;

  // All session ids, sorted, and those that can't be read.
  Task<SessionNames> all_sessions(std::optional<UserId> user);
};

// `storage` must outlive it.
std::unique_ptr<Backend> make_storage_backend(Storage& storage);

// Waits and tries again while the server is busy, up to a minute.
std::unique_ptr<Backend> make_server_backend(boost::asio::any_io_executor executor,
                                             ServerUrl server, HttpClientOptions options);

// The one that `target` asks for; `limits` are those of a storage, a server has its own. Throws
// UsageError, also for a storage in memory: it would be empty, and gone with the command.
std::unique_ptr<Backend> open_backend(boost::asio::any_io_executor executor, const Target& target,
                                      const TargetFlags& flags, Opening opening,
                                      const LimitFlags& limits = {});

}  // namespace actionflows::cli

// ChainService: chains as a whole. Their steps move by StepService; a chain's status follows them.
#pragma once

#include "actionflows/storage/storage.hpp"

#include <optional>

namespace actionflows {

// Thread-safety: shared objects: safe. The storage must outlive the service.
class ChainService {
 public:
  explicit ChainService(Storage& storage) : storage_(storage) {}

  // As the functions of Storage; see there for errors.
  Task<Chain> create(const SessionId& session, ChainData data,
                     const Context& context = Context::none());
  Task<Chain> archive(const ChainId& id, const Context& context = Context::none());
  Task<Page<Chain>> list_archive(std::optional<UserId> user, PageQuery page = {},
                                 const Context& context = Context::none());

  // Ends the chain where it stands and archives it; its steps stay as they are at that moment.
  // not_found; conflict; illegal_transition: it is archived already, or its session is completed.
  Task<Chain> cancel(const ChainId& id, const Context& context = Context::none());

 private:
  Storage& storage_;  // constant after construction
};

}  // namespace actionflows

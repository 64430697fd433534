#include "actionflows/services/chain_service.hpp"

#include "actionflows/storage/storage_checks.hpp"

#include <utility>

namespace actionflows {

Task<Chain> ChainService::create(const SessionId& session, ChainData data, const Context& context) {
  return storage_.create_chain(session, std::move(data), context);
}

Task<Chain> ChainService::archive(const ChainId& id, const Context& context) {
  return storage_.archive_chain(id, context);
}

Task<Page<Chain>> ChainService::list_archive(std::optional<UserId> user, PageQuery page,
                                             const Context& context) {
  return storage_.list_archive(std::move(user), std::move(page), context);
}

Task<Chain> ChainService::cancel(const ChainId& id, const Context& context) {
  constexpr const char* operation = "cancel_chain";
  const SessionId session_id = id.session();
  Chain after;
  Storage::Change change = [&](Transaction& tx) -> Task<void> {
    co_await tx.load(RecordKey::of_session(), RecordKey::of_chain(id.number()));
    const Chain before = co_await tx.chain(id);
    check_version(context, before.version, operation, id.str());
    if (before.archived_at)
      throw_illegal(
          "chain " + id.str() + " is " + std::string(to_string(before.status)) + " and archived",
          operation, id.str());
    check_open(co_await tx.session(), operation);
    after = before;
    after.status = ChainStatus::cancelled;
    settle(tx, before, after);
  };
  const Storage::Outcome outcome =
      co_await storage_.transact(session_id, operation, context, change);
  if (outcome.result.repeated) {
    repeated_event(outcome, {"chain:cancelled"}, id.str(), operation);
    co_return co_await storage_.present_chain(id, operation);
  }
  co_return after;
}

}  // namespace actionflows

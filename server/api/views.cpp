#include "server/api/views.hpp"

#include "actionflows/schema/object.hpp"

namespace actionflows::schema {

using namespace api;

template <>
const Schema<Nothing>& schema_of<Nothing>() {
  static const auto& schema = *new auto(object<Nothing>("Nothing", "An object without members."));
  return schema;
}

template <>
const Schema<TokenView>& schema_of<TokenView>() {
  static const auto& schema = *new auto(
      object<TokenView>("Token", "Speaks for the session's user until it is rotated or revoked.",
                        field("token", &TokenView::token, text())
                            .describe("A secret: shown this once and stored nowhere."),
                        field("expiresAt", &TokenView::expires_at, timestamp())));
  return schema;
}

template <>
const Schema<Notice>& schema_of<Notice>() {
  static const auto& schema = *new auto(
      object<Notice>("Notice", "Something happened in a session: its events are worth a look.",
                     field("sessionId", &Notice::session_id, identifier()),
                     field("sequence", &Notice::sequence, integer().min(1))
                         .describe("Of the session's newest event."),
                     field("type", &Notice::type, text())));
  return schema;
}

template <>
const Schema<GapView>& schema_of<GapView>() {
  static const auto& schema = *new auto(
      object<GapView>("Gap", "Events that can't be delivered: the first and the last of them.",
                      field("from", &GapView::from, integer().min(1)),
                      field("to", &GapView::to, integer().min(1))));
  return schema;
}

template <>
const Schema<EndView>& schema_of<EndView>() {
  static const auto& schema = *new auto(object<EndView>(
      "End",
      "Why a stream ends: the session is gone, or the credentials are not accepted any more.",
      field("reason", &EndView::reason,
            enumeration<EndReason>({{"session_ended", EndReason::session_ended},
                                    {"unauthenticated", EndReason::unauthenticated}}))));
  return schema;
}

template <>
const Schema<ImportView>& schema_of<ImportView>() {
  static const auto& schema =
      *new auto(object<ImportView>("Import", "What became of an imported line.",
                                   field("sessionId", &ImportView::session_id, identifier()),
                                   field("stored", &ImportView::stored, boolean())
                                       .describe("false: the session is there already.")));
  return schema;
}

template <>
const Schema<PruneView>& schema_of<PruneView>() {
  static const auto& schema =
      *new auto(object<PruneView>("Prune", "What became of a log's oldest events.",
                                  field("removed", &PruneView::removed, integer())));
  return schema;
}

template <>
const Schema<VerificationView>& schema_of<VerificationView>() {
  using Outcome = Verification::Outcome;
  static const auto& schema = *new auto(object<VerificationView>(
      "Verification", "What holding a session's log against its stored state showed.",
      field("sessionId", &VerificationView::session_id, identifier()),
      field("outcome", &VerificationView::outcome,
            enumeration<Outcome>({{"equal", Outcome::equal},
                                  {"different", Outcome::different},
                                  {"pruned", Outcome::pruned},
                                  {"busy", Outcome::busy}})),
      field("events", &VerificationView::events, integer()),
      field("records", &VerificationView::records, integer()),
      field("differences", &VerificationView::differences, array(schema::text()))));
  return schema;
}

template <>
const Schema<ReadinessView>& schema_of<ReadinessView>() {
  static const auto& schema = *new auto(object<ReadinessView>(
      "Readiness", "Whether the storage answers.", field("ready", &ReadinessView::ready, boolean()),
      field("driver", &ReadinessView::driver, text()),
      field("durability", &ReadinessView::durability, text()),
      field("detail", &ReadinessView::detail, text()).describe("What is wrong."),
      field("sessions", &ReadinessView::sessions, integer()),
      field("bytes", &ReadinessView::bytes, integer()),
      field("breaker", &ReadinessView::breaker, text())
          .describe("Of the primary storage: closed, open (it is away) or half-open."),
      field("breakerSince", &ReadinessView::breaker_since, timestamp()),
      field("journalEntries", &ReadinessView::journal_entries, integer())
          .describe("Acknowledged changes that are not in the primary storage yet."),
      field("journalAgeMs", &ReadinessView::journal_age_ms, integer())
          .describe("Of the oldest of them."),
      field("poisoned", &ReadinessView::poisoned, integer())
          .describe("Changes that could not be replayed and were set aside.")));
  return schema;
}

template <>
const Schema<CorruptView>& schema_of<CorruptView>() {
  static const auto& schema = *new auto(object<CorruptView>(
      "Corrupt", "A record that could not be read; the others of its page are there.",
      field("id", &CorruptView::id, text()), field("detail", &CorruptView::detail, text())));
  return schema;
}

}  // namespace actionflows::schema

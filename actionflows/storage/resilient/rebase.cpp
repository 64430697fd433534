#include "actionflows/storage/resilient/rebase.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/json/writer.hpp"
#include "actionflows/model/chain.hpp"
#include "actionflows/model/rules.hpp"
#include "actionflows/model/session.hpp"
#include "actionflows/model/step.hpp"
#include "actionflows/storage/bounds.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace actionflows {
namespace {

// Ends the rebase: the commit can't be applied any more.
struct Refusal {
  std::string why;
};

std::string name_of(RecordKey key) {
  if (key == RecordKey::of_session()) return "the session";
  if (key.chain == 0) return "the credentials";
  std::string name = "chain " + std::to_string(key.chain);
  if (key.step != 0) name = "step " + std::to_string(key.step) + " of " + name;
  return name;
}

template <class T>
T decode(const Bytes& bytes, RecordKey key) {
  T record;
  Issues issues;
  if (!schema::schema_of<T>().decode(bytes.view(), schema::Form::stored, record, issues,
                                     stored_limits))
    throw Refusal{name_of(key) + " can't be read"};
  return record;
}

template <class T>
std::string difference(const T& before, const T& after) {
  std::string text;
  schema::schema_of<T>().diff(before, after, text);
  return text;
}

template <class T>
T patched(T record, const std::string& patch) {
  schema::schema_of<T>().patch(record, patch);
  return record;
}

// When something was last written is no matter of two opinions.
template <class T>
T without_times(T record) {
  record.updated_at = {};
  return record;
}

// What the events of a commit make of a record: they tell the time of the change even where that
// is the same as of the change before.
template <class T>
T told(T patched, const T& ours) {
  patched.updated_at = ours.updated_at;
  return patched;
}

// ---- what has ended stays ended

bool keep_ended(const Session& base, const Session& theirs, Session& merged) {
  const bool ended = theirs.state == SessionState::completed && base.state != theirs.state;
  if (!ended || merged.state == theirs.state) return false;
  merged.state = theirs.state;
  merged.completed_at = theirs.completed_at;
  merged.end_reason = theirs.end_reason;
  return true;
}

bool keep_ended(const Step& base, const Step& theirs, Step& merged) {
  const bool moved_on = base.status != theirs.status && ended(theirs.status);
  if (!moved_on || merged.status == theirs.status) return false;
  merged.status = theirs.status;
  merged.attempt = theirs.attempt;
  merged.started_at = theirs.started_at;
  merged.completed_at = theirs.completed_at;
  merged.duration_ms = theirs.duration_ms;
  merged.result = theirs.result;
  merged.error = theirs.error;
  return true;
}

bool keep_ended(const Chain& base, const Chain& theirs, Chain& merged) {
  const bool cancelled =
      theirs.status == ChainStatus::cancelled && base.status != ChainStatus::cancelled;
  if (!cancelled || merged.status == theirs.status) return false;
  merged.status = theirs.status;
  merged.completed_at = theirs.completed_at;
  return true;
}

class Rebase {
 public:
  Rebase(const Commit& commit, const Lineage& lineage, std::span<const RecordKey> keys,
         const ReadResult& read, Timestamp now)
      : commit_(commit), lineage_(lineage), keys_(keys), read_(read), now_(now) {}

  Rebased run() {
    Rebased result;
    try {
      start();
      for (const Put& put : commit_.puts) place(put);
      for (const Expect& erase : commit_.erases) this->erase(erase);
      summarize_chains();
      archive();
      finish();
    } catch (const Refusal& refusal) {
      result.refusal = refusal.why;
      return result;
    } catch (const StorageError& error) {
      result.refusal = error.message();
      return result;
    }
    result.commit = std::move(out_);
    result.conflicts = conflicts_.size();
    return result;
  }

 private:
  const StoredRecord* theirs(RecordKey key) const {
    const auto at = std::find(keys_.begin(), keys_.end(), key);
    if (at == keys_.end()) return nullptr;
    const auto& record = read_.records[static_cast<std::size_t>(at - keys_.begin())];
    return record ? &*record : nullptr;
  }

  void start() {
    const bool creates = std::any_of(commit_.puts.begin(), commit_.puts.end(), [](const Put& put) {
      return put.key == RecordKey::of_session() && put.expected_version == 0;
    });
    if (creates) throw Refusal{"another session has this id"};
    if (!read_.live) throw Refusal{"the session has ended meanwhile"};
    out_.session = commit_.session;
    out_.operation_id = commit_.operation_id;
    out_.at = commit_.at;
    out_.may_repeat = true;
    out_.activity = commit_.activity;
    out_.end_session = commit_.end_session;
    out_.events = commit_.events;
    for (NewEvent& event : out_.events)
      if (event.operation_id == commit_.operation_id) event.operation_id.clear();
  }

  void place(const Put& put) {
    if (put.key.chain == 0 && put.key.step != 0) throw Refusal{"credentials are not merged"};
    const StoredRecord* stands = theirs(put.key);
    if (put.expected_version == 0) {
      if (stands != nullptr) throw Refusal{name_of(put.key) + " was made elsewhere, too"};
      if (put.key.step != 0) must_be_live(put.key.chain);
      if (number_was_given(put.key)) throw Refusal{name_of(put.key) + " was made elsewhere, too"};
      out_.puts.push_back(put);
      return;
    }
    if (stands == nullptr) throw Refusal{name_of(put.key) + " was deleted meanwhile"};
    if (stands->archived) throw Refusal{name_of(put.key) + " was archived meanwhile"};
    if (put.key == RecordKey::of_session()) {
      merge<Session>(put, *stands);
    } else if (put.key.step == 0) {
      merge<Chain>(put, *stands);
    } else {
      merge<Step>(put, *stands);
    }
  }

  // Also where what had the number is deleted: what counts it, and is written too, tells.
  bool number_was_given(RecordKey key) const {
    const RecordKey parent =
        key.step == 0 ? RecordKey::of_session() : RecordKey::of_chain(key.chain);
    const StoredRecord* stands = theirs(parent);
    const bool counts = stands != nullptr &&
                        std::any_of(commit_.puts.begin(), commit_.puts.end(), [&](const Put& put) {
                          return put.key == parent && put.expected_version != 0;
                        });
    if (!counts || key.chain == 0) return false;
    return key.step == 0 ? decode<Session>(stands->bytes, parent).chain_count >= key.chain
                         : decode<Chain>(stands->bytes, parent).step_count >= key.step;
  }

  void must_be_live(std::uint32_t chain) const {
    const RecordKey key = RecordKey::of_chain(chain);
    const StoredRecord* stands = theirs(key);
    const bool made_here = std::any_of(commit_.puts.begin(), commit_.puts.end(), [&](const Put& p) {
      return p.key == key && p.expected_version == 0;
    });
    if (!made_here && (stands == nullptr || stands->archived))
      throw Refusal{name_of(key) + " has ended meanwhile"};
  }

  template <class T>
  void merge(const Put& put, const StoredRecord& stands) {
    const auto from = lineage_.find(put.key);
    if (from == lineage_.end()) throw Refusal{name_of(put.key) + " was not seen before"};
    const T base = decode<T>(from->second, put.key);
    const T ours = decode<T>(put.bytes, put.key);
    const T others = decode<T>(stands.bytes, put.key);
    const std::string our_change = difference(base, ours);
    T merged = patched(others, our_change);
    const T as_told = told(merged, ours);
    // Where the order of the two changes matters, both have changed the same.
    const T ours_last = patched(without_times(patched(base, difference(base, others))), our_change);
    const T theirs_last = patched(patched(base, our_change), difference(base, others));
    std::string our_values;
    if (schema::schema_of<T>().diff(without_times(theirs_last), without_times(ours_last),
                                    our_values))
      conflict(put.key, our_values,
               difference(without_times(ours_last), without_times(theirs_last)));
    const T before = merged;
    if (keep_ended(base, others, merged))
      // NOLINTNEXTLINE(readability-suspicious-call-argument): what was refused, and what stayed
      conflict(put.key, difference(merged, before), difference(before, merged));
    merged.updated_at = std::max(others.updated_at, ours.updated_at);
    keep(put.key, stands.version, as_told, merged);
  }

  // What of `merged` the events of the commit don't tell, one more tells.
  template <class T>
  void keep(RecordKey key, std::uint64_t expected, const T& as_told, const T& merged) {
    std::string text;
    schema::schema_of<T>().encode(merged, schema::Form::stored, text);
    const auto same = [&](const Put& put) { return put.key == key; };
    std::erase_if(out_.puts, same);
    out_.puts.push_back({key, Bytes(text), expected, expected + 1});
    std::string correction;
    if (schema::schema_of<T>().diff(as_told, merged, correction)) corrections_[key] = correction;
  }

  void erase(const Expect& erase) {
    const StoredRecord* stands = theirs(erase.key);
    if (stands == nullptr) return forget_deletion(erase.key);  // it is gone, as it was to be
    if (stands->archived) throw Refusal{name_of(erase.key) + " was archived meanwhile"};
    erase_once(erase.key, stands->version);
    // A chain takes the steps along that others have added.
    for (const RecordKey key : keys_)
      if (erase.key.step == 0 && key.chain == erase.key.chain && key.step != 0)
        if (const StoredRecord* step = theirs(key)) erase_once(key, step->version);
  }

  void erase_once(RecordKey key, std::uint64_t version) {
    const auto same = [&](const Expect& each) { return each.key == key; };
    if (std::none_of(out_.erases.begin(), out_.erases.end(), same))
      out_.erases.push_back({key, version});
  }

  // The log tells of each record's end once: who replays it would not find it the second time.
  void forget_deletion(RecordKey key) {
    const ChainId chain(commit_.session, key.chain);
    std::string member = key.step == 0 ? "\"chainId\":" : "\"stepId\":";
    json::append_string(member, key.step == 0 ? chain.str() : StepId(chain, key.step).str());
    std::erase_if(out_.events, [&](const NewEvent& event) {
      return event.type == (key.step == 0 ? "chain:deleted" : "step:deleted") &&
             event.bytes.view().find(member) != std::string_view::npos;
    });
  }

  std::vector<Step> steps_of(std::uint32_t chain) const {
    std::map<std::uint32_t, Step> steps;
    for (const RecordKey key : keys_)
      if (key.chain == chain && key.step != 0)
        if (const StoredRecord* stands = theirs(key))
          steps[key.step] = decode<Step>(stands->bytes, key);
    for (const Put& put : out_.puts)
      if (put.key.chain == chain && put.key.step != 0)
        steps[put.key.step] = decode<Step>(put.bytes, put.key);
    for (const Expect& erase : out_.erases)
      if (erase.key.chain == chain) steps.erase(erase.key.step);
    std::vector<Step> in_order;
    for (auto& [number, step] : steps) in_order.push_back(std::move(step));
    return in_order;
  }

  // A chain's counts and status follow its steps, those that others have changed included.
  void summarize_chains() {
    for (const Put& put : std::vector<Put>(out_.puts)) {
      if (put.key.chain == 0 || put.key.step != 0 || put.expected_version == 0) continue;
      const std::vector<Step> steps = steps_of(put.key.chain);
      const auto merged = decode<Chain>(put.bytes, put.key);
      Chain chain = merged;
      for (const Step& step : steps) chain.step_count = std::max(chain.step_count, step.number);
      chain.deleted_steps = chain.step_count - static_cast<std::uint32_t>(steps.size());
      summarize(chain, steps);
      const bool over = chain.status == ChainStatus::completed ||
                        chain.status == ChainStatus::cancelled ||
                        chain.status == ChainStatus::failed;
      if (over && !chain.completed_at) chain.completed_at = commit_.at;
      if (!over) chain.completed_at.reset();
      const bool archives = over && chain.status != ChainStatus::failed;
      const bool asked = std::count(commit_.archive.begin(), commit_.archive.end(), put.key.chain);
      if (archives || (over && asked)) {
        chain.archived_at = chain.archived_at.value_or(commit_.at);
        archived_.insert(put.key.chain);
      } else {
        chain.archived_at.reset();
      }
      // As the events tell it: `merged` differs from that by what was corrected already.
      const Chain as_told = told_of(put.key, merged);
      keep(put.key, put.expected_version, as_told, chain);
    }
  }

  // The chain as the commit's own events leave it on top of theirs.
  Chain told_of(RecordKey key, const Chain& merged) const {
    const auto from = lineage_.find(key);
    const StoredRecord* stands = theirs(key);
    const auto ours = std::find_if(commit_.puts.begin(), commit_.puts.end(),
                                   [&](const Put& put) { return put.key == key; });
    if (from == lineage_.end() || stands == nullptr || ours == commit_.puts.end()) return merged;
    const auto base = decode<Chain>(from->second, key);
    const auto after = decode<Chain>(ours->bytes, key);
    return told(patched(decode<Chain>(stands->bytes, key), difference(base, after)), after);
  }

  void archive() {
    for (const std::uint32_t chain : commit_.archive) {
      const bool put = std::any_of(out_.puts.begin(), out_.puts.end(), [&](const Put& p) {
        return p.key == RecordKey::of_chain(chain);
      });
      const bool made_here = put && theirs(RecordKey::of_chain(chain)) == nullptr;
      if (made_here) archived_.insert(chain);
    }
    out_.archive.assign(archived_.begin(), archived_.end());
  }

  void conflict(RecordKey key, const std::string& ours, const std::string& others) {
    std::string text = "{\"record\":";
    json::append_string(text, name_of(key));
    text += ",\"applied\":" + ours + ",\"replaced\":" + others + "}";
    conflicts_.push_back(std::move(text));
  }

  void add_event(std::string_view type, RecordKey about, const std::string& data) {
    std::string text = "{\"type\":";
    json::append_string(text, type);
    text += ",\"at\":";
    json::append_timestamp(text, now_);
    if (about.chain != 0) {
      const ChainId chain(commit_.session, about.chain);
      text += ",\"chainId\":";
      json::append_string(text, chain.str());
      if (about.step != 0) {
        text += ",\"stepId\":";
        json::append_string(text, StepId(chain, about.step).str());
      }
    }
    text += ",\"data\":" + data + "}";
    out_.events.push_back({Bytes(text), std::string(type), {}});
  }

  void finish() {
    if (!out_.end_session)
      for (const auto& [key, correction] : corrections_)
        add_event(key.chain == 0  ? "session:updated"
                  : key.step == 0 ? "chain:updated"
                                  : "step:updated",
                  key, correction);
    std::string data = "{\"operationId\":";
    json::append_string(data, commit_.operation_id);
    data += ",\"conflicts\":[";
    for (std::size_t i = 0; i < conflicts_.size(); ++i) data += (i == 0 ? "" : ",") + conflicts_[i];
    data += "]}";
    // What ends a session must stay its log's last event: numbers of chains are read from it.
    if (!out_.end_session) add_event("session:reconciled", RecordKey::of_session(), data);
    for (const RecordKey key : keys_) {
      const StoredRecord* stands = theirs(key);
      const auto same = [&](const auto& change) { return change.key == key; };
      const bool written = std::any_of(out_.puts.begin(), out_.puts.end(), same) ||
                           std::any_of(out_.erases.begin(), out_.erases.end(), same);
      if (!written) out_.expects.push_back({key, stands != nullptr ? stands->version : 0});
    }
    for (const Put& put : out_.puts)
      if (put.key == RecordKey::of_session())
        if (const auto session = decode<Session>(put.bytes, put.key); true)
          out_.listed = ListKeys{session.user_id, std::string(to_string(session.state))};
  }

  const Commit& commit_;
  const Lineage& lineage_;
  const std::span<const RecordKey> keys_;
  const ReadResult& read_;
  const Timestamp now_;

  Commit out_;
  std::set<std::uint32_t> archived_;
  std::map<RecordKey, std::string> corrections_;
  std::vector<std::string> conflicts_;
};

}  // namespace

std::vector<RecordKey> rebase_keys(const Commit& commit) {
  std::set<RecordKey> keys{RecordKey::of_session()};
  for (const Put& put : commit.puts) {
    keys.insert(put.key);
    if (put.key.step != 0) keys.insert(RecordKey::of_chain(put.key.chain));
  }
  for (const Expect& erase : commit.erases) keys.insert(erase.key);
  for (const std::uint32_t chain : commit.archive) keys.insert(RecordKey::of_chain(chain));
  return {keys.begin(), keys.end()};
}

std::vector<RecordKey> rebase_more_keys(const Commit& commit, std::span<const RecordKey> keys,
                                        const ReadResult& read) {
  std::set<RecordKey> more;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const RecordKey key = keys[i];
    const auto same = [&](const auto& change) { return change.key == key; };
    const bool written = std::any_of(commit.puts.begin(), commit.puts.end(), same) ||
                         std::any_of(commit.erases.begin(), commit.erases.end(), same);
    if (key.chain == 0 || key.step != 0 || !read.records[i] || !written) continue;
    Chain chain;
    Issues ignored;
    if (!schema::schema_of<Chain>().decode(read.records[i]->bytes.view(), schema::Form::stored,
                                           chain, ignored, stored_limits))
      continue;
    for (std::uint32_t n = 1; n <= chain.step_count; ++n)
      more.insert(RecordKey::of_step(key.chain, n));
  }
  for (const RecordKey key : keys) more.erase(key);
  return {more.begin(), more.end()};
}

Rebased rebase(const Commit& commit, const Lineage& lineage, std::span<const RecordKey> keys,
               const ReadResult& read, Timestamp now) {
  return Rebase(commit, lineage, keys, read, now).run();
}

}  // namespace actionflows

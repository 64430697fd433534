// Commits that read like what they do:
//
//   commit(Change(s).create(ann));
//   commit(Change(s).put(chain(1)).put(step(1, 1)));
//   commit(Change(s).put(chain(1), 1).move_to_archive(1));
//   commit(Change(s).end());
//
// Everything not said is filled in: an operation id of its own, one event, bytes that name the
// record and its version.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows::test {

using namespace std::chrono_literals;

// When tests happen. Far ahead, so that no real clock ever ends what a test has stored.
inline const Timestamp test_start = *parse_rfc3339("2200-01-01T00:00:00Z");

inline constexpr RecordKey session_record = RecordKey::of_session();
inline constexpr RecordKey credentials = RecordKey::of_credentials();
constexpr RecordKey chain(std::uint32_t number) { return RecordKey::of_chain(number); }
constexpr RecordKey step(std::uint32_t of_chain, std::uint32_t number) {
  return RecordKey::of_step(of_chain, number);
}

inline std::string to_string(RecordKey key) {
  if (key == session_record) return "session";
  if (key == credentials) return "credentials";
  std::string name = "c";
  name.append(std::to_string(key.chain));
  if (key.step != 0) name.append(".s").append(std::to_string(key.step));
  return name;
}

inline Bytes bytes_of(RecordKey key, std::uint64_t version) {
  return Bytes(to_string(key).append(" v").append(std::to_string(version)));
}

inline std::string next_operation_id() {
  static std::atomic<std::uint64_t> count{0};
  return std::string("op-").append(std::to_string(++count));
}

class Change : public Commit {
 public:
  explicit Change(SessionId id, Timestamp when = test_start) {
    session = std::move(id);
    operation_id = next_operation_id();
    at = when;
    event("test:changed");
    default_event_ = true;
  }

  // A new session that expires an hour later.
  Change& create(const UserId& user, std::string state = "active") {
    return put(session_record).active_until(at + 1h).list_as(user, std::move(state));
  }

  // Replaces the record of version `expected` by the next version; 0 makes a new record.
  Change& put(RecordKey key, std::uint64_t expected = 0) {
    return put(key, expected, bytes_of(key, expected + 1));
  }
  Change& put(RecordKey key, std::uint64_t expected, Bytes bytes) {
    puts.push_back({key, std::move(bytes), expected, expected + 1});
    return *this;
  }
  Change& expect(RecordKey key, std::uint64_t version) {
    expects.push_back({key, version});
    return *this;
  }
  Change& erase(RecordKey key, std::uint64_t version) {
    erases.push_back({key, version});
    return *this;
  }
  Change& move_to_archive(std::uint32_t number) {
    archive.push_back(number);
    return *this;
  }
  Change& end() {
    end_session = true;
    return *this;
  }

  Change& operation(std::string id) {
    operation_id = std::move(id);
    return *this;
  }
  Change& repeat() {
    may_repeat = true;
    return *this;
  }
  Change& after_event(std::uint64_t sequence) {
    expected_last_sequence = sequence;
    return *this;
  }
  Change& only_if(Precondition condition) {
    precondition = condition;
    return *this;
  }

  // The first call to one of these replaces the event that is there from the start.
  Change& event(std::string type, std::string text = {}, std::string own_operation = {}) {
    if (std::exchange(default_event_, false)) events.clear();
    if (text.empty()) text = type + " #" + std::to_string(events.size());
    events.push_back({Bytes(text), std::move(type), std::move(own_operation)});
    return *this;
  }
  Change& event_count(std::size_t count) {
    no_events();
    while (events.size() < count) event("test:counted");
    return *this;
  }
  Change& no_events() {
    default_event_ = false;
    events.clear();
    return *this;
  }
  Change& first_event(std::uint64_t sequence) {
    first_sequence = sequence;
    return *this;
  }

  Change& active_until(Timestamp expires) {
    activity = Activity{at, expires};
    return *this;
  }
  Change& list_as(const UserId& user, std::string state) {
    listed = ListKeys{user, std::move(state)};
    return *this;
  }

 private:
  bool default_event_ = false;
};

// For those who keep it.
inline std::shared_ptr<const Commit> shared(Commit commit) {
  return std::make_shared<const Commit>(std::move(commit));
}

}  // namespace actionflows::test

#include "actionflows/storage/redis/keys.hpp"

#include "actionflows/storage/redis/slots.hpp"

#include <algorithm>

namespace actionflows::redis {
namespace {

// A brace in a user's name would make a hash tag, and so put the user's index where some session
// is.
std::string without_braces(std::string_view name) {
  std::string encoded;
  for (const char c : name) {
    switch (c) {
      case '{': encoded += "%7B"; break;
      case '}': encoded += "%7D"; break;
      case '%': encoded += "%25"; break;
      default: encoded += c;
    }
  }
  return encoded;
}

}  // namespace

bool is_key_prefix(std::string_view text) {
  const auto fits = [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= 100 && std::ranges::all_of(text, fits);
}

std::string Keys::session(const SessionId& id) const {
  return std::string(prefix_).append(":{").append(id.str()).append("}");
}
std::string Keys::log(const SessionId& id) const { return session(id).append(":log"); }
std::string Keys::archive(const SessionId& id) const { return session(id).append(":archive"); }

std::string Keys::shard_key(std::string_view name, std::size_t shard) const {
  std::string key(prefix_);
  return key.append(":").append(name).append(":{#").append(std::to_string(shard)).append("}");
}

std::string Keys::sessions(std::size_t shard) const { return shard_key("sessions", shard); }
std::string Keys::ended(std::size_t shard) const { return shard_key("ended", shard); }
std::string Keys::archived(std::size_t shard) const { return shard_key("archived", shard); }
std::string Keys::claims(std::size_t shard) const { return shard_key("claims", shard); }
std::string Keys::store(std::size_t shard) const { return shard_key("store", shard); }

std::string Keys::user(const UserId& user) const {
  return std::string(prefix_).append(":user:").append(without_braces(user.str()));
}
std::string Keys::chains(const UserId& user) const {
  return std::string(prefix_).append(":chains:").append(without_braces(user.str()));
}
std::string Keys::wakeups(int database) const {
  return std::string(prefix_).append(":wakeups:").append(std::to_string(database));
}

std::size_t shard_of(const SessionId& id) { return slot_of(id.str()) % shards; }

std::string field_of(RecordKey key) {
  if (key == RecordKey::of_session()) return "session";
  if (key == RecordKey::of_credentials()) return "credentials";
  std::string field("c");
  field.append(std::to_string(key.chain));
  if (key.step != 0) field.append(".s").append(std::to_string(key.step));
  return field;
}

}  // namespace actionflows::redis

// What a server's answers say. Members that are not known are passed over, so that a program and a
// server of neighbouring versions understand each other.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/model/ids.hpp"
#include "actionflows/services/event_log.hpp"
#include "cli/http_client.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::cli {

// A refusal as the server put it (a problem document): its code, words and issues. A refusal in any
// other form becomes `unavailable`, with the status.
StorageError error_of(const HttpAnswer& answer);

// A page of sessions.
struct SessionNames {
  std::vector<SessionId> ids;
  std::vector<std::string> corrupt;  // ids of sessions that can't be read
  std::optional<std::string> next_cursor;
};

// All of these throw Failure for what is none of this kind.
SessionNames session_names_of(std::string_view body);
bool stored_of(std::string_view body);                  // of an import: false: it was there already
std::uint64_t last_sequence_of(std::string_view body);  // of a page of events
Verification verification_of(std::string_view body);

// An event or a notice of a stream, for a line of text; what is not there is empty or 0.
struct StreamItem {
  std::string session;
  std::uint64_t sequence = 0;
  std::string type;
  std::string at;
  std::string actor;
  std::string chain;
  std::string step;
};
StreamItem stream_item_of(std::string_view data);

// The events that a stream could not deliver.
EventFollower::Gap gap_of(std::string_view data);

}  // namespace actionflows::cli

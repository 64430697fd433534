#include "server/api/paging.hpp"

#include "actionflows/json/writer.hpp"

namespace actionflows::api {

std::string ItemsWriter::finish(std::string_view members) && {
  out_ += ']';
  if (!members.empty()) out_.append(",").append(members);
  if (!corrupt_.empty()) {
    out_ += ",\"corrupt\":[";
    for (const CorruptView& corrupt : corrupt_) {
      if (&corrupt != corrupt_.data()) out_ += ',';
      schema::schema_of<CorruptView>().encode(corrupt, schema::Form::full, out_);
    }
    out_ += ']';
  }
  out_ += '}';
  return std::move(out_);
}

std::string next_cursor_member(const std::optional<std::string>& cursor) {
  std::string member = "\"nextCursor\":";
  if (cursor) {
    json::append_string(member, *cursor);
  } else {
    member += "null";
  }
  return member;
}

}  // namespace actionflows::api

#include "actionflows/storage/resilient/log_damage.hpp"

#include "actionflows/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

namespace actionflows {
namespace {

constexpr std::size_t head_size = 32;
constexpr std::size_t frame_head_size = 24;
constexpr std::uint32_t magic = 0x377f0682;  // with the lowest bit: checksums are big-endian

std::uint32_t number_at(std::string_view bytes, std::size_t at, bool big_endian = true) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[at + (big_endian ? i : 3 - i)]);
    number = number << 8 | byte;
  }
  return number;
}

// Goes on from frame to frame: one that is damaged makes all behind it wrong.
struct Checksum {
  bool big_endian = false;
  std::uint32_t first = 0;
  std::uint32_t second = 0;

  void add(std::string_view bytes) {
    for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      first += number_at(bytes, at, big_endian) + second;
      second += number_at(bytes, at + 4, big_endian) + first;
    }
  }
  [[nodiscard]] bool stands_in(std::string_view bytes, std::size_t at) const {
    return number_at(bytes, at) == first && number_at(bytes, at + 4) == second;
  }
};

std::string read_log(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string log(std::istreambuf_iterator<char>(file), {});
  if (!file.is_open() || file.bad())
    throw failure(ErrorCode::unavailable, "the journal's log can't be read", "journal");
  return log;
}

bool is_page_size(std::uint32_t size) {
  return size >= 512 && size <= 65'536 && (size & (size - 1)) == 0;
}

}  // namespace

std::string log_damage(const std::string& database_path) {
  const std::string path = database_path + "-wal";
  if (!std::filesystem::exists(path)) return {};
  const std::string content = read_log(path);
  const std::string_view log = content;
  if (log.size() <= head_size) return {};  // nothing was committed to it

  Checksum checksum;
  checksum.big_endian = (number_at(log, 0) & 1) != 0;
  checksum.add(log.substr(0, 24));
  const std::uint32_t page_size = number_at(log, 8);
  const bool head_is_sound =
      (number_at(log, 0) & ~1u) == magic && is_page_size(page_size) && checksum.stands_in(log, 24);
  if (!head_is_sound) return "the head of the journal's log is damaged: what it held is lost";

  const std::string_view salt = log.substr(16, 8);
  std::size_t unsound = 0;  // the first frame that is, counted from 1
  std::size_t behind = 0;   // frames of this log behind it
  std::size_t number = 0;
  for (std::size_t at = head_size; at + frame_head_size + page_size <= log.size();
       at += frame_head_size + page_size) {
    ++number;
    const std::string_view head = log.substr(at, frame_head_size);
    const bool is_of_this_log = head.substr(8, 8) == salt;
    checksum.add(head.substr(0, 8));
    checksum.add(log.substr(at + frame_head_size, page_size));
    if (unsound != 0) {
      if (is_of_this_log) ++behind;
    } else if (!is_of_this_log || !checksum.stands_in(head, 16)) {
      unsound = number;
    }
  }
  if (behind == 0) return {};
  return "the journal's log is damaged at frame " + std::to_string(unsound) + " of " +
         std::to_string(unsound + behind) + ": what was written from there on is lost";
}

}  // namespace actionflows

#include "cli/line_reader.hpp"

#include "cli/failure.hpp"
#include "cli/quantities.hpp"

#include <fmt/core.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

namespace actionflows::cli {
namespace {

constexpr unsigned buffer_bytes = 256 << 10;

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\v\f") == text.npos; }

}  // namespace

struct LineReader::Input {
  std::string name;  // for messages
  std::size_t longest = 0;
  int descriptor = -1;
  std::optional<std::uint64_t> size;

  // What lies in the file: as it was read, and what of that is not used yet.
  std::vector<char> raw = std::vector<char>(buffer_bytes);
  std::string_view unused;
  std::uint64_t raw_bytes = 0;
  bool looked_at = false;

  // Where it is gzipped. zlib's own reading of files passes over whatever follows a member and
  // does not begin as one, so that damage there would go unnoticed.
  bool gzipped = false;
  z_stream unpacking = {};
  bool in_member = false;
  bool member_ended = false;
  std::vector<char> unpacked;

  std::string_view rest;  // of either buffer: not handed out yet
  bool at_end = false;
  std::optional<Failure> failure;  // what ended it, once all before it is handed out

  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;

  ~Input() {
    if (gzipped) ::inflateEnd(&unpacking);
    if (descriptor >= 0) ::close(descriptor);
  }

  void open(const std::string& path);
  bool read_line(Line& line);
  bool has_more();
  void fill();
  void look_at();
  bool read_more();
  void unpack();
  void end_with(const std::string& what);
};

void LineReader::Input::open(const std::string& path) {
  name = path == "-" ? "standard input" : path;
  descriptor = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw Failure(fmt::format("can't read {}: {}", name, std::strerror(errno)));
  struct stat about = {};
  ::fstat(descriptor, &about);
  if (S_ISDIR(about.st_mode)) throw Failure(fmt::format("can't read {}: it is a folder", name));
  if (S_ISREG(about.st_mode)) size = static_cast<std::uint64_t>(about.st_size);
}

// False: there is none left.
bool LineReader::Input::read_line(Line& line) {
  line = Line();
  line.number = lines + 1;
  bool begun = false;
  bool ended = false;
  for (; !ended && has_more(); begun = true) {
    const std::size_t end = rest.find('\n');
    ended = end != rest.npos;
    const std::string_view piece = rest.substr(0, end);
    const std::size_t used = piece.size() + (ended ? 1 : 0);
    rest.remove_prefix(used);
    bytes += used;
    // One byte more than allowed may be a \r.
    line.too_long = line.too_long || line.text.size() + piece.size() > longest + 1;
    if (!line.too_long) line.text += piece;
  }
  if (!begun) return false;
  ++lines;
  if (line.text.ends_with('\r')) line.text.pop_back();
  line.too_long = line.too_long || line.text.size() > longest;
  if (line.too_long) line.text = {};
  return true;
}

bool LineReader::Input::has_more() {
  if (rest.empty() && !at_end) fill();
  if (rest.empty() && failure) throw Failure(*failure);
  return !rest.empty();
}

void LineReader::Input::fill() {
  if (!looked_at) look_at();
  if (gzipped) return unpack();
  if (unused.empty() && (at_end || !read_more())) return;
  rest = std::exchange(unused, {});
}

// Finds out whether it is gzipped.
void LineReader::Input::look_at() {
  constexpr std::string_view magic = "\x1F\x8B";
  looked_at = true;
  while (unused.size() < magic.size() && read_more()) {
  }
  if (!unused.starts_with(magic)) return;
  constexpr int largest_window_of_gzip = 15 + 16;
  if (::inflateInit2(&unpacking, largest_window_of_gzip) != Z_OK) throw std::bad_alloc();
  gzipped = true;
  unpacked.resize(buffer_bytes);
}

// Reads behind what is not used yet, of which there is at most a little. False: there is no more.
bool LineReader::Input::read_more() {
  std::ranges::copy(unused, raw.begin());
  const std::size_t kept = unused.size();
  ssize_t count = 0;
  do {
    count = ::read(descriptor, raw.data() + kept, raw.size() - kept);
  } while (count < 0 && errno == EINTR);
  if (count < 0)
    failure = Failure(fmt::format("can't read {}: {} (after {})", name, std::strerror(errno),
                                  counted(lines, "line")));
  at_end = count <= 0;
  const auto more = static_cast<std::size_t>(std::max<ssize_t>(count, 0));
  raw_bytes += more;
  unused = {raw.data(), kept + more};
  return more != 0;
}

// Some more of it, or what ends it.
void LineReader::Input::unpack() {
  while (rest.empty() && !failure) {
    if (unused.empty() && !read_more()) {
      if (in_member && !failure) end_with("is cut off: its gzip data breaks off");
      return;
    }
    if (!std::exchange(in_member, true)) ::inflateReset(&unpacking);
    unpacking.next_in = reinterpret_cast<Bytef*>(raw.data() + (unused.data() - raw.data()));
    unpacking.avail_in = static_cast<uInt>(unused.size());
    unpacking.next_out = reinterpret_cast<Bytef*>(unpacked.data());
    unpacking.avail_out = static_cast<uInt>(unpacked.size());
    const int code = ::inflate(&unpacking, Z_NO_FLUSH);
    unused.remove_prefix(unused.size() - unpacking.avail_in);
    rest = {unpacked.data(), unpacked.size() - unpacking.avail_out};
    if (code == Z_STREAM_END) {
      in_member = false;
      member_ended = true;
    } else if (code == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (code != Z_OK && code != Z_BUF_ERROR) {  // the latter: it needs more
      const bool behind = member_ended && unpacking.total_out == 0;
      end_with(behind ? "is damaged: there is something else than gzip data"
                      : "is damaged: its gzip data makes no sense");
    }
  }
}

void LineReader::Input::end_with(const std::string& what) {
  at_end = true;
  failure = Failure(fmt::format("{} {} after {}", name, what, counted(lines, "line")));
}

LineReader::LineReader(const std::string& file, std::size_t longest)
    : input_(std::make_unique<Input>()) {
  input_->longest = longest;
  input_->open(file);
}

LineReader::~LineReader() = default;

std::optional<LineReader::Line> LineReader::next() {
  Line line;
  while (input_->read_line(line))
    if (line.too_long || !is_blank(line.text)) return line;
  return std::nullopt;
}

std::uint64_t LineReader::position() const { return input_->raw_bytes - input_->unused.size(); }

std::optional<std::uint64_t> LineReader::size() const { return input_->size; }
std::uint64_t LineReader::lines() const { return input_->lines; }
std::uint64_t LineReader::bytes() const { return input_->bytes; }

}  // namespace actionflows::cli

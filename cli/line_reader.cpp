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
#include <vector>

namespace actionflows::cli {
namespace {

constexpr unsigned buffer_bytes = 256 << 10;

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\v\f") == text.npos; }

}  // namespace

struct LineReader::Input {
  std::string name;  // for messages
  std::size_t longest = 0;
  gzFile file = nullptr;
  std::optional<std::uint64_t> size;

  std::vector<char> buffer = std::vector<char>(buffer_bytes);
  std::string_view rest;  // of the buffer: not handed out yet
  bool at_end = false;
  std::optional<Failure> failure;  // what ended it, once all before it is handed out

  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;

  ~Input() {
    if (file != nullptr) ::gzclose_r(file);
  }

  void open(const std::string& path);
  bool read_line(Line& line);
  bool has_more();
  void fill();
  [[nodiscard]] Failure damage() const;
};

void LineReader::Input::open(const std::string& path) {
  name = path == "-" ? "standard input" : path;
  const int descriptor =
      path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw Failure(fmt::format("can't read {}: {}", name, std::strerror(errno)));
  struct stat about = {};
  ::fstat(descriptor, &about);
  if (S_ISDIR(about.st_mode)) {
    ::close(descriptor);
    throw Failure(fmt::format("can't read {}: it is a folder", name));
  }
  if (S_ISREG(about.st_mode)) size = static_cast<std::uint64_t>(about.st_size);
  file = ::gzdopen(descriptor, "rb");
  if (file == nullptr) {
    ::close(descriptor);
    throw Failure(fmt::format("can't read {}: out of memory", name));
  }
  ::gzbuffer(file, buffer_bytes);
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

// zlib passes on what is not gzipped as it is.
void LineReader::Input::fill() {
  const int count = ::gzread(file, buffer.data(), buffer_bytes);
  rest = {buffer.data(), static_cast<std::size_t>(std::max(count, 0))};
  if (count == static_cast<int>(buffer_bytes)) return;
  at_end = true;
  int code = Z_OK;
  ::gzerror(file, &code);
  if (code != Z_OK) failure = damage();
}

Failure LineReader::Input::damage() const {
  int code = Z_OK;
  static_cast<void>(::gzerror(file, &code));
  const std::string place = fmt::format("after {}", counted(lines, "line"));
  if (code == Z_BUF_ERROR)
    return Failure(fmt::format("{} is cut off: its gzip data breaks off {}", name, place));
  if (code == Z_ERRNO)
    return Failure(fmt::format("can't read {}: {} ({})", name, std::strerror(errno), place));
  return Failure(fmt::format("the gzip data of {} is damaged {}", name, place));
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

std::uint64_t LineReader::position() const {
  const auto offset = ::gzoffset(input_->file);
  return offset < 0 ? input_->bytes : static_cast<std::uint64_t>(offset);
}

std::optional<std::uint64_t> LineReader::size() const { return input_->size; }
std::uint64_t LineReader::lines() const { return input_->lines; }
std::uint64_t LineReader::bytes() const { return input_->bytes; }

}  // namespace actionflows::cli

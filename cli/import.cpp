#include "cli/import.hpp"

#include "actionflows/services/interchange.hpp"
#include "cli/quantities.hpp"
#include "cli/run_tasks.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

namespace actionflows::cli {
namespace {

constexpr std::size_t max_issues_told = 20;  // of one line

class Importer {
 public:
  Importer(LineReader& lines, Backend& backend, const ImportOptions& options,
           const ImportWatch& watch)
      : lines_(lines), backend_(backend), options_(options), watch_(watch) {}

  // Takes lines and stores them until there are no more or something ends it.
  Task<void> work();

  ImportReport report() && {
    report_.bytes = lines_.bytes();
    return std::move(report_);
  }

 private:
  Task<void> store(LineReader::Line line);
  std::optional<LineReader::Line> take();
  void refuse(std::uint64_t number, const StorageError& error);
  void end_line(std::uint64_t number);
  void fail(std::exception_ptr error);

  // constant after construction
  LineReader& lines_;
  Backend& backend_;
  const ImportOptions& options_;
  const ImportWatch& watch_;

  ImportReport report_;
  bool over_ = false;

  // Lines end in another order than they began in. They are told of in order: a line under way
  // holds back what there is to say of those behind it.
  struct Told {
    bool ended = false;
    std::vector<std::string> texts;
  };
  std::map<std::uint64_t, Told> under_way_;
};

Task<void> Importer::work() {
  while (auto line = take()) co_await store(std::move(*line));
}

std::optional<LineReader::Line> Importer::take() {
  if (over_) return std::nullopt;
  try {
    auto line = lines_.next();
    if (!line) {
      over_ = true;
      return std::nullopt;
    }
    ++report_.read;
    under_way_.try_emplace(line->number);
    return line;
  } catch (const Failure&) {
    fail(std::current_exception());
    return std::nullopt;
  }
}

Task<void> Importer::store(LineReader::Line line) {
  const std::uint64_t number = line.number;
  try {
    if (line.too_long)
      throw StorageError(ErrorCode::invalid,
                         fmt::format("the line is longer than {} MiB", max_line_bytes >> 20));
    const bool stored = co_await backend_.import_line(std::move(line.text), options_.user);
    ++(stored ? report_.stored : report_.present);
  } catch (const StorageError& error) {
    const bool is_backend =
        error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout;
    if (is_backend) {
      fail(std::current_exception());
    } else {
      refuse(number, error);
    }
  } catch (const std::exception&) {
    fail(std::current_exception());
  }
  end_line(number);
}

void Importer::refuse(std::uint64_t number, const StorageError& error) {
  ++report_.refused;
  under_way_[number].texts = refusal_texts(number, error);
  if (options_.strict) over_ = true;
}

void Importer::end_line(std::uint64_t number) {
  under_way_[number].ended = true;
  while (!under_way_.empty() && under_way_.begin()->second.ended) {
    for (const std::string& text : under_way_.begin()->second.texts) watch_.refused(text);
    under_way_.erase(under_way_.begin());
  }
  watch_.advanced({.items = report_.read - under_way_.size(),
                   .done = lines_.position(),
                   .total = lines_.size()});
}

void Importer::fail(std::exception_ptr error) {
  over_ = true;
  if (!report_.failure) report_.failure = std::move(error);
}

}  // namespace

ImportReport import_lines(boost::asio::io_context& context, LineReader& lines, Backend& backend,
                          const ImportOptions& options, const ImportWatch& watch) {
  Importer importer(lines, backend, options, watch);
  run_workers(context, backend.parallelism(), [&] { return importer.work(); });
  return std::move(importer).report();
}

std::string summary_of(const ImportReport& report, std::chrono::nanoseconds elapsed) {
  return fmt::format("{} read: {} stored, {} already there, {} refused ({} in {})",
                     counted(report.read, "line"), grouped(report.stored), grouped(report.present),
                     grouped(report.refused), size_text(report.bytes), duration_text(elapsed));
}

std::vector<std::string> refusal_texts(std::uint64_t number, const StorageError& error) {
  const std::string line = fmt::format("line {}: ", number);
  if (error.issues.empty()) return {line + printable(error.what())};
  std::vector<std::string> texts;
  const std::size_t told = std::min(error.issues.size(), max_issues_told);
  for (std::size_t i = 0; i < told; ++i) {
    const Issue& issue = error.issues[i];
    std::string text = to_string(issue.path);
    if (!text.empty()) text += ": ";
    text += issue.message;
    // Of a text of one line, the JSON's line is always the first: the input's is meant.
    if (const std::size_t at = text.find(" at line 1, column "); at != text.npos)
      text.replace(at, 19, " at column ");
    texts.push_back(line + printable(text));
  }
  if (told < error.issues.size())
    texts.push_back(line + "and " + counted(error.issues.size() - told, "further issue"));
  return texts;
}

}  // namespace actionflows::cli

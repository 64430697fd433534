// Import: recorded runs and exports, line by line, into a backend.
#pragma once

#include "actionflows/model/ids.hpp"
#include "cli/backend.hpp"
#include "cli/line_reader.hpp"
#include "cli/progress.hpp"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace actionflows::cli {

struct ImportOptions {
  std::optional<UserId> user;  // whose the runs are that name none
  bool strict = false;         // the first refused line ends it
};

// Who is told of what happens on the way.
struct ImportWatch {
  // A line of text about a refused line of input; in the order of the input.
  std::function<void(const std::string&)> refused;
  // Often.
  std::function<void(const Advance&)> advanced;
};

// What became of the lines. read = stored + present + refused, but for lines that were under way
// when something ended it.
struct ImportReport {
  std::uint64_t read = 0;  // without blank ones
  std::uint64_t stored = 0;
  std::uint64_t present = 0;  // were there already
  std::uint64_t refused = 0;
  std::uint64_t bytes = 0;     // of the input, unpacked
  std::exception_ptr failure;  // what ended it early: reading or the backend failed
};

// Never throws for what is wrong with the input or the backend: that stands in the report.
ImportReport import_lines(boost::asio::io_context& context, LineReader& lines, Backend& backend,
                          const ImportOptions& options, const ImportWatch& watch);

// "272 lines read: 272 stored, 0 already there, 0 refused (12.9 MB in 1.9 s)".
std::string summary_of(const ImportReport& report, std::chrono::nanoseconds elapsed);

// What there is to say of line `number` when it was refused: a text for each issue.
std::vector<std::string> refusal_texts(std::uint64_t number, const StorageError& error);

}  // namespace actionflows::cli

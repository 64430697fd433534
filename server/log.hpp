// The server's log: one line per event, as logfmt or as JSON, for machines first.
//
//   time=2026-02-11T20:31:53.375Z level=info event=listening host=127.0.0.1 port=3001
//   {"time":"2026-02-11T20:31:53.375Z","level":"info","event":"listening","host":"127.0.0.1", ...}
#pragma once

#include <spdlog/logger.h>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows {

enum class LogFormat { logfmt, json };

std::optional<LogFormat> parse_log_format(std::string_view text);

// What goes into a line beside its event. Never a secret.
class LogField {
 public:
  LogField(std::string_view name, std::string_view value) : name_(name), text_(value) {}
  LogField(std::string_view name, const char* value) : name_(name), text_(value) {}
  LogField(std::string_view name, std::integral auto value)
      : name_(name), number_(static_cast<std::int64_t>(value)), is_number_(true) {}

 private:
  friend class Log;
  std::string_view name_;
  std::string_view text_;
  std::int64_t number_ = 0;
  bool is_number_ = false;
};

using LogFields = std::initializer_list<LogField>;

// Thread-safety: shared objects: safe.
class Log {
 public:
  // `logger` decides where lines go and from which level on; it must take calls from several
  // threads. Its pattern is set to the bare line.
  Log(std::shared_ptr<spdlog::logger> logger, LogFormat format);

  // Writes nothing.
  Log();

  void info(std::string_view event, LogFields fields = {}) const {
    write(spdlog::level::info, event, fields);
  }
  void warn(std::string_view event, LogFields fields = {}) const {
    write(spdlog::level::warn, event, fields);
  }
  void error(std::string_view event, LogFields fields = {}) const {
    write(spdlog::level::err, event, fields);
  }

  // Whether lines of that level are written at all.
  [[nodiscard]] bool takes(spdlog::level::level_enum level) const;

 private:
  void write(spdlog::level::level_enum level, std::string_view event, LogFields fields) const;

  std::shared_ptr<spdlog::logger> logger_;  // nullptr: nothing is written
  LogFormat format_ = LogFormat::logfmt;
};

// To standard error, which is flushed with each line: nothing of a crash is lost.
Log log_to_stderr(LogFormat format);

}  // namespace actionflows

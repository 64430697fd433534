#include "server/log.hpp"

#include "actionflows/base/clock.hpp"

#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <utility>

namespace actionflows {
namespace {

// Bytes that could break a line or its quoting, and those that are no ASCII, become escapes: what
// clients send can't forge a line.
void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else if (byte < ' ' || byte > '~') {
      out.append("\\u00").append({digits[byte >> 4], digits[byte & 15]});
    } else {
      out += c;
    }
  }
}

bool is_bare(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c <= '~' && c != '"' && c != '\\' && c != '=';
  });
}

// Begins a field; the first one has no separator before it.
void append_name(std::string& out, std::string_view name, LogFormat format) {
  const bool is_json = format == LogFormat::json;
  if (out.size() > (is_json ? 1U : 0U)) out += is_json ? ',' : ' ';
  if (is_json) out += '"';
  out += name;
  out += is_json ? "\":" : "=";
}

void append_text(std::string& out, std::string_view text, LogFormat format) {
  const bool quotes = format == LogFormat::json || !is_bare(text);
  if (quotes) out += '"';
  append_escaped(out, text);
  if (quotes) out += '"';
}

std::string_view name_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::warn: return "warn";
    case spdlog::level::err: return "error";
    default: return "info";
  }
}

}  // namespace

std::optional<LogFormat> parse_log_format(std::string_view text) {
  if (text == "logfmt") return LogFormat::logfmt;
  if (text == "json") return LogFormat::json;
  return std::nullopt;
}

Log::Log() = default;

Log::Log(std::shared_ptr<spdlog::logger> logger, LogFormat format)
    : logger_(std::move(logger)), format_(format) {
  logger_->set_pattern("%v");
}

bool Log::takes(spdlog::level::level_enum level) const {
  return logger_ && logger_->should_log(level);
}

void Log::write(spdlog::level::level_enum level, std::string_view event, LogFields fields) const {
  if (!takes(level)) return;
  thread_local std::string line;
  line.clear();
  if (format_ == LogFormat::json) line += '{';
  const auto add = [&](std::string_view name, std::string_view value) {
    append_name(line, name, format_);
    append_text(line, value, format_);
  };
  add("time", format_rfc3339(system_clock().now()));
  add("level", name_of(level));
  add("event", event);
  for (const LogField& field : fields) {
    if (field.is_number_) {
      append_name(line, field.name_, format_);
      line += std::to_string(field.number_);
    } else {
      add(field.name_, field.text_);
    }
  }
  if (format_ == LogFormat::json) line += '}';
  logger_->log(level, spdlog::string_view_t(line.data(), line.size()));
}

Log log_to_stderr(LogFormat format) {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  return {std::make_shared<spdlog::logger>("actionflows", std::move(sink)), format};
}

}  // namespace actionflows

#include "cli/open_storage.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"
#include "actionflows/storage/resilient/resilient_storage.hpp"
#include "actionflows/storage/sqlite/sqlite_storage.hpp"
#include "cli/failure.hpp"
#include "cli/quantities.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace actionflows::cli {
namespace {

constexpr std::string_view supported = "there are memory:, sqlite:PATH and redis://HOST";

// "redis://" of a URL, whose rest may be a secret; nothing of what is no URL.
std::string scheme_of(std::string_view url) {
  const std::size_t end = url.find(':');
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '+'; };
  if (end == url.npos || end == 0 || !std::ranges::all_of(url.substr(0, end), letter)) return {};
  return std::string(url.substr(0, end + 1));
}

constexpr std::string_view sqlite_scheme = "sqlite:";

// The path in a URL of sqlite; nullopt: it is another URL.
std::optional<std::string> sqlite_path(std::string_view url) {
  if (!url.starts_with(sqlite_scheme)) return std::nullopt;
  url.remove_prefix(sqlite_scheme.size());
  if (url.empty()) throw UsageError("sqlite: names no file; it looks like sqlite:actionflows.db");
  return std::string(url);
}

// Throws UsageError for a URL that is none; `asked` names where it stands.
RedisOptions redis_options(std::string_view url, std::string_view asked) {
  try {
    return parse_redis_url(url);
  } catch (const StorageError& error) {
    throw UsageError(fmt::format("{}: {}", asked, error.message()));
  }
}

UsageError unknown_storage(std::string_view url) {
  const std::string scheme = scheme_of(url);
  return UsageError(fmt::format("unknown storage URL{}; {}",
                                scheme.empty() ? "" : fmt::format(" \"{}...\"", scheme),
                                supported));
}

// The URL, and what of the wishes was in vain.
StorageChoice choose_url(const StorageWishes& wishes) {
  StorageChoice choice;
  if (!wishes.url.empty()) {
    if (is_redis_url(wishes.url)) {
      redis_options(wishes.url, "the storage URL");
    } else if (!is_memory(wishes.url) && !sqlite_path(wishes.url)) {
      throw unknown_storage(wishes.url);
    }
    choice.url = wishes.url;
    if (!wishes.redis_url.empty())
      choice.notes.emplace_back("REDIS_URL is set but not used: the storage was given");
    return choice;
  }
  const std::string& stage = wishes.node_env;
  if (stage == "production") {
    if (wishes.redis_url.empty()) {
      throw UsageError(
          "NODE_ENV is production, and no storage is set: set REDIS_URL, for example to "
          "redis://127.0.0.1:6379, or ACTIONFLOWS_STORAGE (or give --storage), for example to "
          "sqlite:actionflows.db");
    }
    if (!is_redis_url(wishes.redis_url))
      throw UsageError("REDIS_URL is no Redis URL; one looks like redis://127.0.0.1:6379");
    redis_options(wishes.redis_url, "REDIS_URL");
    choice.url = wishes.redis_url;
    return choice;
  }
  if (!stage.empty() && stage != "development" && stage != "test") {
    throw UsageError(fmt::format(
        "NODE_ENV is \"{}\", which says nothing of where to store: set ACTIONFLOWS_STORAGE (or "
        "give --storage), or NODE_ENV to production, development or test",
        printable(stage)));
  }
  choice.url = "memory:";
  if (!wishes.redis_url.empty()) {
    choice.notes.push_back(fmt::format("REDIS_URL is set but not used: NODE_ENV is {}",
                                       stage.empty() ? "not set, which means development" : stage));
  }
  return choice;
}

}  // namespace

bool is_memory(std::string_view url) {
  return url == "memory" || url == "memory:" || url == "memory://";
}

StorageChoice choose_storage(const StorageWishes& wishes) {
  StorageChoice choice = choose_url(wishes);
  if (!is_redis_url(choice.url)) {
    const std::pair<std::string_view, const std::string&> settings[] = {
        {"--fallback", wishes.fallback}, {"--journal", wishes.journal}};
    for (const auto& [name, value] : settings)
      if (!value.empty())
        choice.notes.push_back(fmt::format("{} is set but not used: it is for Redis", name));
    return choice;
  }
  choice.fallback = wishes.fallback.empty() ? "memory:" : wishes.fallback;
  if (!is_memory(choice.fallback) && !sqlite_path(choice.fallback))
    throw UsageError("the fallback has to be memory: or sqlite:PATH");
  choice.journal = wishes.journal;
  if (sqlite_path(choice.fallback) == choice.journal)
    throw UsageError("the fallback and the journal can't be one file");
  return choice;
}

std::unique_ptr<StorageDriver> open_storage(std::string_view url, const StorageBounds& bounds,
                                            Opening opening) {
  if (is_memory(url)) {
    MemoryOptions options;
    options.limits = bounds.limits;
    options.max_sessions = bounds.max_sessions;
    options.max_bytes = bounds.max_bytes;
    return make_memory_storage(options);
  }
  if (auto path = sqlite_path(url)) {
    if (opening == Opening::existing && !std::filesystem::exists(*path))
      throw failure(ErrorCode::unavailable, "there is no database " + printable(*path), "open");
    SqliteOptions options;
    options.path = *std::move(path);
    options.limits = bounds.limits;
    return open_sqlite_storage(std::move(options));
  }
  if (is_redis_url(url)) {
    RedisOptions options = redis_options(url, "the storage URL");
    options.limits = bounds.limits;
    options.log = bounds.log;
    return make_redis_storage(std::move(options));
  }
  throw unknown_storage(url);
}

std::unique_ptr<StorageDriver> open_served_storage(const StorageChoice& choice,
                                                   const StorageBounds& bounds) {
  auto primary = open_storage(choice.url, bounds);
  if (!is_redis_url(choice.url)) return primary;
  ResilientOptions options;
  options.primary_timeout = redis_options(choice.url, "the storage URL").timeout;
  options.primary_supersedes = true;
  options.log = bounds.log;
  auto journal = choice.journal.empty() ? make_memory_journal() : open_journal(choice.journal);
  return make_resilient_storage(std::move(primary), open_storage(choice.fallback, bounds),
                                std::move(journal), std::move(options));
}

}  // namespace actionflows::cli

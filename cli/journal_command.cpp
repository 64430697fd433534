#include "actionflows/base/error.hpp"
#include "actionflows/json/writer.hpp"
#include "actionflows/storage/resilient/commit_text.hpp"
#include "actionflows/storage/resilient/journal.hpp"
#include "cli/commands.hpp"
#include "cli/failure.hpp"
#include "cli/flags.hpp"
#include "cli/quantities.hpp"
#include "cli/run_tasks.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

namespace actionflows::cli {
namespace {

struct JournalFlags {
  std::string journal;
  std::vector<std::uint64_t> ids;
  bool all = false;
  bool json = false;
};

std::unique_ptr<Journal> open_existing(const JournalFlags& flags) {
  if (flags.journal.empty())
    throw UsageError("which journal? Set ACTIONFLOWS_JOURNAL or give --journal FILE");
  if (!std::filesystem::exists(flags.journal))
    throw Failure(fmt::format("there is no journal {}", printable(flags.journal)));
  return open_journal(flags.journal, JournalUse::beside_its_server);
}

bool is_set_aside(const JournalEntry& entry) { return !entry.poison.empty(); }

// ---- list

std::string line_of(const JournalEntry& entry) {
  std::string events;
  for (const NewEvent& event : entry.commit->events)
    events.append(events.empty() ? "" : ",").append(event.type);
  return fmt::format("{:>6}  {}  {}  {}  {}  {}", entry.id, format_rfc3339(entry.at),
                     printable(entry.commit->session.str()), printable(events),
                     printable(entry.commit->operation_id),
                     is_set_aside(entry) ? "set aside: " + printable(entry.poison) : "waits");
}

std::string json_of(const JournalEntry& entry) {
  std::string text = fmt::format("{{\"id\":{},\"kind\":", entry.id);
  json::append_string(text, to_string(entry.kind));
  text += ",\"at\":";
  json::append_timestamp(text, entry.at);
  text += ",\"setAside\":";
  if (is_set_aside(entry)) {
    json::append_string(text, entry.poison);
  } else {
    text += "null";
  }
  return text + ",\"commit\":" + text_of_commit(*entry.commit) + "}";
}

int run_list(const JournalFlags& flags) {
  std::size_t set_aside = 0;
  std::size_t waiting = 0;
  for (const JournalEntry& entry : open_existing(flags)->entries()) {
    if (entry.kind == JournalKind::base) continue;
    is_set_aside(entry) ? ++set_aside : ++waiting;
    if (flags.all || is_set_aside(entry))
      fmt::print("{}\n", flags.json ? json_of(entry) : line_of(entry));
  }
  if (!flags.json) fmt::print("{} set aside, {} waiting to be replayed\n", set_aside, waiting);
  return exit_done;
}

// ---- retry, drop

// The ids that are meant: those given, or with --all all that were set aside. Throws Failure for
// one that was not: nothing is done then.
std::vector<std::uint64_t> chosen(Journal& journal, const JournalFlags& flags) {
  if (flags.ids.empty() != flags.all) throw UsageError("give the ids of entries, or --all");
  std::vector<std::uint64_t> set_aside;
  for (const JournalEntry& entry : journal.entries())
    if (is_set_aside(entry)) set_aside.push_back(entry.id);
  if (flags.all) return set_aside;
  for (const std::uint64_t id : flags.ids)
    if (std::ranges::find(set_aside, id) == set_aside.end())
      throw Failure(fmt::format("entry {} is not set aside; see actionflows journal list", id));
  return flags.ids;
}

int run_retry(const JournalFlags& flags) {
  const auto journal = open_existing(flags);
  const auto ids = chosen(*journal, flags);
  for (const std::uint64_t id : ids) journal->retry(id);
  fmt::print("{} to be replayed again: by the server that has this journal, or when it starts\n",
             counted(ids.size(), "change"));
  return exit_done;
}

int run_drop(const JournalFlags& flags) {
  const auto journal = open_existing(flags);
  const auto ids = chosen(*journal, flags);
  boost::asio::io_context context(1);
  run_task(context, [&] { return journal->remove(ids); });
  fmt::print("{} dropped: what they said is lost\n", counted(ids.size(), "change"));
  return exit_done;
}

// ---- the flags

CLI::App& add_part(CLI::App& command, const char* name, const char* description,
                   JournalFlags& flags) {
  CLI::App& part = *command.add_subcommand(name, description);
  add_flag(part, "journal", flags.journal, "FILE", "the journal that the server was given");
  return part;
}

void add_ids(CLI::App& part, JournalFlags& flags) {
  part.add_option("ID", flags.ids, "numbers of entries, as listed")->type_name("ID");
  part.add_flag("--all", flags.all, "all that were set aside");
}

}  // namespace

void add_journal(CLI::App& program, Action& action) {
  CLI::App& command = *program.add_subcommand(
      "journal",
      "What a server has acknowledged while its Redis was away, and could not bring there: list "
      "it, let it be tried again, or drop it. May be used while the server runs.");
  command.require_subcommand(1);
  const auto flags = std::make_shared<JournalFlags>();

  CLI::App& list = add_part(command, "list",
                            "One line for each entry that was set aside: number, time, session, "
                            "events, operation id, reason.",
                            *flags);
  list.add_flag("--all", flags->all, "also those that wait to be replayed");
  list.add_flag("--json", flags->json, "whole entries, one JSON document a line");
  list.callback([flags, &action] { action = [flags] { return run_list(*flags); }; });

  CLI::App& retry = add_part(command, "retry",
                             "Let entries be replayed again: together with those that have made "
                             "what they change.",
                             *flags);
  add_ids(retry, *flags);
  retry.callback([flags, &action] { action = [flags] { return run_retry(*flags); }; });

  CLI::App& drop = add_part(command, "drop",
                            "Remove entries for good. Entries that change what a dropped one has "
                            "made can't be replayed any more: they stay set aside until they are "
                            "dropped, too.",
                            *flags);
  add_ids(drop, *flags);
  drop.callback([flags, &action] { action = [flags] { return run_drop(*flags); }; });
}

}  // namespace actionflows::cli

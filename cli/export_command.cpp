#include "cli/backend.hpp"
#include "cli/commands.hpp"
#include "cli/flags.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/quantities.hpp"
#include "cli/run_tasks.hpp"

#include <fmt/core.h>

#include <memory>

namespace actionflows::cli {
namespace {

struct ExportFlags {
  TargetFlags target;
  std::string user;
  std::string output;
  bool quiet = false;
};

struct Exported {
  std::uint64_t sessions = 0;
  std::uint64_t failed = 0;  // can't be read; said on the way
};

// Sorted by session id: the same sessions give the same bytes, wherever they are kept.
Task<void> export_all(Backend& backend, std::optional<UserId> user, Output& output,
                      Progress& progress, Exported& exported) {
  const SessionNames sessions = co_await backend.all_sessions(std::move(user));
  for (const std::string& id : sessions.corrupt) {
    ++exported.failed;
    progress.say(printable(id) + ": its record is corrupt");
  }
  std::uint64_t done = 0;
  for (const SessionId& id : sessions.ids) {
    try {
      std::optional<std::string> line = co_await backend.export_line(id);
      // Nothing: it ended in the meantime.
      if (line) {
        *line += '\n';
        output.write(*line);
        ++exported.sessions;
      }
    } catch (const StorageError& error) {
      if (error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout) throw;
      ++exported.failed;
      progress.say(fmt::format("{}: {}", id.str(), printable(error.what())));
    }
    progress.update({.items = exported.sessions, .done = ++done, .total = sessions.ids.size()});
  }
}

int run_export(const ExportFlags& flags) {
  const Target target = choose_target(flags.target, target_variables());
  const std::optional<UserId> user = parse_user(flags.user);
  boost::asio::io_context context(1);
  const auto backend =
      open_backend(context.get_executor(), target, flags.target, Opening::existing);
  Output output(flags.output);

  Exported exported;
  {
    Progress progress({.what = "export", .unit = "session", .quiet = flags.quiet});
    run_task(context, [&] { return export_all(*backend, user, output, progress, exported); });
    if (exported.failed == 0) {
      output.finish();
    } else if (const std::string left = output.finish_partial(); !left.empty()) {
      progress.say(fmt::format("not whole: what could be read is in {}", printable(left)));
    }
    if (!flags.quiet)
      progress.say(fmt::format("{} exported ({} in {})", counted(exported.sessions, "session"),
                               size_text(output.bytes()), duration_text(progress.elapsed())));
  }
  return exported.failed == 0 ? exit_done : exit_failed;
}

}  // namespace

void add_export(CLI::App& program, Action& action) {
  CLI::App& command = *program.add_subcommand(
      "export",
      "Write sessions with their chains, steps and events, one session a line, sorted by session "
      "id. Importing that restores them exactly.");
  const auto flags = std::make_shared<ExportFlags>();
  add_target_flags(command, flags->target, true);
  add_flag(command, "user", flags->user, "USER", "only this user's sessions");
  add_flag(command, "output", flags->output, "FILE",
           "write to this file, which appears once it is whole [standard output]");
  add_switch(command, "quiet", flags->quiet, "show no progress");
  command.callback([flags, &action] { action = [flags] { return run_export(*flags); }; });
}

}  // namespace actionflows::cli

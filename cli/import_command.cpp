#include "cli/commands.hpp"
#include "cli/flags.hpp"
#include "cli/import.hpp"

#include <fmt/core.h>

#include <memory>

namespace actionflows::cli {
namespace {

struct ImportFlags {
  std::string file;
  TargetFlags target;
  LimitFlags limits;
  std::string user;
  bool strict = false;
  bool quiet = false;
};

int run_import(const ImportFlags& flags) {
  const Target target = choose_target(flags.target, target_variables());
  const ImportOptions options{.user = parse_user(flags.user), .strict = flags.strict};
  boost::asio::io_context context(1);
  const auto backend =
      open_backend(context.get_executor(), target, flags.target, Opening::make, flags.limits);
  LineReader lines(flags.file);

  ImportReport report;
  std::chrono::nanoseconds elapsed{0};
  {
    Progress progress({.what = "import", .unit = "line", .quiet = flags.quiet});
    const ImportWatch watch{.refused = [&](const std::string& text) { progress.say(text); },
                            .advanced = [&](const Advance& advance) { progress.update(advance); }};
    report = import_lines(context, lines, *backend, options, watch);
    elapsed = progress.elapsed();
  }
  fmt::print("{}\n", summary_of(report, elapsed));
  if (report.failure) std::rethrow_exception(report.failure);
  return report.refused == 0 ? exit_done : exit_failed;
}

}  // namespace

void add_import(CLI::App& program, Action& action) {
  CLI::App& command = *program.add_subcommand(
      "import",
      "Store recorded runs or an export, one session a line (NDJSON). What is stored already stays "
      "as it is, so it can be repeated. A line that is refused is reported with its number and "
      "never stops the others; the exit code is 1 then. The limits count with --storage, and "
      "should be those of its server; a server that is talked to has its own.");
  const auto flags = std::make_shared<ImportFlags>();
  command.add_option("FILE", flags->file, "plain or gzipped; - is standard input")
      ->type_name("FILE")
      ->required();
  add_target_flags(command, flags->target, true);
  add_limit_flags(command, flags->limits);
  add_flag(command, "user", flags->user, "USER", "whose the runs are that name no user [unknown]");
  add_switch(command, "strict", flags->strict, "stop at the first line that is refused");
  add_switch(command, "quiet", flags->quiet, "show no progress");
  command.callback([flags, &action] { action = [flags] { return run_import(*flags); }; });
}

}  // namespace actionflows::cli

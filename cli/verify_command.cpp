#include "cli/backend.hpp"
#include "cli/commands.hpp"
#include "cli/flags.hpp"
#include "cli/progress.hpp"
#include "cli/quantities.hpp"
#include "cli/verify.hpp"

#include <fmt/core.h>

#include <memory>

namespace actionflows::cli {
namespace {

struct VerifyFlags {
  std::string session;
  TargetFlags target;
  bool quiet = false;
};

int run_verify(const VerifyFlags& flags) {
  const Target target = choose_target(flags.target, target_variables());
  const std::optional<SessionId> session = parse_session(flags.session);
  boost::asio::io_context context(1);
  const auto backend =
      open_backend(context.get_executor(), target, flags.target, Opening::existing);

  VerifyReport report;
  {
    Progress progress({.what = "verify", .unit = "session", .quiet = flags.quiet});
    report = verify_sessions(context, *backend, session,
                             [&](const Advance& advance) { progress.update(advance); });
  }
  for (const std::string& finding : report.findings) fmt::print("{}\n", printable(finding));
  fmt::print("{}\n", summary_of(report));
  return report.failed == 0 ? exit_done : exit_failed;
}

}  // namespace

void add_verify(CLI::App& program, Action& action) {
  CLI::App& command = *program.add_subcommand(
      "verify",
      "Rebuild sessions from their event logs and compare them with what is stored. Differences "
      "are listed by record; the exit code is 1 when there are any.");
  const auto flags = std::make_shared<VerifyFlags>();
  command.add_option("SESSION", flags->session, "only this one")->type_name("SESSION");
  add_target_flags(command, flags->target, true);
  add_switch(command, "quiet", flags->quiet, "show no progress");
  command.callback([flags, &action] { action = [flags] { return run_verify(*flags); }; });
}

}  // namespace actionflows::cli

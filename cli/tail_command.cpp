#include "cli/commands.hpp"
#include "cli/failure.hpp"
#include "cli/flags.hpp"
#include "cli/quantities.hpp"
#include "cli/run_tasks.hpp"
#include "cli/signal_watch.hpp"
#include "cli/tail.hpp"
#include "cli/target.hpp"

#include <boost/asio/post.hpp>

#include <fmt/core.h>

#include <csignal>
#include <cstdio>
#include <memory>

namespace actionflows::cli {
namespace {

struct TailFlags {
  std::string session;
  TargetFlags target;
  std::optional<Count> after;
  bool json = false;
};

// Each line at once: whoever reads it waits for it.
void print_line(const std::string& line) {
  fmt::print("{}\n", line);
  if (std::fflush(stdout) != 0) throw Failure("can't write to standard output");
}

void print_note(const std::string& note) { fmt::print(stderr, "actionflows: {}\n", note); }

int run_tail(const TailFlags& flags) {
  TailOptions options{.session = parse_session(flags.session), .after = {}, .raw = flags.json};
  if (flags.after) options.after = flags.after->value;
  if (flags.after && !options.session)
    throw UsageError("--after goes with a session: each has numbers of its own");
  ServerUrl server = choose_server(flags.target, target_variables());
  HttpClientOptions client_options;
  client_options.api_key = read_api_key(flags.target);

  boost::asio::io_context context(1);
  const SignalWatch watch({SIGINT, SIGTERM},
                          [&](int) { boost::asio::post(context, [&] { context.stop(); }); });
  run_task(context, [&]() -> Task<void> {
    return follow(context.get_executor(), server, client_options, options, print_line, print_note);
  });
  return exit_done;
}

}  // namespace

void add_tail(CLI::App& program, Action& action) {
  CLI::App& command = *program.add_subcommand(
      "tail",
      "Follow a session's events as they happen, one line each: time, sequence number, type, id. "
      "A cut connection is made again and goes on where it was. Without a session: notices of all "
      "sessions. Ctrl-C ends it.");
  const auto flags = std::make_shared<TailFlags>();
  command.add_option("SESSION", flags->session, "the session to follow")->type_name("SESSION");
  add_target_flags(command, flags->target, false);
  command
      .add_option("--after", flags->after,
                  "go on behind this event; 0 is the beginning [what happens from now on]")
      ->type_name("SEQ")
      ->envname(variable_of("after"));
  add_switch(command, "json", flags->json, "print each event as it came, as JSON");
  command.callback([flags, &action] { action = [flags] { return run_tail(*flags); }; });
}

}  // namespace actionflows::cli

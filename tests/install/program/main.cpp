// A program of somebody else, built against the installed library.
#include <actionflows/services/step_service.hpp>
#include <actionflows/storage/memory/memory_storage.hpp>
#include <actionflows/storage/storage.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <iostream>

using namespace actionflows;

Task<void> run_plan(Storage& storage) {
  SessionData data;
  data.title = "Nightly build";
  const Session session = co_await storage.create_session(*UserId::parse("ada"), data);

  ChainData plan;
  plan.title = "Build";
  plan.steps.resize(2);
  plan.steps[0].action = "compile";
  plan.steps[1].action = "link";
  plan.steps[1].waits_for = {1};
  const Chain chain = co_await storage.create_chain(session.session_id, plan);

  StepService steps(storage);
  for (std::uint32_t n = 1; n <= chain.step_count; ++n) {
    const StepId step(chain.chain_id, n);
    co_await steps.start(step);
    co_await steps.complete(step);
  }

  const std::optional<Chain> done = co_await storage.get_chain(chain.chain_id);
  std::cout << "the chain is " << to_string(done->status) << '\n';
  const EventList log = co_await storage.read_events(session.session_id);
  for (const Event& event : log.items)
    std::cout << event.sequence << ' ' << event.type.str() << '\n';
}

int main() {
  Storage storage(make_memory_storage());
  boost::asio::io_context io;
  std::exception_ptr failed;
  boost::asio::co_spawn(io, run_plan(storage), [&](std::exception_ptr error) { failed = error; });
  io.run();
  if (failed) std::rethrow_exception(failed);
}

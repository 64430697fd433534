#include "tests/program/ask.hpp"

#include "cli/run_tasks.hpp"
#include "tests/support/wait_until.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace actionflows::test {

cli::HttpAnswer ask(const std::string& url, const Asked& asked) {
  boost::asio::io_context context(1);
  cli::HttpAnswer answer;
  cli::run_task(context, [&]() -> Task<void> {
    cli::HttpClient client(context.get_executor(), cli::ServerUrl::parse(url));
    cli::HttpRequest request;
    request.method = asked.method;
    request.target = asked.target;
    request.body = asked.body;
    if (!asked.body.empty()) request.content_type = "application/json";
    if (!asked.key.empty()) request.headers.emplace_back("Idempotency-Key", asked.key);
    answer = co_await client.send(std::move(request));
  });
  return answer;
}

cli::HttpAnswer ask(const std::string& url, std::string_view method, const std::string& target,
                    const std::string& body) {
  return ask(url, {.method = method, .target = target, .body = body});
}

cli::HttpAnswer ask_until_answered(const std::string& url, const Asked& asked) {
  cli::HttpAnswer answer;
  const bool answered = wait_until([&] {
    answer = ask(url, asked);
    return answer.status != 503 && answer.status != 504;
  });
  EXPECT_TRUE(answered) << asked.target << ": " << answer.body;
  return answer;
}

ProcessOptions in_production(const std::string& redis_url, const std::string& journal) {
  ProcessOptions options;
  options.variables = {{"NODE_ENV", "production"}, {"REDIS_URL", redis_url}};
  if (!journal.empty()) options.variables.emplace_back("ACTIONFLOWS_JOURNAL", journal);
  return options;
}

bool is_replayed(const std::string& url) {
  const std::string ready = ask(url, "GET", "/readyz").body;
  return ready.find("\"breaker\":\"closed\"") != std::string::npos &&
         ready.find("\"journalEntries\":0") != std::string::npos;
}

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace actionflows::test

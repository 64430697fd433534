// Single requests to a server that runs, and how it is set up for production.
#pragma once

#include "cli/http_client.hpp"
#include "tests/program/process.hpp"

#include <string>
#include <string_view>

namespace actionflows::test {

struct Asked {
  std::string_view method = "GET";
  std::string target;
  std::string body = {};  // JSON; empty: none
  std::string key = {};   // the Idempotency-Key; empty: none
};

// The answer, whatever its status. Throws cli::Failure where there is none.
cli::HttpAnswer ask(const std::string& url, const Asked& asked);
cli::HttpAnswer ask(const std::string& url, std::string_view method, const std::string& target,
                    const std::string& body = {});

// As long as the answer is that the outcome is open (503, 504), the same again, under its key.
cli::HttpAnswer ask_until_answered(const std::string& url, const Asked& asked);

// The variables of a server in production; an empty journal: none is given.
ProcessOptions in_production(const std::string& redis_url, const std::string& journal = {});

// Whether all that was acknowledged is in Redis.
bool is_replayed(const std::string& url);

// How often `part` stands in `text`.
std::size_t count_of(std::string_view text, std::string_view part);

}  // namespace actionflows::test

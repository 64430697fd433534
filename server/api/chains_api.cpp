#include "server/api/chains_api.hpp"

#include "server/api/call.hpp"
#include "server/api/paging.hpp"
#include "server/api/parameters.hpp"
#include "server/api/views.hpp"

#include <array>

namespace actionflows::api {
namespace {

using http::Method;
using http::Request;
using http::Response;

// The longest chain with its steps that is answered in one piece.
constexpr std::size_t max_chain_bytes = std::size_t{16} << 20;

constexpr std::array chain_list_parameters{chain_status_parameter, limit_parameter,
                                           cursor_parameter};
constexpr std::array archive_parameters{user_parameter, limit_parameter, cursor_parameter};
constexpr std::array get_parameters{
    Parameter{"include", R"({"type":"string","enum":["steps"]})", "With all of its steps."}};

}  // namespace

void ChainsApi::add_to(Routes& routes) {
  const auto add = [&](Method method, const char* pattern, Operation operation, auto handler) {
    operation.tag = "chains";
    routes.add(method, pattern, operation, *this, handler);
  };
  add(Method::post, "/v1/sessions/{sessionId}/chains",
      {.name = "create_chain",
       .summary = "Create a chain, with its steps or without",
       .tag = {},
       .body = "ChainDataCreate",
       .repeatable = true,
       .status = 201,
       .answer = "Chain",
       .locates = true},
      &ChainsApi::create);
  add(Method::get, "/v1/sessions/{sessionId}/chains",
      {.name = "list_chains",
       .summary = "List a session's chains in the order of their numbers",
       .tag = {},
       .query = chain_list_parameters,
       .answer = "ChainPage"},
      &ChainsApi::list);
  add(Method::get, "/v1/chains/{chainId}",
      {.name = "get_chain",
       .summary = "Read a chain, live or archived",
       .tag = {},
       .query = get_parameters,
       .comparable = true,
       .answer = "ChainWithSteps"},
      &ChainsApi::get);
  add(Method::patch, "/v1/chains/{chainId}",
      {.name = "update_chain",
       .summary = "Change a chain by an RFC 7396 merge patch",
       .tag = {},
       .body = "ChainUpdate",
       .body_type = "application/merge-patch+json",
       .takes_version = true,
       .repeatable = true,
       .answer = "Chain"},
      &ChainsApi::update);
  add(Method::del, "/v1/chains/{chainId}",
      {.name = "delete_chain",
       .summary = "Delete a chain and its steps",
       .tag = {},
       .takes_version = true,
       .repeatable = true,
       .status = 204},
      &ChainsApi::remove);
  add_actions_to(routes);
}

void ChainsApi::add_actions_to(Routes& routes) {
  const auto add = [&](Method method, const char* pattern, Operation operation, auto handler) {
    operation.tag = "chains";
    routes.add(method, pattern, operation, *this, handler);
  };
  add(Method::post, "/v1/chains/{chainId}/cancel",
      {.name = "cancel_chain",
       .summary = "End a chain where it stands, and archive it",
       .tag = {},
       .body = "Nothing",
       .body_optional = true,
       .takes_version = true,
       .repeatable = true,
       .answer = "Chain"},
      &ChainsApi::cancel);
  add(Method::post, "/v1/chains/{chainId}/archive",
      {.name = "archive_chain",
       .summary = "Archive a chain that has ended",
       .tag = {},
       .body = "Nothing",
       .body_optional = true,
       .takes_version = true,
       .repeatable = true,
       .answer = "Chain"},
      &ChainsApi::archive);
  add(Method::get, "/v1/archive",
      {.name = "list_archive",
       .summary = "List archived chains, latest archived first, also of sessions that are gone",
       .tag = {},
       .query = archive_parameters,
       .answer = "ChainPage"},
      &ChainsApi::list_archive);
}

Task<Response> ChainsApi::create(Request& request) {
  const Call call(request, services_);
  const SessionId session = call.session_id();
  auto data = call.body<ChainData>();
  const Chain chain = co_await services_.chains.create(session, std::move(data), call.context());
  co_return call.created(chain, "/v1/chains/", chain.chain_id.str());
}

Task<Response> ChainsApi::list(Request& request) {
  const Call call(request, services_);
  const SessionId session = call.session_id();
  Query query(request, chain_list_parameters);
  const auto status = query.chain_status("status");
  const PageQuery page = query.page(ListKind::chains);
  query.check();
  const auto list = [&](PageQuery portion) {
    return services_.storage.list_chains(session, status, std::move(portion), call.context());
  };
  co_return call.read(co_await encode_page(page, list));
}

Task<Response> ChainsApi::get(Request& request) {
  const Call call(request, services_);
  const ChainId id = call.chain_id();
  Query query(request, get_parameters);
  const bool include_steps = query.has("include", "steps");
  query.check();
  // No entity tag with the steps: one can change without its chain.
  if (include_steps) co_return call.read(co_await with_steps(id, call.context()));
  const auto chain = co_await services_.storage.get_chain(id, call.context());
  if (!chain) throw_not_found("chain", id.str());
  co_return call.record(*chain);
}

Task<std::string> ChainsApi::with_steps(const ChainId& id, const Context& context) {
  // The chain and its steps are read one after the other: what moves a step's status moves the
  // chain, so they belong together where the chain stood still in between.
  constexpr int attempts = 5;
  auto chain = co_await services_.storage.get_chain(id, context);
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (!chain) throw_not_found("chain", id.str());
    std::string json = co_await encode_with_steps(*chain, context);
    auto after = co_await services_.storage.get_chain(id, context);
    if (after && after->version == chain->version) co_return json;
    chain = std::move(after);
  }
  StorageError error =
      failure(ErrorCode::conflict, "chain " + id.str() + " keeps changing", {}, id.str());
  error.retryable = true;
  throw error;
}

Task<std::string> ChainsApi::encode_with_steps(const Chain& chain, const Context& context) {
  std::string opening = json_of(chain);
  opening.pop_back();
  ItemsWriter writer(opening + ",\"steps\":[");
  PageQuery page;
  do {
    const Page<Step> steps =
        co_await services_.storage.list_steps(chain.chain_id, std::nullopt, page, context);
    for (const Step& step : steps.items) writer.add(step);
    writer.add(steps.corrupt);
    if (writer.size() > max_chain_bytes)
      throw failure(ErrorCode::exhausted,
                    "chain " + chain.chain_id.str() + " with its steps is longer than 16 MiB: " +
                        "read /v1/chains/" + chain.chain_id.str() + "/steps page by page",
                    {}, chain.chain_id.str());
    page.cursor = steps.next_cursor;
  } while (page.cursor);
  co_return std::move(writer).finish();
}

Task<Response> ChainsApi::update(Request& request) {
  const Call call(request, services_);
  const ChainId id = call.chain_id();
  auto update = call.patch<Chain>();
  const Chain chain =
      co_await services_.storage.update_chain(id, std::move(update), call.context());
  co_return call.written(chain);
}

Task<Response> ChainsApi::remove(Request& request) {
  const Call call(request, services_);
  co_await services_.storage.delete_chain(call.chain_id(), call.context());
  co_return call.done();
}

Task<Response> ChainsApi::cancel(Request& request) {
  const Call call(request, services_);
  static_cast<void>(call.optional_body<Nothing>());
  const Chain chain = co_await services_.chains.cancel(call.chain_id(), call.context());
  co_return call.written(chain);
}

Task<Response> ChainsApi::archive(Request& request) {
  const Call call(request, services_);
  static_cast<void>(call.optional_body<Nothing>());
  const Chain chain = co_await services_.chains.archive(call.chain_id(), call.context());
  co_return call.written(chain);
}

Task<Response> ChainsApi::list_archive(Request& request) {
  const Call call(request, services_);
  Query query(request, archive_parameters);
  const auto user = user_to_list(query, call.principal());
  const PageQuery page = query.page(ListKind::archive);
  query.check();
  const auto list = [&](PageQuery portion) {
    return services_.chains.list_archive(user, std::move(portion), call.context());
  };
  co_return call.read(co_await encode_page(page, list));
}

}  // namespace actionflows::api

#include "server/api/openapi.hpp"

#include "actionflows/json/writer.hpp"
#include "server/api/call.hpp"
#include "server/api/parameters.hpp"
#include "server/api/views.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

namespace actionflows::api {
namespace {

using schema::Form;
using schema::schema_of;

std::string json_string(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

std::string reference_to(std::string_view component) {
  return R"({"$ref":"#/components/schemas/)" + std::string(component) + "\"}";
}

// ---- schemas ------------------------------------------------------------------------------------

using Components = std::map<std::string, std::string, std::less<>>;

std::string corrupt_member() {
  return R"("corrupt":{"type":"array","items":)" + reference_to("Corrupt") +
         R"(,"description":"Records that could not be read; absent when there are none."},)";
}

std::string page_schema(std::string_view item, std::string_view more) {
  return R"({"type":"object","properties":{"items":{"type":"array","items":)" + reference_to(item) +
         "}," + corrupt_member() + std::string(more);
}

std::string list_schema(std::string_view item) {
  return page_schema(
      item, R"("nextCursor":{"type":["string","null"]}},"required":["items","nextCursor"]})");
}

constexpr std::string_view event_page_members =
    R"("nextAfter":{"type":["integer","null"]},"firstSequence":{"type":"integer"},)"
    R"("lastSequence":{"type":"integer"}},)"
    R"("required":["items","nextAfter","firstSequence","lastSequence"]})";

constexpr std::string_view issue_schema =
    R"({"type":"object","properties":{"path":{"type":"array",)"
    R"("items":{"type":["string","integer"]}},)"
    R"("code":{"type":"string","enum":["invalid_type","too_small","too_big","invalid_string",)"
    R"("invalid_enum_value","unrecognized_keys","duplicate_key","custom"]},)"
    R"("message":{"type":"string"},"expected":{"type":"string"},"received":{"type":"string"}},)"
    R"("required":["path","code","message"]})";

constexpr std::string_view problem_schema =
    R"({"type":"object","description":"RFC 9457","properties":{"type":{"type":"string",)"
    R"("description":"urn:actionflows:problem:CODE"},"title":{"type":"string"},)"
    R"("status":{"type":"integer"},"detail":{"type":"string"},"issues":{"type":"array","items":)"
    R"({"$ref":"#/components/schemas/Issue"}},"currentVersion":{"type":"integer","description":)"
    R"("Of the record, where If-Match did not have it."},"errorId":{"type":"string",)"
    R"("description":"Where to find it in the server's log."}},)"
    R"("required":["type","title","status"]})";

constexpr std::string_view line_schema =
    R"({"type":"object","description":"One session with its chains and steps, as an export or a )"
    R"(recorded run has it."})";

// What the data of a stream's events may be.
constexpr std::string_view session_message_schema =
    R"({"description":"The data of one event; event: tells which.","oneOf":[)"
    R"({"$ref":"#/components/schemas/Event"},{"$ref":"#/components/schemas/Gap"},)"
    R"({"$ref":"#/components/schemas/Corrupt"},{"$ref":"#/components/schemas/End"}]})";

constexpr std::string_view notice_message_schema =
    R"({"description":"The data of one event: notice, gap (some were lost) or end.","oneOf":[)"
    R"({"$ref":"#/components/schemas/Notice"},{"$ref":"#/components/schemas/Nothing"},)"
    R"({"$ref":"#/components/schemas/End"}]})";

// The chain's schema, its steps among the properties.
std::string chain_with_steps(std::string chain) {
  constexpr std::string_view properties = R"("properties":{)";
  const std::size_t at = chain.find(properties);
  const std::string steps = R"("steps":{"type":"array","items":)" + reference_to("Step") +
                            R"(,"description":"With include=steps."},)";
  return chain.insert(at + properties.size(), steps + corrupt_member());
}

template <class T>
void add_type(Components& components, Form form = Form::full) {
  const auto& declared = schema_of<T>();
  const std::string name(declared.name());
  components[form == Form::create ? name + "Create" : name] = declared.json_schema(form);
}

template <class T>
void add_record(Components& components) {
  add_type<T>(components);
  const std::string name(schema_of<T>().name());
  components[name + "Update"] = schema_of<T>().json_schema_of_update();
  components[name + "Page"] = list_schema(name);
}

Components components() {
  Components all;
  add_record<Session>(all);
  add_record<Chain>(all);
  add_record<Step>(all);
  add_type<Session>(all, Form::create);
  add_type<ChainData>(all, Form::create);
  add_type<StepData>(all, Form::create);
  add_type<StepReport>(all, Form::create);
  add_type<EventData>(all, Form::create);
  add_type<Event>(all);
  add_type<Nothing>(all);
  add_type<TokenView>(all);
  add_type<Notice>(all);
  add_type<GapView>(all);
  add_type<EndView>(all);
  add_type<ImportView>(all);
  add_type<PruneView>(all);
  add_type<VerificationView>(all);
  add_type<ReadinessView>(all);
  add_type<CorruptView>(all);
  all["ChainWithSteps"] = chain_with_steps(all["Chain"]);
  all["EventPage"] = page_schema("Event", event_page_members);
  all["SessionMessage"] = session_message_schema;
  all["NoticeMessage"] = notice_message_schema;
  all["Issue"] = issue_schema;
  all["Problem"] = problem_schema;
  all["InterchangeLine"] = line_schema;
  all["Text"] = R"({"type":"string"})";
  all["Any"] = R"({"type":"object"})";
  return all;
}

// ---- paths --------------------------------------------------------------------------------------

std::string content(std::string_view type, std::string_view component) {
  return R"("content":{)" + json_string(type) + R"(:{"schema":)" + reference_to(component) + "}}";
}

std::string parameter(std::string_view place, std::string_view name, std::string_view schema,
                      std::string_view description) {
  return R"({"in":)" + json_string(place) + R"(,"name":)" + json_string(name) + R"(,"required":)" +
         (place == "path" ? "true" : "false") + R"(,"schema":)" + std::string(schema) +
         R"(,"description":)" + json_string(description) + "}";
}

std::string parameters_of(const Endpoint& endpoint) {
  const Operation& operation = endpoint.operation;
  constexpr std::string_view text = R"({"type":"string"})";
  std::string out;
  const auto add = [&](const std::string& one) {
    if (!out.empty()) out += ',';
    out += one;
  };
  std::string_view rest = endpoint.pattern;
  for (auto open = rest.find('{'); open != std::string_view::npos; open = rest.find('{')) {
    const auto close = rest.find('}', open);
    add(parameter("path", rest.substr(open + 1, close - open - 1), text, "An id."));
    rest.remove_prefix(close);
  }
  for (const Parameter& query : operation.query)
    add(parameter("query", query.name, query.schema, query.description));
  if (operation.comparable)
    add(parameter("header", "If-None-Match", text, "The version that is known, as in ETag."));
  if (operation.resumable)
    add(parameter("header", "Last-Event-ID", position_schema,
                  "The last event seen: go on behind it."));
  if (operation.takes_version)
    add(parameter("header", "If-Match", text, "The version to change, as in ETag: else 412."));
  if (operation.repeatable)
    add(parameter("header", "Idempotency-Key", text,
                  "Makes the call safe to repeat: 1 to 200 visible ASCII characters."));
  if (endpoint.method != http::Method::get)
    add(parameter(
        "header", "ActionFlows-Actor", text,
        "Who acts, for the log: 1 to 500 visible ASCII characters. Without it the name of "
        "the API key; with a token always its user."));
  return out;
}

// Records have versions.
bool is_record(std::string_view component) {
  return component == "Session" || component == "Chain" || component == "ChainWithSteps" ||
         component == "Step";
}

std::string headers_of(const Endpoint& endpoint) {
  const Operation& operation = endpoint.operation;
  std::string out;
  const auto add = [&](std::string_view name, std::string_view description) {
    out.append(out.empty() ? "" : ",")
        .append(json_string(name))
        .append(R"(:{"schema":{"type":"string"},"description":)")
        .append(json_string(description))
        .append("}");
  };
  if (is_record(operation.answer))
    add("ETag", operation.query.empty() ? "The record's version."
                                        : "The record's version; not where more is included.");
  if (operation.locates) add("Location", "The path of the record.");
  if (operation.tells_of_store && endpoint.method == http::Method::get)
    add("ActionFlows-Source", "Where it was read, and how old it may be: memory; age=0.");
  if (operation.tells_of_store && endpoint.method != http::Method::get)
    add("ActionFlows-Durability", "What the write is worth: memory, fsynced, journal, redis, ...");
  return out.empty() ? out : R"(,"headers":{)" + out + "}";
}

std::string responses_of(const Endpoint& endpoint) {
  const Operation& operation = endpoint.operation;
  const std::string headers = headers_of(endpoint);
  const std::string answer =
      operation.answer.empty() ? "" : "," + content(operation.answer_type, operation.answer);
  std::string out;
  const auto add = [&](int status, std::string_view description, const std::string& more) {
    out.append("\"").append(std::to_string(status)).append(R"(":{"description":)");
    out.append(json_string(description)).append(headers).append(more).append("},");
  };
  add(operation.status, "Done.", answer);
  if (operation.other_status != 0) add(operation.other_status, operation.other, answer);
  if (operation.comparable) add(304, "The version is the one that is known.", "");
  return out + R"("default":{"description":"What went wrong.",)" +
         content("application/problem+json", "Problem") + "}";
}

std::string operation_text(const Endpoint& endpoint) {
  const Operation& operation = endpoint.operation;
  std::string out = R"({"operationId":)" + json_string(operation.name) + R"(,"summary":)" +
                    json_string(operation.summary) + R"(,"tags":[)" + json_string(operation.tag) +
                    R"(],"parameters":[)" + parameters_of(endpoint) + "]";
  if (operation.audience == Audience::everyone) out += R"(,"security":[])";
  if (operation.audience == Audience::full_access) out += R"(,"security":[{},{"apiKey":[]}])";
  if (!operation.body.empty())
    out += R"(,"requestBody":{"required":)" +
           std::string(operation.body_optional ? "false," : "true,") +
           content(operation.body_type, operation.body) + "}";
  return out + R"(,"responses":{)" + responses_of(endpoint) + "}}";
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c | 0x20);
  return out;
}

void check_schemas(const Operation& operation, const Components& known) {
  for (const std::string_view name : {operation.body, operation.answer}) {
    if (!name.empty() && !known.contains(name))
      throw std::logic_error("no schema " + std::string(name) + " for " +
                             std::string(operation.name));
  }
}

std::string members_of(const Components& members) {
  std::string out;
  for (const auto& [name, text] : members) {
    if (!out.empty()) out += ',';
    out += json_string(name) + ':' + text;
  }
  return out;
}

}  // namespace

std::string openapi_of(const std::vector<Endpoint>& endpoints) {
  const Components schemas = components();
  std::map<std::string, Components> by_path;
  for (const Endpoint& endpoint : endpoints) {
    check_schemas(endpoint.operation, schemas);
    by_path[endpoint.pattern][lower(to_string(endpoint.method))] = operation_text(endpoint);
  }
  Components paths;
  for (const auto& [path, operations] : by_path) paths[path] = '{' + members_of(operations) + '}';
  return R"({"openapi":"3.1.0","info":{"title":"ActionFlows storage","version":)" +
         json_string(ACTIONFLOWS_VERSION) +
         R"(},"security":[{},{"apiKey":[]},{"sessionToken":[]}],"paths":{)" + members_of(paths) +
         R"(},"components":{"securitySchemes":{)"
         R"("apiKey":{"type":"http","scheme":"bearer","description":"An API key: full access."},)"
         R"("sessionToken":{"type":"http","scheme":"bearer","description":)"
         R"("A session's token: its user's own sessions."}},"schemas":{)" +
         members_of(schemas) + "}}}";
}

}  // namespace actionflows::api

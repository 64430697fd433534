#include "actionflows/schema/object.hpp"

#include "actionflows/base/error.hpp"

namespace actionflows::schema::detail {
namespace {

constexpr std::size_t listed_names = 5;
constexpr std::size_t name_bytes = 40;

void add_name(std::vector<std::string>& names, std::string_view name) {
  if (names.size() < listed_names) names.push_back(json::shortened(name, name_bytes));
}

// "a, b and 3 more"
std::string listed(const std::vector<std::string>& names, std::size_t count) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  if (count > names.size()) out += " and " + std::to_string(count - names.size()) + " more";
  return out;
}

}  // namespace

void Reading::add_unknown(std::string_view key) {
  if (!strangers) strangers = std::make_unique<Strangers>();
  ++strangers->unknown_count;
  add_name(strangers->unknown, key);
}

void Reading::add_refused(std::string_view key) {
  if (!strangers) strangers = std::make_unique<Strangers>();
  ++strangers->refused_count;
  add_name(strangers->refused, key);
}

void Strangers::report(json::Report& report, std::string_view refusal) const {
  if (unknown_count != 0) {
    const std::string_view words = unknown_count == 1 ? "unknown field: " : "unknown fields: ";
    report.add(IssueCode::unrecognized_keys, std::string(words) + listed(unknown, unknown_count));
  }
  if (refused_count != 0) {
    report.add(IssueCode::unrecognized_keys,
               std::string(refusal) + ": " + listed(refused, refused_count));
  }
}

void report_missing(json::Report& report, std::string expected) {
  report.add(IssueCode::invalid_type, "is required", std::move(expected), "nothing");
}

void report_null(json::Report& report, bool removable, std::string expected) {
  report.add(IssueCode::invalid_type,
             removable ? "must not be null: leave the field out instead"
                       : "is required: it can't be removed",
             std::move(expected), "null");
}

std::string_view refusal_of(Form form) {
  return form == Form::create ? "can't be given on creation" : "not part of the stored record";
}

std::string json_object(std::string_view title, std::string_view description,
                        const std::string& properties, const std::string& required) {
  std::string out = "{\"title\":";
  json::append_string(out, title);
  out += ",\"description\":";
  json::append_string(out, description);
  out += R"(,"type":"object","properties":{)" + properties + "}";
  if (!required.empty()) out += ",\"required\":[" + required + "]";
  return out += ",\"additionalProperties\":false}";
}

std::string typescript_member(std::string_view name, std::string_view description, bool optional,
                              const std::string& type) {
  std::string out;
  if (!description.empty()) out += "  /** " + std::string(description) + " */\n";
  out += "  " + std::string(name) + (optional ? "?: " : ": ") + type + ";\n";
  return out;
}

std::string typescript_interface(std::string_view name, std::string_view description,
                                 const std::string& members) {
  return "/** " + std::string(description) + " */\nexport interface " + std::string(name) + " {\n" +
         members + "}\n";
}

void throw_corrupt(std::string_view name, Issues issues) {
  StorageError error(ErrorCode::corrupt, "a recorded change does not fit its " + std::string(name));
  error.issues = std::move(issues);
  throw error;
}

}  // namespace actionflows::schema::detail

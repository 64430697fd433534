#include "actionflows/base/error.hpp"
#include "actionflows/json/raw.hpp"
#include "actionflows/json/reader.hpp"
#include "actionflows/json/writer.hpp"

#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace actionflows::json {
namespace {

// Both texts have been checked, so bounds and depth are theirs.
constexpr Limits as_checked{.max_bytes = std::numeric_limits<std::size_t>::max(),
                            .max_depth = std::numeric_limits<std::size_t>::max()};

struct Patch;

struct PatchMember {
  std::string_view key;       // unescaped
  std::string_view key_text;  // as it stands, with its quotes
  std::string_view text;      // of the value, unless it is an object
  std::unique_ptr<Patch> object;
  bool used = false;

  [[nodiscard]] bool removes() const { return !object && text == "null"; }
};

// An object of the patch, its members in their order.
struct Patch {
  std::vector<PatchMember> members;
  std::unordered_map<std::string_view, std::size_t> by_key;
};

// The key as it stands, with its quotes.
std::string_view key_text(Members& members) {
  const std::string_view key = members.raw_key();
  return {key.data() - 1, key.size() + 2};
}

std::unique_ptr<Patch> read_patch(Reader& reader, Members& members) {
  auto patch = std::make_unique<Patch>();
  while (members.next()) {
    PatchMember member;
    member.key_text = key_text(members);
    member.key = members.key();
    if (members.value().first() == '{') {
      Members inner(reader, members.value());
      member.object = read_patch(reader, inner);
    } else {
      member.text = reader.raw(members.value());
    }
    patch->by_key.emplace(member.key, patch->members.size());
    patch->members.push_back(std::move(member));
  }
  return patch;
}

// One object of the result, member by member.
class Merger {
 public:
  Merger(Reader& target, Writer& out) : target_(target), out_(out) {}

  void merge(Members& members, Patch& patch) {
    const char* separator = "{";
    while (members.next()) {
      const std::string_view name = key_text(members);
      const auto found = patch.by_key.find(members.key());
      if (found == patch.by_key.end()) {
        open_member(separator, name);
        out_.raw(target_.raw(members.value()));
        continue;
      }
      PatchMember& change = patch.members[found->second];
      change.used = true;
      if (change.removes()) {
        target_.check(members.value());
        continue;
      }
      open_member(separator, name);
      if (change.object && members.value().first() == '{') {
        Members inner(target_, members.value());
        merge(inner, *change.object);
      } else {
        target_.check(members.value());
        add(change);
      }
    }
    add_unused(patch, separator);
  }

 private:
  void open_member(const char*& separator, std::string_view name) {
    out_.raw(std::string_view(std::exchange(separator, ",")));
    out_.raw(name);
    out_.raw(':');
  }

  // What the target lacks. In an added object, nulls mean "leave out".
  void add_unused(const Patch& patch, const char* separator) {
    for (const PatchMember& change : patch.members) {
      if (change.used || change.removes()) continue;
      open_member(separator, change.key_text);
      add(change);
    }
    out_.raw(std::string_view(*separator == '{' ? "{}" : "}"));
  }

  void add(const PatchMember& change) {
    if (change.object) {
      add_unused(*change.object, "{");
    } else {
      out_.raw(change.text);
    }
  }

  Reader& target_;
  Writer& out_;
};

}  // namespace

Raw merge_patch(const Raw& target, const Raw& patch) {
  if (!patch.is_object()) return patch;
  const std::string_view target_text = target.is_object() ? target.view() : "{}";
  Issues issues;
  std::string merged;
  const ReaderLease patch_reader;
  const ReaderLease target_reader;
  bool changes = true;
  patch_reader->read_object(patch.view(), as_checked, issues, [&](auto& patch_root) {
    Members patch_members(*patch_reader, patch_root);
    const std::unique_ptr<Patch> changed = read_patch(*patch_reader, patch_members);
    changes = !changed->members.empty();
    target_reader->read_object(target_text, as_checked, issues, [&](auto& target_root) {
      Writer out(merged);
      Members target_members(*target_reader, target_root);
      Merger(*target_reader, out).merge(target_members, *changed);
    });
  });
  if (!issues.empty()) throw invalid_input(std::move(issues));
  return Raw::from_checked(changes ? merged : target_text);
}

}  // namespace actionflows::json

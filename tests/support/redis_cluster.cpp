#include "tests/support/redis_cluster.hpp"

#include "tests/support/wait_until.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace actionflows::test {
namespace {

constexpr std::size_t slot_count = 16'384;

std::string port_of(const RedisServer& node) { return std::to_string(node.address().port); }
std::string id_of(const RedisServer& node) { return node.text({"CLUSTER", "MYID"}); }

// Some of what nodes are asked for they refuse until they have heard of each other.
void until_done(const RedisServer& node, const std::vector<std::string>& words) {
  RedisReply reply;
  if (wait_until([&] { return (reply = node.call(words)).kind != '-'; })) return;
  throw std::runtime_error(words.at(1) + ": " + reply.text);
}

void until_true(const char* what, const std::function<bool()>& condition) {
  if (!wait_until(condition))
    throw std::runtime_error(std::string("the cluster does not come to: ").append(what));
}

bool is_in_step(const RedisServer& node) {
  if (node.info("role") == "master") return true;
  return node.info("master_link_status") == "up" && node.info("master_sync_in_progress") == "0";
}

}  // namespace

RedisCluster::RedisCluster(const RedisServerOptions& options) {
  RedisServerOptions of_node = options;
  of_node.cluster = true;
  of_node.config.insert(of_node.config.end(),
                        {"cluster-node-timeout 2000", "cluster-allow-replica-migration no"});
  for (std::size_t i = 0; i < 2 * masters; ++i)
    nodes_.push_back(std::make_unique<RedisServer>(of_node));

  for (std::size_t i = 0; i < masters; ++i) {
    std::vector<std::string> words = {"CLUSTER", "ADDSLOTS"};
    for (std::size_t slot = slot_count * i / masters; slot < slot_count * (i + 1) / masters; ++slot)
      words.push_back(std::to_string(slot));
    nodes_[i]->text({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
    nodes_[i]->text(words);
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    for (std::size_t k = i + 1; k < nodes_.size(); ++k)
      nodes_[i]->text({"CLUSTER", "MEET", "127.0.0.1", port_of(*nodes_[k])});
  for (std::size_t i = 0; i < masters; ++i)
    until_done(*nodes_[masters + i], {"CLUSTER", "REPLICATE", id_of(*nodes_[i])});
  until_true("six nodes that know each other", [&] {
    return std::ranges::all_of(
        nodes_, [](const auto& node) { return node->cluster_info("cluster_known_nodes") == "6"; });
  });
  until_true("a replica of each master", [&] {
    return std::ranges::all_of(nodes_.begin(), nodes_.begin() + masters, [](const auto& node) {
      return node->info("connected_slaves") == "1";
    });
  });
  wait_until_well(Replicas::in_step);
}

std::vector<RedisAddress> RedisCluster::addresses() const {
  std::vector<RedisAddress> all;
  for (const auto& node : nodes_) all.push_back(node->address());
  return all;
}

RedisOptions RedisCluster::storage_options() const {
  RedisOptions options = nodes_.front()->storage_options();
  options.servers = addresses();
  return options;
}

std::string RedisCluster::url() const {
  return "redis+cluster://127.0.0.1:" + port_of(*nodes_.front()) +
         ",127.0.0.1:" + port_of(*nodes_.back());
}

std::vector<RedisCluster::Range> RedisCluster::ranges(const RedisServer& as_seen_by) const {
  std::vector<Range> all;
  for (const RedisReply& row : as_seen_by.call({"CLUSTER", "SLOTS"}).items) {
    Range& range = all.emplace_back();
    range.first = static_cast<std::uint16_t>(std::stoul(row.items.at(0).text));
    range.last = static_cast<std::uint16_t>(std::stoul(row.items.at(1).text));
    const std::string& port = row.items.at(2).items.at(1).text;
    const auto found = std::ranges::find(nodes_, port, [](const auto& n) { return port_of(*n); });
    if (found != nodes_.end()) range.master = found->get();
  }
  return all;
}

RedisServer* RedisCluster::owner_of(std::uint16_t slot, const RedisServer& as_seen_by) const {
  for (const Range& range : ranges(as_seen_by))
    if (range.first <= slot && slot <= range.last) return range.master;
  return nullptr;
}

RedisServer& RedisCluster::master_of(std::uint16_t slot) const {
  for (const auto& node : nodes_) {
    if (!node->runs()) continue;
    RedisServer* const owner = owner_of(slot, *node);
    if (owner != nullptr && owner->runs()) return *owner;
  }
  throw std::runtime_error("nobody who runs owns slot " + std::to_string(slot));
}

bool RedisCluster::is_well(const RedisServer& as_seen_by) const {
  if (as_seen_by.cluster_info("cluster_state") != "ok") return false;
  std::size_t served = 0;
  for (const Range& range : ranges(as_seen_by)) {
    if (range.master == nullptr || !range.master->runs()) return false;
    served += range.last - range.first + 1u;
  }
  return served == slot_count;
}

void RedisCluster::wait_until_well(Replicas replicas) const {
  until_true("every slot served", [&] {
    return std::ranges::all_of(nodes_, [&](const auto& node) {
      if (!node->runs()) return true;
      return is_well(*node) && (replicas == Replicas::ignored || is_in_step(*node));
    });
  });
}

void RedisCluster::move_slot(std::uint16_t slot, RedisServer& to) const {
  const RedisServer& from = master_of(slot);
  const std::string number = std::to_string(slot);
  to.text({"CLUSTER", "SETSLOT", number, "IMPORTING", id_of(from)});
  from.text({"CLUSTER", "SETSLOT", number, "MIGRATING", id_of(to)});
  for (;;) {
    const RedisReply keys = from.call({"CLUSTER", "GETKEYSINSLOT", number, "1"});
    if (keys.items.empty()) break;
    from.text({"MIGRATE", "127.0.0.1", port_of(to), keys.items[0].text, "0", "10000"});
  }
  to.text({"CLUSTER", "SETSLOT", number, "NODE", id_of(to)});
  from.text({"CLUSTER", "SETSLOT", number, "NODE", id_of(to)});
  // Until all agree: whoever asks a node that has not heard of it moves the slot on from where it
  // is not any more, and then none of them has it.
  until_true("the slot's new owner known to all", [&] {
    return std::ranges::all_of(
        nodes_, [&](const auto& node) { return !node->runs() || owner_of(slot, *node) == &to; });
  });
}

}  // namespace actionflows::test

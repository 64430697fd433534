// How the creation of a chain with its steps stands in the log: `chain:compiled` with the chain and
// as many of its steps as fit, then `chain:extended` with the rest, batch by batch.
#pragma once

#include "actionflows/model/chain.hpp"
#include "actionflows/schema/schema.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows {

// The data of one of these events.
struct ChainBatch {
  std::optional<Chain> chain;
  std::optional<std::vector<Step>> steps;
};

namespace schema {
template <>
const Schema<ChainBatch>& schema_of<ChainBatch>();
}  // namespace schema

// Half of what one event may be, because one step can be nearly as large as that.
inline constexpr std::size_t max_chain_batch = std::size_t{1} << 20;

// The data of all of them, in order, from the records' stored bytes. Each is at most
// max_chain_batch bytes, or holds a single record.
std::vector<std::string> chain_batches(std::string_view chain,
                                       const std::vector<std::string_view>& steps);

}  // namespace actionflows

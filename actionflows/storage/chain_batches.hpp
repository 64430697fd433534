// How the creation of a chain with its steps stands in the log: `chain:compiled` with the chain and
// as many of its steps as fit, then `chain:extended` with the rest, batch by batch.
#pragma once

#include "actionflows/model/chain.hpp"
#include "actionflows/schema/schema.hpp"

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

// The data of all of them, in order, from the records' stored bytes. Each is at most 1 MiB, or
// holds a single record.
std::vector<std::string> chain_batches(std::string_view chain,
                                       const std::vector<std::string_view>& steps);

}  // namespace actionflows

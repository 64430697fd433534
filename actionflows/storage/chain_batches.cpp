#include "actionflows/storage/chain_batches.hpp"

#include "actionflows/schema/object.hpp"

#include <utility>

namespace actionflows {

template <>
const schema::Schema<ChainBatch>& schema::schema_of<ChainBatch>() {
  static const auto& schema = *new auto(
      object<ChainBatch>("ChainBatch", "A chain and steps of it, as they were created.",
                         field("chain", &ChainBatch::chain, object_of<Chain>(Form::stored)),
                         field("steps", &ChainBatch::steps, array(object_of<Step>(Form::stored)))));
  return schema;
}

std::vector<std::string> chain_batches(std::string_view chain,
                                       const std::vector<std::string_view>& steps) {
  std::vector<std::string> batches;
  std::string batch = "{\"chain\":";
  batch += chain;
  std::string_view before_step = ",\"steps\":[";
  std::string_view end = "}";
  for (const std::string_view step : steps) {
    if (batch.size() + step.size() > max_chain_batch) {
      batch += end;
      batches.push_back(std::exchange(batch, "{"));
      before_step = "\"steps\":[";
    }
    batch += before_step;
    batch += step;
    before_step = ",";
    end = "]}";
  }
  batch += end;
  batches.push_back(std::move(batch));
  return batches;
}

}  // namespace actionflows

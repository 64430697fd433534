// Rebase: a journaled commit as it has to be where the primary has moved on meanwhile.
//
// Pure: what is read of the primary comes in, the commit to try comes out. What the journaled
// commit changed in each record is applied to the record as it stands now; fields that both sides
// changed take the journaled value and are told as conflicts; what has ended there stays ended.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace actionflows {

// A session's records as they were here before the commit, by key.
using Lineage = std::map<RecordKey, Bytes>;

// What the rebase of `commit` needs to have read of the primary, besides what `more_keys` adds.
std::vector<RecordKey> rebase_keys(const Commit& commit);

// The steps of the chains that `commit` changes or erases, as their records in `read` (of
// rebase_keys) tell their number: a chain's counts follow from all of its steps.
std::vector<RecordKey> rebase_more_keys(const Commit& commit, std::span<const RecordKey> keys,
                                        const ReadResult& read);

struct Rebased {
  std::optional<Commit> commit;  // nullopt: it can't be applied any more
  std::string refusal;           // then: why, in plain words
  std::size_t conflicts = 0;     // fields or records that both sides had changed
};

// `read` holds the records at `keys` (both kinds) as they stand now.
Rebased rebase(const Commit& commit, const Lineage& lineage, std::span<const RecordKey> keys,
               const ReadResult& read, Timestamp now);

}  // namespace actionflows

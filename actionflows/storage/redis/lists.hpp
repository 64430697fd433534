// Pages of sessions and of archived chains: entries of an index with what they point at.
#pragma once

#include "actionflows/storage/redis/client.hpp"
#include "actionflows/storage/redis/keys.hpp"

namespace actionflows::redis {

// Both put right what they find misplaced. Throw what StorageDriver's functions of these names do.
Task<SessionPage> list_sessions(Client& client, const Keys& keys, ListQuery query,
                                Call::TimePoint deadline);
Task<ArchivePage> list_archive(Client& client, const Keys& keys, ListQuery query,
                               Call::TimePoint deadline);

}  // namespace actionflows::redis

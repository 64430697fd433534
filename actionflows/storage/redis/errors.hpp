// What a failure of a server, or of the way to it, means to the caller. Pure.
//
// An error reply is told by its first word:
//
//   reply         code         retry  reconnect  why
//   LOADING       unavailable  yes    no         it still reads its data from disk
//   READONLY      unavailable  yes    yes        it is a replica: another is the master now
//   MASTERDOWN    unavailable  yes    yes        it is a replica that has lost its master
//   CLUSTERDOWN   unavailable  yes    no         part of the cluster is without a master
//   TRYAGAIN      unavailable  yes    no         the slot is on its way to another node
//   MOVED, ASK    unavailable  yes    no         redirected more often than is followed
//   OOM           exhausted    yes    no         its memory is full
//   MISCONF       unavailable  yes    no         it can't write to its disk and takes no writes
//   NOREPLICAS    unavailable  yes    no         it has too few replicas and takes no writes
//   BUSY          unavailable  yes    no         it runs a script that takes long
//   UNKILLABLE    unavailable  yes    no         the same, and the script has written
//   NOSCRIPT      unavailable  yes    no         it lost a script, also after that was loaded again
//   EXECABORT     unavailable  no     no         it refused a part of a transaction
//   NOAUTH        unavailable  no     no         it asks for a password, and none is configured
//   WRONGPASS     unavailable  no     no         user or password are wrong, or the user is off
//   NOPERM        unavailable  no     no         the user may not do this
//   DENIED        unavailable  no     no         protected mode: it takes only local connections
//   WRONGTYPE     corrupt      no     no         another program's data stands under our key
//   CORRUPT       corrupt      no     no         our script can't read what is stored
//   max clients   unavailable  yes    yes        "ERR max number of clients reached"
//   a script's    corrupt      no     no         our script met what it can't have written
//   any other     unavailable  no     no         it does not know the command: too old, or a bug
//
// A script that fails may have written before: Redis does not undo it. So an error that is raised
// inside of a script leaves open whether it was applied, except for those that Redis looks for
// before a script's first write, LOADING to BUSY above, and for CORRUPT.
#pragma once

#include "actionflows/base/error.hpp"

#include <string>
#include <string_view>

namespace actionflows::redis {

struct Fault {
  ErrorCode code = ErrorCode::unavailable;
  bool retryable = false;        // the same call can succeed later
  bool reconnect = false;        // this connection is of no use any more
  bool applied_unknown = false;  // whether the call was applied is open

  friend bool operator==(const Fault&, const Fault&) = default;
};

// How a call failed that no server has answered.
enum class LinkFailure {
  refused,          // nobody listens, no such host, or TLS failed: not sent
  rejected,         // the server answered HELLO by an error: wrong password, too many clients, ...
  lost,             // the connection ended before the answer, also because what came was none
  deadline_unsent,  // the call's time passed before there was a connection to send it on
  deadline_sent,    // it passed before the answer
  queue_full,       // too many calls wait already: not sent
  closed,           // the driver is being destroyed; the call may have been sent
};

// `reply`: an error reply without its "-": "READONLY You can't write against a read only replica."
Fault classify(std::string_view reply);
Fault classify(LinkFailure failure);

// The same as the error that the caller gets. Its message is our own words and at the most the
// reply's first word: servers put keys, users and addresses into the rest.
StorageError to_storage_error(std::string_view reply, std::string operation, std::string record);
StorageError to_storage_error(LinkFailure failure, std::string operation, std::string record);

}  // namespace actionflows::redis

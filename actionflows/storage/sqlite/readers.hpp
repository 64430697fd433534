// The threads that read, each on a connection of its own, beside the writer and beside each other.
#pragma once

#include "actionflows/storage/sqlite/reads.hpp"
#include "actionflows/storage/sqlite/requests.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace actionflows::sqlite {

// A call that reads.
class ReadRequest : public Request {
 public:
  // On a reading thread, inside a read transaction. Throws DatabaseError or StorageError.
  virtual void perform(Reads& reads) = 0;
};

// Thread-safety: shared objects: safe.
class Readers {
 public:
  struct Options {
    std::string path;
    std::size_t threads = 1;
    std::size_t max_waiting = 1;
    std::chrono::milliseconds busy_timeout;
  };

  // Throws as open_sqlite_storage does.
  explicit Readers(const Options& options);
  // Answers what it has accepted.
  ~Readers();
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  // Returns when `request` was performed. Throws unavailable, corrupt.
  Task<void> ask(ReadRequest& request) { return inbox_.ask(request); }

 private:
  struct Reader;
  void work(Reader& reader);

  Inbox inbox_;
  std::vector<std::unique_ptr<Reader>> readers_;
  std::vector<std::jthread> threads_;
};

}  // namespace actionflows::sqlite

#include "actionflows/storage/sqlite/readers.hpp"

#include "actionflows/storage/sqlite/schema.hpp"

#include <algorithm>

namespace actionflows::sqlite {
namespace {

// Calls that one transaction serves at the most: it and the change of threads cost about as much as
// a call. Few enough that the first does not wait long for the last.
constexpr std::size_t most_reads_at_once = 32;

}  // namespace

struct Readers::Reader {
  explicit Reader(const Options& options)
      : connection(open_for_reading(options.path, options.busy_timeout)),
        reads(connection),
        begin(connection, "BEGIN"),
        end(connection, "COMMIT") {}

  void perform(ReadRequest& request) {
    try {
      // An error may have ended the transaction of those before.
      if (!connection.in_transaction()) begin.run();
      request.perform(reads);
    } catch (const std::exception&) {
      request.fail_with_current();
    }
  }

  // What is read next is to be as of then.
  void let_go() {
    if (!connection.in_transaction()) return;
    try {
      end.run();
    } catch (const DatabaseError&) {
      connection.roll_back();  // after a damaged page it does not end otherwise
    }
  }

  Connection connection;
  Reads reads;
  Statement begin;
  Statement end;
};

Readers::Readers(const Options& options) : inbox_(options.max_waiting) {
  for (std::size_t i = 0; i < std::max<std::size_t>(options.threads, 1); ++i)
    readers_.push_back(std::make_unique<Reader>(options));
  for (const auto& reader : readers_)
    threads_.emplace_back([this, &reader = *reader] { work(reader); });
}

Readers::~Readers() {
  inbox_.close();
  threads_.clear();  // joins
}

void Readers::work(Reader& reader) {
  std::vector<Request*> batch;
  while (inbox_.take(batch, most_reads_at_once, readers_.size(), std::nullopt)) {
    for (Request* request : batch) reader.perform(static_cast<ReadRequest&>(*request));
    reader.let_go();
    for (Request* request : batch) request->answer();
    batch.clear();
  }
}

}  // namespace actionflows::sqlite

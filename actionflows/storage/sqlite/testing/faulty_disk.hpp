// FaultyDisk: a disk under SQLite that fails when it is told to. As long as it lives, every
// database of the process that is opened stands on it.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>

namespace actionflows::test {

// Thread-safety: the counters may be set and read by any thread; one object at a time.
class FaultyDisk {
 public:
  FaultyDisk() : real_(*sqlite3_vfs_find(nullptr)) {
    instance = this;
    vfs_ = real_;
    vfs_.zName = "faulty";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_.szOsFile;
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FaultyDisk() {
    sqlite3_vfs_unregister(&vfs_);
    instance = nullptr;
  }
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  // So many more succeed, then all fail until this is set anew. Of the log and the database file.
  static constexpr std::int64_t never = INT64_MAX;
  std::atomic<std::int64_t> syncs_left = never;
  std::atomic<std::int64_t> writes_left = never;
  int write_error = SQLITE_IOERR_WRITE;  // or SQLITE_FULL

  std::atomic<std::uint64_t> syncs{0};  // that have succeeded

 private:
  // What SQLite knows as its file; the real one stands behind it in the same memory.
  struct File : sqlite3_file {
    sqlite3_io_methods methods;
    bool counts;  // fails by the counters
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  static File& as_file(sqlite3_file* file) { return *static_cast<File*>(file); }
  static sqlite3_file* real_of(sqlite3_file* file) { return as_file(file).real(); }
  static bool fails(std::atomic<std::int64_t>& left) {
    return left != never && left.fetch_sub(1) <= 0;
  }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* out, int flags, int* out_flags) {
    File& file = as_file(out);
    file.pMethods = nullptr;
    file.counts = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0;
    std::memset(static_cast<void*>(file.real()), 0,
                static_cast<std::size_t>(instance->real_.szOsFile));
    const int result = instance->real_.xOpen(&instance->real_, name, file.real(), flags, out_flags);
    if (file.real()->pMethods == nullptr) return result;
    wrap(file);
    return result;
  }

  static int sync(sqlite3_file* file, int flags) {
    if (as_file(file).counts) {
      if (fails(instance->syncs_left)) return SQLITE_IOERR_FSYNC;
      ++instance->syncs;
    }
    return real_of(file)->pMethods->xSync(real_of(file), flags);
  }

  static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    if (as_file(file).counts && fails(instance->writes_left)) return instance->write_error;
    return real_of(file)->pMethods->xWrite(real_of(file), data, size, offset);
  }

  // Everything else goes straight to the real file.
  static void wrap(File& file) {
    sqlite3_io_methods& to = file.methods;
    to = {};
    to.iVersion = 2;
    to.xClose = [](sqlite3_file* f) { return real_of(f)->pMethods->xClose(real_of(f)); };
    to.xRead = [](sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
      return real_of(f)->pMethods->xRead(real_of(f), data, size, at);
    };
    to.xWrite = write;
    to.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
      return real_of(f)->pMethods->xTruncate(real_of(f), size);
    };
    to.xSync = sync;
    to.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
      return real_of(f)->pMethods->xFileSize(real_of(f), size);
    };
    to.xLock = [](sqlite3_file* f, int kind) {
      return real_of(f)->pMethods->xLock(real_of(f), kind);
    };
    to.xUnlock = [](sqlite3_file* f, int kind) {
      return real_of(f)->pMethods->xUnlock(real_of(f), kind);
    };
    to.xCheckReservedLock = [](sqlite3_file* f, int* result) {
      return real_of(f)->pMethods->xCheckReservedLock(real_of(f), result);
    };
    to.xFileControl = [](sqlite3_file* f, int op, void* argument) {
      return real_of(f)->pMethods->xFileControl(real_of(f), op, argument);
    };
    to.xSectorSize = [](sqlite3_file* f) { return real_of(f)->pMethods->xSectorSize(real_of(f)); };
    to.xDeviceCharacteristics = [](sqlite3_file* f) {
      return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
    };
    to.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
      return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
    };
    to.xShmLock = [](sqlite3_file* f, int offset, int n, int flags) {
      return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
    };
    to.xShmBarrier = [](sqlite3_file* f) { real_of(f)->pMethods->xShmBarrier(real_of(f)); };
    to.xShmUnmap = [](sqlite3_file* f, int remove) {
      return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
    };
    file.pMethods = &to;
  }

  inline static FaultyDisk* instance = nullptr;

  sqlite3_vfs real_;
  sqlite3_vfs vfs_;
};

}  // namespace actionflows::test

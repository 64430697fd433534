// A folder for one test, gone with it, and what its files hold.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

namespace actionflows::test {

// The bytes of a file; none when there is no such file.
inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Folder {
 public:
  Folder() : Folder(std::filesystem::temp_directory_path()) {}
  explicit Folder(const std::filesystem::path& parent) {
    static std::atomic<int> count{0};
    std::string name = "actionflows-test-";
    name.append(std::to_string(::getpid())).append("-").append(std::to_string(++count));
    path_ = parent / name;
    std::filesystem::create_directory(path_);
  }

  // Where the system has a file system in memory, there: for tests that write much, and are not
  // about what a disk does.
  static Folder in_memory() {
    const std::filesystem::path memory = "/dev/shm";
    const bool writable = ::access(memory.c_str(), W_OK) == 0;
    return Folder(writable ? memory : std::filesystem::temp_directory_path());
  }

  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return path_ / name; }
  // Writes a file and returns its path.
  [[nodiscard]] std::string file(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path(name);
  }

 private:
  std::filesystem::path path_;
};

}  // namespace actionflows::test

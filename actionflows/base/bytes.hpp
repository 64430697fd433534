// Bytes: an immutable, reference-counted byte string.
//
// What a store keeps and what its readers hold is the same memory: copying a Bytes copies a
// pointer. One allocation holds the count, the length and the bytes, because a store keeps millions
// of them.
//
// Thread-safety: distinct objects: safe, also when they share the same memory. One object: as an
// int.
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace actionflows {

class Bytes {
 public:
  // Empty.
  Bytes() noexcept = default;

  // A copy of `text`, at most 4 GiB.
  explicit Bytes(std::string_view text) : Bytes({text}) {}

  // The parts, joined.
  explicit Bytes(std::initializer_list<std::string_view> parts);

  // Valid for as long as any copy of this object lives.
  [[nodiscard]] std::string_view view() const noexcept {
    return block_ ? std::string_view(block_->text(), block_->size) : std::string_view();
  }
  [[nodiscard]] std::size_t size() const noexcept { return block_ ? block_->size : 0; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

  // Equal content; the same memory answers without looking at it.
  friend bool operator==(const Bytes& a, const Bytes& b) noexcept {
    return a.block_ == b.block_ || a.view() == b.view();
  }

  // What an object of this size occupies beside its bytes.
  static constexpr std::size_t overhead = 8;

 private:
  struct Block {
    std::atomic<std::uint32_t> references{0};
    std::uint32_t size = 0;

    char* text() noexcept { return reinterpret_cast<char*>(this + 1); }
    void release() noexcept;  // frees itself with the last owner

    friend void intrusive_ptr_add_ref(Block* block) noexcept {
      block->references.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(Block* block) noexcept { block->release(); }
  };
  static_assert(sizeof(Block) == overhead);

  boost::intrusive_ptr<Block> block_;
};

}  // namespace actionflows

#include "actionflows/base/bytes.hpp"

#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>

namespace actionflows {

Bytes::Bytes(std::initializer_list<std::string_view> parts) {
  std::size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  if (size == 0) return;
  if (size > std::numeric_limits<std::uint32_t>::max()) throw std::length_error("Bytes over 4 GiB");

  auto* block = new (::operator new(sizeof(Block) + size)) Block;
  block->size = static_cast<std::uint32_t>(size);
  char* end = block->text();
  for (const std::string_view part : parts) {
    if (part.empty()) continue;
    std::memcpy(end, part.data(), part.size());
    end += part.size();
  }
  block_.reset(block);
}

void Bytes::Block::release() noexcept {
  // acq_rel: the last owner must see every other owner's reads finished before it frees the memory.
  if (references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  this->~Block();
  ::operator delete(this);
}

}  // namespace actionflows

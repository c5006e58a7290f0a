#include "window/aggregate/arena.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>

namespace streamobs::window {

namespace {

constexpr std::size_t kFirstChunk = 1 << 10;
constexpr std::size_t kHugePage = 2 << 20;

struct SizeClass {
  std::size_t index;
  std::size_t size;
};

/// Multiples of 16 up to 128, then four sizes to each doubling: at most a fifth is wasted.
SizeClass size_class(std::size_t size) {
  if (size <= 128) {
    const std::size_t sixteenths = size == 0 ? 1 : (size + 15) / 16;
    return {sixteenths - 1, sixteenths * 16};
  }
  const auto octave = static_cast<std::size_t>(std::bit_width(size - 1)) - 1;  // 2^octave < size
  const std::size_t step = std::size_t{1} << (octave - 2);
  const std::size_t quarter = (size - (std::size_t{1} << octave) + step - 1) / step;  // 1 … 4
  return {8 + (octave - 7) * 4 + (quarter - 1), (std::size_t{1} << octave) + quarter * step};
}

}  // namespace

Arena::~Arena() {
  while (chunks_ != nullptr) {
    Chunk* const next = chunks_->next;
    std::free(chunks_);
    chunks_ = next;
  }
}

void Arena::swap(Arena& other) noexcept {
  std::swap(chunks_, other.chunks_);
  std::swap(next_, other.next_);
  std::swap(left_, other.left_);
  std::swap(bytes_, other.bytes_);
  std::swap(free_, other.free_);
}

void Arena::add_chunk(std::size_t at_least) {
  const std::size_t wanted = std::clamp(bytes_, kFirstChunk, kHugePage);
  add_chunk_of(std::max(at_least + sizeof(Chunk), wanted));
}

void Arena::add_chunk_of(std::size_t size) {
  void* memory = nullptr;
  if (size >= kHugePage) {
    size = (size + kHugePage - 1) / kHugePage * kHugePage;
    memory = std::aligned_alloc(kHugePage, size);
    if (memory != nullptr) madvise(memory, size, MADV_HUGEPAGE);
  } else {
    memory = std::aligned_alloc(16, (size + 15) / 16 * 16);
    size = (size + 15) / 16 * 16;
  }
  if (memory == nullptr) throw std::bad_alloc();
  auto* const chunk = static_cast<Chunk*>(memory);
  chunk->next = chunks_;
  chunk->size = size;
  chunks_ = chunk;
  next_ = static_cast<std::byte*>(memory) + sizeof(Chunk);
  left_ = size - sizeof(Chunk);
  bytes_ += size;
}

void Arena::copy(const Arena& other, std::vector<Moved>& moved) {
  for (const Chunk* chunk = other.chunks_; chunk != nullptr; chunk = chunk->next) {
    // The newest one stands in front and has some room left.
    const std::size_t used = chunk->size - (chunk == other.chunks_ ? other.left_ : 0);
    add_chunk_of(used);
    std::memcpy(next_, chunk + 1, used - sizeof(Chunk));
    moved.push_back(
        {reinterpret_cast<std::uintptr_t>(chunk), used, reinterpret_cast<std::uintptr_t>(chunks_)});
    left_ = 0;
  }
}

void* Arena::allocate(std::size_t size) {
  const SizeClass c = size_class(size);
  if (c.index < kClasses && free_[c.index] != nullptr) {
    Free* const block = free_[c.index];
    free_[c.index] = block->next;
    return block;
  }
  if (c.size > left_) add_chunk(c.size);
  void* const block = next_;
  next_ += c.size;
  left_ -= c.size;
  return block;
}

void* Arena::allocate_cleared(std::size_t size) {
  void* const block = allocate(size);
  std::memset(block, 0, size);
  return block;
}

void Arena::release(void* block, std::size_t size) {
  const SizeClass c = size_class(size);
  if (c.index >= kClasses) return;
  auto* const free_block = static_cast<Free*>(block);
  free_block->next = free_[c.index];
  free_[c.index] = free_block;
}

}  // namespace streamobs::window

// Memory of one window instance: keys, spilled sketches, sets and strings.
//
// A window has many small things that grow a little and die together when it closes, so they come
// from one arena that is freed whole; nothing in it has a destructor. Blocks that were outgrown go
// to free lists by size and are used again. Belongs to whoever holds the window's table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace streamobs::window {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  Arena(Arena&& other) noexcept { swap(other); }
  Arena& operator=(Arena&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Arena();

  /// At least `size` bytes, aligned to 16, not cleared.
  void* allocate(std::size_t size);
  void* allocate_cleared(std::size_t size);
  /// Gives back a block of allocate(size) for later use within this arena.
  void release(void* block, std::size_t size);
  /// A block of this arena that was copied: addresses.
  struct Moved {
    std::uintptr_t from = 0;
    std::size_t size = 0;
    std::uintptr_t to = 0;
  };
  /// Copies all of `other`'s memory as it is into this empty arena, and appends to `moved` where
  /// each block went: pointers in it are still those of the original.
  void copy(const Arena& other, std::vector<Moved>& moved);
  /// Memory taken from the system.
  std::size_t bytes() const { return bytes_; }

 private:
  struct Chunk {
    Chunk* next;
    std::size_t size;
  };
  struct Free {
    Free* next;
  };
  static constexpr std::size_t kClasses = 48;  ///< Up to 128 KiB; larger blocks are not reused.

  void swap(Arena& other) noexcept;
  void add_chunk(std::size_t at_least);
  void add_chunk_of(std::size_t size);

  Chunk* chunks_ = nullptr;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t bytes_ = 0;
  std::array<Free*, kClasses> free_{};
};

}  // namespace streamobs::window

#include "window/group_table.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>

#include "window/relocate.h"

namespace streamobs::window {

namespace {

constexpr std::size_t kHugePage = 2 << 20;
constexpr std::uint32_t kFirstRows = 4;
constexpr std::uint32_t kFirstEntries = 8;

}  // namespace

RowBlock::~RowBlock() {
  if (mapped_) {
    munmap(data_, capacity_);
  } else {
    std::free(data_);
  }
}

void RowBlock::reserve(std::size_t bytes) {
  if (bytes <= capacity_) return;
  if (bytes < kHugePage) {
    const std::size_t capacity = std::max(bytes, capacity_ * 2);
    void* const memory = std::realloc(data_, capacity);
    if (memory == nullptr) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(memory);
    std::memset(data_ + capacity_, 0, capacity - capacity_);
    capacity_ = capacity;
    return;
  }
  // Doubling costs nothing here: pages that were not touched take no memory.
  const std::size_t capacity =
      (std::max(bytes, capacity_ * 2) + kHugePage - 1) / kHugePage * kHugePage;
  if (mapped_) {
    void* const memory = mremap(data_, capacity_, capacity, MREMAP_MAYMOVE);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(memory);
  } else {
    void* const memory =
        mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    if (data_ != nullptr) std::memcpy(memory, data_, capacity_);
    std::free(data_);
    data_ = static_cast<std::byte*>(memory);
    mapped_ = true;
  }
  madvise(data_, capacity, MADV_HUGEPAGE);
  capacity_ = capacity;
}

std::uint32_t GroupTable::append(const GroupKey& key) {
  const std::size_t bytes = (std::size_t{size_} + 1) * plan_.row_bytes;
  if (bytes > rows_.capacity()) rows_.reserve(std::max(bytes, kFirstRows * plan_.row_bytes));
  auto* const header = new (row(size_)) GroupKey(key);
  if (key.is_long()) {
    auto* const text = static_cast<char*>(arena_.allocate(key.size));
    std::memcpy(text, key.tail.text, key.size);
    header->tail.text = text;
  }
  return size_++;
}

void GroupTable::place(Entry entry) {
  const auto mask = static_cast<std::uint32_t>(entries_.size()) - 1;
  std::uint32_t i = entry.hash & mask;
  while (entries_[i].slot != kNone) i = (i + 1) & mask;
  entries_[i] = entry;
}

void GroupTable::grow_entries() {
  PodVector<Entry> old;
  old.swap(entries_);
  const std::size_t size = std::max<std::size_t>(kFirstEntries, old.size() * 2);
  entries_.reserve(size);
  if (size * sizeof(Entry) >= kHugePage) {
    // Only whole huge pages within the block are meant; the kernel rounds for itself.
    const auto begin = reinterpret_cast<std::uintptr_t>(entries_.data());
    const std::uintptr_t aligned = (begin + 4095) / 4096 * 4096;
    madvise(reinterpret_cast<void*>(aligned), size * sizeof(Entry) - (aligned - begin),
            MADV_HUGEPAGE);
  }
  entries_.resize(size, Entry{0, kNone});
  for (const Entry& entry : old) {
    if (entry.slot != kNone) place(entry);
  }
}

std::uint32_t GroupTable::insert(const GroupKey& key, std::uint32_t hash) {
  if ((std::size_t{size_} + 1) * 4 > entries_.size() * 3) grow_entries();
  const std::uint32_t slot = append(key);
  place({hash, slot});
  return slot;
}

std::uint32_t GroupTable::overflow_slot() {
  if (overflow_ == kNone) {
    const GroupKey key = GroupKey::overflow();
    overflow_ = insert(key, key.hash());
  }
  return overflow_;
}

void GroupTable::index() {
  while (size_ * std::size_t{4} > entries_.size() * 3) grow_entries();
  for (std::uint32_t slot = 0; slot < size_; ++slot) place({key(slot).hash(), slot});
}

void GroupTable::merge(const GroupTable& other) {
  if (entries_.empty()) index();
  for (std::uint32_t from = 0; from < other.size_; ++from) {
    const GroupKey& key = other.key(from);
    std::uint32_t slot = kNone;
    if (key.is_overflow()) {
      slot = overflow_slot();
    } else {
      const std::uint32_t hash = key.hash();
      slot = find(key, hash);
      if (slot == kNone) slot = insert(key, hash);
    }
    for (const AccumulatorPlan& a : plan_.accumulators) {
      a.ops->merge(row(slot) + a.offset, other.row(from) + a.offset, arena_);
    }
  }
}

void GroupTable::copy(const GroupTable& other) {
  const std::size_t bytes = other.size_ * plan_.row_bytes;
  rows_.reserve(bytes);
  if (bytes != 0) std::memcpy(rows_.data(), other.rows_.data(), bytes);
  arena_.copy(other.arena_, moved_);
  size_ = other.size_;
  overflow_ = other.overflow_;
}

void GroupTable::settle() {
  if (moved_.empty()) return;
  const Relocation moved(std::move(moved_));
  moved_.clear();
  for (std::uint32_t slot = 0; slot < size_; ++slot) {
    std::byte* const group = row(slot);
    relocate(*reinterpret_cast<GroupKey*>(group), moved);
    if (plan_.flat) continue;
    for (const AccumulatorPlan& a : plan_.accumulators) {
      if (!a.ops->flat) relocate(a.kind, group + a.offset, moved);
    }
  }
}

}  // namespace streamobs::window

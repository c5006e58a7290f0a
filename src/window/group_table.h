// The groups of one window instance: key → accumulators.
//
// A group is one row of fixed size: the key's header, then the accumulators side by side. Rows
// stand in order of arrival in one growing block (huge pages once it is large); an open-addressing
// table of 8-byte entries leads from a hash to a row; what rows must keep beside themselves is in
// the arena. Belongs to one lane, then to the merger; no destructors run per group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/pod_vector.h"
#include "window/aggregate/arena.h"
#include "window/group_key.h"
#include "window/plan.h"

namespace streamobs::window {

/// A block of zeroed memory that grows in place where the system can do that.
class RowBlock {
 public:
  RowBlock() = default;
  RowBlock(const RowBlock&) = delete;
  RowBlock& operator=(const RowBlock&) = delete;
  ~RowBlock();

  std::byte* data() const { return data_; }
  std::size_t capacity() const { return capacity_; }
  /// At least `bytes`; what is new is zero.
  void reserve(std::size_t bytes);

 private:
  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
  bool mapped_ = false;
};

class GroupTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  explicit GroupTable(const WindowPlan& plan) : plan_(plan) {}
  GroupTable(const GroupTable&) = delete;
  GroupTable& operator=(const GroupTable&) = delete;

  /// Groups held, __overflow__ included.
  std::uint32_t size() const { return size_; }
  /// Groups with a key of their own.
  std::uint32_t keys() const { return size_ - (overflow_ == kNone ? 0 : 1); }
  std::byte* row(std::uint32_t slot) { return rows_.data() + slot * plan_.row_bytes; }
  const std::byte* row(std::uint32_t slot) const { return rows_.data() + slot * plan_.row_bytes; }
  const GroupKey& key(std::uint32_t slot) const {
    return *reinterpret_cast<const GroupKey*>(row(slot));
  }

  std::uint32_t find(const GroupKey& key, std::uint32_t hash) const {
    if (size_ == 0) return kNone;
    const std::uint32_t mask = static_cast<std::uint32_t>(entries_.size()) - 1;
    for (std::uint32_t i = hash & mask;; i = (i + 1) & mask) {
      const Entry entry = entries_[i];
      if (entry.slot == kNone) return kNone;
      if (entry.hash == hash && this->key(entry.slot) == key) return entry.slot;
    }
  }
  /// Adds a key that is not there. A long key's bytes are copied.
  std::uint32_t insert(const GroupKey& key, std::uint32_t hash);
  /// The group __overflow__, made when it is first needed.
  std::uint32_t overflow_slot();
  bool has_overflow() const { return overflow_ != kNone; }

  /// For callers with many keys at once, find() in steps, with the memory fetched ahead: first the
  /// entry, then the row it leads to (the likely one: only the hash has been compared), then a long
  /// key's text.
  void prefetch_entry(std::uint32_t hash) const {
    if (size_ != 0) __builtin_prefetch(&entries_[hash & (entries_.size() - 1)]);
  }
  std::uint32_t likely_slot(std::uint32_t hash) const {
    if (size_ == 0) return kNone;
    const std::uint32_t mask = static_cast<std::uint32_t>(entries_.size()) - 1;
    for (std::uint32_t i = hash & mask;; i = (i + 1) & mask) {
      const Entry entry = entries_[i];
      if (entry.slot == kNone || entry.hash == hash) return entry.slot;
    }
  }
  void prefetch_row(std::uint32_t slot) const {
    const std::byte* const place = row(slot);
    for (std::size_t i = 0; i < plan_.row_bytes; i += 64) __builtin_prefetch(place + i, 1);
    __builtin_prefetch(place + plan_.row_bytes - 1, 1);  // Rows begin anywhere in a line.
  }
  void prefetch_text(std::uint32_t slot) const {
    if (key(slot).is_long()) __builtin_prefetch(key(slot).tail.text);
  }

  /// Adds all of `other` to this one.
  void merge(const GroupTable& other);
  /// Makes this empty table a copy of `other`, which must be settle()d before it is looked at:
  /// until then its memory is a mere image of the original's.
  void copy(const GroupTable& other);
  void settle();

  Arena& arena() { return arena_; }
  const WindowPlan& plan() const { return plan_; }
  std::size_t bytes() const {
    return arena_.bytes() + size_ * plan_.row_bytes + entries_.size() * sizeof(Entry);
  }

 private:
  struct Entry {
    std::uint32_t hash;
    std::uint32_t slot;
  };
  std::uint32_t append(const GroupKey& key);
  void grow_entries();
  void index();
  void place(Entry entry);

  const WindowPlan& plan_;
  std::uint32_t size_ = 0;
  std::uint32_t overflow_ = kNone;
  RowBlock rows_;
  PodVector<Entry> entries_;  ///< A power of two; at most three quarters full. A copy has none.
  Arena arena_;
  std::vector<Arena::Moved> moved_;  ///< Of a copy that is not settled.
};

}  // namespace streamobs::window

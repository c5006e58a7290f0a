#include "event/dictionary.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"

namespace streamobs {

namespace {
constexpr std::size_t kTextChunk = 16 << 10;
}

Dictionary::Dictionary(std::size_t capacity)
    : capacity_(std::min(capacity, kMaxEntries)), table_(64) {}

std::size_t Dictionary::slot_of(std::uint64_t hash, std::string_view text) const {
  const std::size_t mask = table_.size() - 1;
  std::size_t i = hash & mask;
  while (table_[i].id != kNone && !(table_[i].hash == hash && (*this)[table_[i].id] == text)) {
    i = (i + 1) & mask;
  }
  return i;
}

Dictionary::Id Dictionary::find(std::string_view text) const {
  return table_[slot_of(hash_bytes(text), text)].id;
}

Dictionary::Id Dictionary::intern(std::string_view text) {
  const std::uint64_t hash = hash_bytes(text);
  std::size_t slot = slot_of(hash, text);
  if (table_[slot].id != kNone) return table_[slot].id;
  if (size_ == capacity_ || bytes_ + text.size() > kMaxBytes) return kNone;

  if (text.size() > text_left_) {
    const std::size_t chunk = std::max(text.size(), kTextChunk);
    text_.push_back(std::make_unique<char[]>(chunk));
    text_next_ = text_.back().get();
    text_left_ = chunk;
  }
  if (!text.empty()) std::memcpy(text_next_, text.data(), text.size());
  const std::string_view kept(text_next_, text.size());
  text_next_ += text.size();
  text_left_ -= text.size();
  bytes_ += text.size();

  const Id id = static_cast<Id>(size_);
  if (id % kChunk == 0) chunks_[id / kChunk] = std::make_unique<std::array<std::string_view, kChunk>>();
  (*chunks_[id / kChunk])[id % kChunk] = kept;
  ++size_;
  table_[slot] = {hash, id};
  if (size_ * 2 > table_.size()) grow_table();
  return id;
}

void Dictionary::grow_table() {
  std::vector<Slot> old(table_.size() * 2);
  old.swap(table_);
  const std::size_t mask = table_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id == kNone) continue;
    std::size_t i = slot.hash & mask;
    while (table_[i].id != kNone) i = (i + 1) & mask;
    table_[i] = slot;
  }
}

}  // namespace streamobs

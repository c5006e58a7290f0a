#include "event/dictionary.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/hash.h"

namespace streamobs {

namespace {
constexpr std::size_t kTextChunk = 16 << 10;

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}
}  // namespace

Dictionary::Dictionary(std::size_t capacity)
    : serial_(next_serial()),
      capacity_(std::min(capacity, kMaxEntries)),
      table_(512),
      shift_(64 - 9) {}

ShortText Dictionary::key_of(std::string_view text) {
  // A NUL at the end would look like padding: such text is kept by its hash, as long text is.
  if (text.size() <= ShortText::kMax && (text.empty() || text.back() != '\0')) {
    return ShortText::from(text.data(), text.size());
  }
  return ShortText::of_hash(hash_bytes(text), text.size());
}

std::size_t Dictionary::slot_of(const ShortText& key, std::string_view text) const {
  const std::size_t mask = table_.size() - 1;
  std::size_t i = first_slot(key);
  while (table_[i].id != kNone && !holds(table_[i], key, text)) i = (i + 1) & mask;
  return i;
}

Dictionary::Id Dictionary::find(std::string_view text) const {
  return table_[slot_of(key_of(text), text)].id;
}

Dictionary::Id Dictionary::intern_slow(std::string_view text, const ShortText& key) {
  const std::size_t slot = slot_of(key, text);
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
  if (id % kChunk == 0)
    chunks_[id / kChunk] = std::make_unique<std::array<std::string_view, kChunk>>();
  (*chunks_[id / kChunk])[id % kChunk] = kept;
  ++size_;
  table_[slot] = {key, id};
  if (size_ * 4 > table_.size()) grow_table();
  return id;
}

void Dictionary::grow_table() {
  std::vector<Slot> old(table_.size() * 2);
  old.swap(table_);
  --shift_;
  const std::size_t mask = table_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id == kNone) continue;
    std::size_t i = first_slot(slot.key);
    while (table_[i].id != kNone) i = (i + 1) & mask;
    table_[i] = slot;
  }
}

}  // namespace streamobs

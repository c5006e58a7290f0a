#include "event/event_batch.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace streamobs {

namespace {
constexpr std::size_t kArenaChunk = 16 << 10;
}

char* TextArena::allocate(std::size_t size) {
  while (chunk_ < chunks_.size() && used_ + size > chunks_[chunk_].size) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) {
    // Powers of two: a batch that is filled again and again, a little larger each time, finds its
    // chunk large enough most of the time, and the chunks too small for it do not add up.
    const std::size_t chunk = std::bit_ceil(std::max(size, kArenaChunk));
    chunks_.push_back({std::make_unique_for_overwrite<char[]>(chunk), chunk});
    used_ = 0;
  }
  char* const place = chunks_[chunk_].bytes.get() + used_;
  used_ += size;
  return place;
}

std::string_view TextArena::keep(std::string_view text) {
  if (text.empty()) return {};
  char* const place = allocate(text.size());
  std::memcpy(place, text.data(), text.size());
  return {place, text.size()};
}

void TextArena::clear() {
  chunk_ = 0;
  used_ = 0;
}

void EventBatch::append_views(std::size_t begin, std::vector<ColumnView>& out) const {
  for (const Column& column : columns) out.push_back(column.view().slice(begin));
  for (const Column& column : mined) out.push_back(column.view().slice(begin));
}

void EventBatch::clear() {
  rows = 0;
  time.clear();
  for (Column& column : columns) column.clear();
  for (Column& column : mined) column.clear();
  lookups.reset();
  event_index.clear();
  watermarks.clear();
  raw.clear();
  excluded.clear();
  counted_before = false;
  events = 0;
  time_max = kMinTimestamp;
  dead_letters.clear();
  refused_unkept.clear();
  refused = 0;
  origin = {};
  stamp = {};
  block.reset();
  text.clear();
  encoded.bytes.clear();
  encoded.crc32c = 0;
}

}  // namespace streamobs

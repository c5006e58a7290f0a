#include "decode/field_index.h"

#include <algorithm>
#include <bit>

#include "base/hash.h"
#include "base/short_text.h"

namespace streamobs::decode {

namespace {

ShortText key_of(std::string_view path) {
  if (path.size() <= ShortText::kMax) return ShortText::from(path.data(), path.size());
  return ShortText::of_hash(hash_bytes(path), path.size());
}

}  // namespace

FieldIndex::FieldIndex(const StreamSchema& schema) {
  std::size_t names = 0;
  const auto count = [&](const std::string& path) {
    names += 1 + static_cast<std::size_t>(std::count(path.begin(), path.end(), '.'));
  };
  for (const Field& field : schema.fields) {
    count(field.path);
    std::for_each(field.aliases.begin(), field.aliases.end(), count);
  }
  table_.resize(std::bit_ceil(names * 4 + 1));
  mask_ = table_.size() - 1;

  for (const Field& field : schema.fields) {
    std::vector<std::uint32_t> slots = {add_path(field.path)};
    for (const std::string& alias : field.aliases) slots.push_back(add_path(alias));
    for (const std::uint32_t slot : slots) {
      slot_columns_[slot].push_back(static_cast<std::uint32_t>(column_slots_.size()));
    }
    column_slots_.push_back(std::move(slots));
  }
  time_column_ = schema.index_of(schema.time_field).value_or(kNoTime);
}

std::uint32_t FieldIndex::add_path(const std::string& path) {
  for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
    if (dot != 0) entry(std::string_view(path).substr(0, dot)).match.prefix = true;
  }
  Entry& e = entry(path);
  if (e.match.slot == kNone) {
    e.match.slot = static_cast<std::uint32_t>(paths_.size());
    paths_.push_back(path);
    slot_columns_.emplace_back();
  }
  return e.match.slot;
}

FieldIndex::Entry& FieldIndex::entry(std::string_view path) {
  const ShortText key = key_of(path);
  std::size_t i = key.hash() >> 48 & mask_;
  while (table_[i].size != 0 && table_[i].path != path) i = (i + 1) & mask_;
  Entry& e = table_[i];
  e.key = key;
  e.size = static_cast<std::uint32_t>(path.size());
  e.path = std::string(path);
  return e;
}

FieldIndex::Match FieldIndex::find(std::string_view path) const {
  return find(path, key_of(path));
}

FieldIndex::Match FieldIndex::find_padded(std::string_view path) const {
  return find(path, path.size() <= ShortText::kMax
                        ? ShortText::from_padded(path.data(), path.size())
                        : key_of(path));
}

FieldIndex::Match FieldIndex::find(std::string_view path, const ShortText& key) const {
  for (std::size_t i = key.hash() >> 48 & mask_; table_[i].size != 0; i = (i + 1) & mask_) {
    const Entry& e = table_[i];
    if (e.key == key && e.size == path.size() &&
        (path.size() <= ShortText::kMax || e.path == path)) {
      return e.match;
    }
  }
  return {};
}

}  // namespace streamobs::decode

#include "window/key_resolver.h"

#include <bit>
#include <cstring>

namespace streamobs::window {

namespace {

/// Combined ids of all key columns fit this many bits, or the direct map is not used.
constexpr int kMaxDirectBits = 17;
/// Below this many groups the table stays in the caches by itself.
constexpr std::uint32_t kPrefetchGroups = 2048;

}  // namespace

KeyResolver::KeyResolver(Admission::Impl& admission, std::size_t lane)
    : admission_(admission), lane_(lane) {}

std::uint32_t KeyResolver::admit(WindowInstance& instance, const GroupKey& key,
                                 std::uint32_t hash) {
  GroupTable& table = instance.table;
  const WindowPlan& plan = table.plan();
  if (admission_.alone()) {
    if (table.keys() >= plan.max_keys) return table.overflow_slot();
    return table.insert(key, hash);
  }
  if (instance.frozen != nullptr) {
    if (!instance.frozen->contains(key, hash)) return table.overflow_slot();
    return table.insert(key, hash);
  }
  if (admission_.is_ordered()) {
    if (!admission_.admit_ordered(instance, lane_, key, hash)) {
      return table.overflow_slot();
    }
    return table.insert(key, hash);
  }
  // Free lanes are below the cap by the dispatcher's word; memory stays bounded even without it.
  if (table.keys() >= plan.max_keys) return table.overflow_slot();
  admission_.note_inserted(plan.index, 1);
  return table.insert(key, hash);
}

std::uint32_t KeyResolver::find_or_admit(WindowInstance& instance, const GroupKey& key,
                                         std::uint32_t hash) {
  const std::uint32_t slot = instance.table.find(key, hash);
  return slot != GroupTable::kNone ? slot : admit(instance, key, hash);
}

std::shared_ptr<const Dictionary> KeyResolver::owner_of(const Dictionary* dictionary) const {
  for (const std::vector<Column>* columns : {&batch_->columns, &batch_->mined}) {
    for (const Column& column : *columns) {
      if (column.dictionary.get() == dictionary) return column.dictionary;
    }
  }
  return nullptr;
}

bool KeyResolver::prepare_direct(DirectMap& map, std::span<const ColumnView> columns,
                                 std::size_t rows) {
  int bits_total = 0;
  for (const ColumnView& column : columns) {
    if (column.dictionary == nullptr || column.constant) return false;
    bits_total += std::bit_width(column.dictionary->size() + 1);
  }
  if (bits_total > kMaxDirectBits) return false;
  bool fits = map.dimensions.size() == columns.size();
  for (std::size_t i = 0; fits && i < columns.size(); ++i) {
    const DirectMap::Dimension& d = map.dimensions[i];
    fits = d.owner != nullptr && d.dictionary == columns[i].dictionary &&
           static_cast<int>(std::bit_width(d.dictionary->size() + 1)) <= d.bits;
  }
  if (fits) return true;
  if (bits_total > DirectMap::kSmallBits) {
    map.rows_without += rows;
    if (map.rows_without << 4 < std::size_t{1} << bits_total) return false;
    map.rows_without = 0;
  }
  map.dimensions.resize(columns.size());
  int shift = 0;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    DirectMap::Dimension& d = map.dimensions[i];
    d.dictionary = columns[i].dictionary;
    d.owner = owner_of(d.dictionary);
    d.bits = std::bit_width(d.dictionary->size() + 1);
    d.shift = shift;
    shift += d.bits;
  }
  map.slots.clear();
  map.slots.resize(std::size_t{1} << shift, GroupTable::kNone);
  return true;
}

void KeyResolver::resolve_direct(WindowInstance& instance, std::span<const ColumnView> columns,
                                 std::span<const std::uint16_t> rows, std::uint32_t* slots) {
  std::array<std::uint32_t, kMaxRows> places;
  const std::size_t n = rows.size();
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const ColumnView& column = columns[c];
    const int shift = instance.direct.dimensions[c].shift;
    for (std::size_t i = 0; i < n; ++i) {
      std::uint32_t id = column.ids[rows[i]] + 1;
      if (column.nulls != nullptr && column.nulls[rows[i]] != 0) id = 0;
      places[i] = (c == 0 ? 0 : places[i]) | (id << shift);
    }
  }
  std::uint32_t* const map = instance.direct.slots.data();
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t slot = map[places[i]];
    if (slot == GroupTable::kNone) {
      bytes_.clear();
      for (std::size_t c = 0; c < columns.size(); ++c) {
        append_key(bytes_, columns[c], rows[i], c + 1 == columns.size());
      }
      const GroupKey key = GroupKey::of(bytes_);
      slot = find_or_admit(instance, key, key.hash());
      map[places[i]] = slot;
    }
    slots[i] = slot;
  }
}

void KeyResolver::encode_text(const ColumnView& column, std::span<const std::uint16_t> rows) {
  std::size_t total = rows.size();
  for (const std::uint16_t row : rows) {
    if (!column.is_null(row)) total += column.string_at(row).size();
  }
  bytes_.resize(total + GroupKey::kInline);
  char* to = bytes_.data();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool null = column.is_null(rows[i]);
    *to++ = null ? 0 : 1;
    if (!null) {
      const std::string_view text = column.string_at(rows[i]);
      if (!text.empty()) std::memcpy(to, text.data(), text.size());
      to += text.size();
    }
    ends_[i + 1] = static_cast<std::uint32_t>(to - bytes_.data());
  }
}

void KeyResolver::encode(std::span<const ColumnView> columns, std::span<const std::uint16_t> rows) {
  bytes_.clear();
  ends_[0] = 0;
  if (columns.size() == 1 && is_text(columns[0].type.kind)) {
    encode_text(columns[0], rows);
  } else if (columns.size() == 1 && is_integral(columns[0].type.kind) &&
             columns[0].nulls == nullptr) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      keys_[i] = GroupKey::of_number(static_cast<std::uint64_t>(columns[0].int_at(rows[i])));
    }
    return;
  } else {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t c = 0; c < columns.size(); ++c) {
        append_key(bytes_, columns[c], rows[i], c + 1 == columns.size());
      }
      ends_[i + 1] = static_cast<std::uint32_t>(bytes_.size());
    }
    bytes_.append(GroupKey::kInline, '\0');
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    keys_[i] = GroupKey::of_padded(bytes_.data() + ends_[i], ends_[i + 1] - ends_[i]);
  }
}

void KeyResolver::resolve(WindowInstance& instance, std::span<const ColumnView> columns,
                          std::span<const std::uint16_t> rows, std::uint32_t* slots) {
  const std::size_t n = rows.size();
  if (columns.empty()) {
    if (instance.table.size() == 0) instance.table.insert(GroupKey{}, GroupKey{}.hash());
    std::memset(slots, 0, n * sizeof *slots);
    return;
  }
  if (prepare_direct(instance.direct, columns, n)) {
    resolve_direct(instance, columns, rows, slots);
    return;
  }
  encode(columns, rows);
  for (std::size_t i = 0; i < n; ++i) hashes_[i] = keys_[i].hash();
  GroupTable& table = instance.table;
  if (table.size() <= kPrefetchGroups) {
    for (std::size_t i = 0; i < n; ++i) slots[i] = find_or_admit(instance, keys_[i], hashes_[i]);
    return;
  }
  for (std::size_t i = 0; i < n; ++i) table.prefetch_entry(hashes_[i]);
  for (std::size_t i = 0; i < n; ++i) {
    slots[i] = table.likely_slot(hashes_[i]);
    if (slots[i] != GroupTable::kNone) table.prefetch_row(slots[i]);
  }
  if (keys_[0].is_long()) {  // A hint only: keys tend to be alike.
    for (std::size_t i = 0; i < n; ++i) {
      if (slots[i] != GroupTable::kNone) table.prefetch_text(slots[i]);
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (slots[i] == GroupTable::kNone || !(table.key(slots[i]) == keys_[i])) {
      slots[i] = find_or_admit(instance, keys_[i], hashes_[i]);
    }
  }
}

}  // namespace streamobs::window

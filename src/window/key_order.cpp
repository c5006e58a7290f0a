#include "window/key_order.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace streamobs::window {

namespace {

/// A number whose order never contradicts compare_keys(), so that most comparisons of a sort need
/// no look at the keys.
std::uint64_t order_hint(const GroupKey& key, const std::vector<DataType>& types) {
  constexpr std::uint64_t kTop = std::uint64_t{1} << 63;
  if (types.empty()) return 0;
  if (key.is_overflow()) return ~std::uint64_t{0};
  ByteReader in(key.bytes());
  if (in.u8() == 0) return 0;
  switch (types[0].kind) {
    case Kind::boolean:
      return kTop | in.u8();
    case Kind::floating: {
      const std::uint64_t bits = in.u64();
      return kTop | (((bits & kTop) != 0 ? ~bits : bits | kTop) >> 1);
    }
    case Kind::string:
    case Kind::map: {
      const std::size_t size = in.varint();  // Not the only column.
      const std::string_view text = in.text(std::min<std::size_t>(size, 7));
      std::uint64_t hint = 1;
      for (std::size_t i = 0; i < 7; ++i) {
        hint = hint << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0);
      }
      return hint;
    }
    default:
      return kTop | ((in.u64() ^ kTop) >> 1);
  }
}

/// How many bytes all keys begin with.
std::size_t common_prefix(const GroupTable& table) {
  std::string_view first;
  std::size_t common = 0;
  bool any = false;
  for (std::uint32_t slot = 0; slot < table.size(); ++slot) {
    const GroupKey& key = table.key(slot);
    if (key.is_overflow()) continue;
    const std::string_view bytes = key.bytes();
    if (!any) {
      first = bytes;
      common = bytes.size();
      any = true;
      continue;
    }
    common = std::min(common, bytes.size());
    if (std::memcmp(first.data(), bytes.data(), common) == 0) continue;
    std::size_t same = 0;
    while (first[same] == bytes[same]) ++same;
    common = same;
    if (common == 0) break;
  }
  return common;
}

/// The eight bytes after the common ones: never contradicts bytes_before().
std::uint64_t bytes_hint(const GroupKey& key, std::size_t skip) {
  if (key.is_overflow()) return ~std::uint64_t{0};
  const std::string_view bytes = key.bytes().substr(skip);
  std::uint64_t hint = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    hint = hint << 8 | (i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0);
  }
  return hint;
}

template <class Hint, class Before>
std::vector<std::uint32_t> sorted(const GroupTable& table, const Hint& hint_of,
                                  const Before& before) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> order;
  order.reserve(table.size());
  for (std::uint32_t slot = 0; slot < table.size(); ++slot) {
    order.emplace_back(hint_of(table.key(slot)), slot);
  }
  std::sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    return before(table.key(a.second), table.key(b.second));
  });
  std::vector<std::uint32_t> slots;
  slots.reserve(order.size());
  for (const auto& entry : order) slots.push_back(entry.second);
  return slots;
}

}  // namespace

bool bytes_before(const GroupKey& a, const GroupKey& b) {
  if (a.is_overflow() || b.is_overflow()) return !a.is_overflow() && b.is_overflow();
  return a.bytes() < b.bytes();
}

std::vector<std::uint32_t> slots_by_bytes(const GroupTable& table) {
  const std::size_t skip = common_prefix(table);
  return sorted(table, [&](const GroupKey& key) { return bytes_hint(key, skip); }, bytes_before);
}

std::vector<std::uint32_t> slots_by_key(const GroupTable& table) {
  const std::vector<DataType>& types = table.plan().key_types;
  if (types.size() == 1 && is_text(types[0].kind)) return slots_by_bytes(table);
  return sorted(
      table, [&](const GroupKey& key) { return order_hint(key, types); },
      [&](const GroupKey& a, const GroupKey& b) { return compare_keys(a, b, types) < 0; });
}

}  // namespace streamobs::window

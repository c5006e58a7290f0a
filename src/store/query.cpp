#include "store/query.h"

#include "event/result_json.h"
#include "store/recent_rows.h"

namespace streamobs::store {

std::string row_identity(const WindowRow& row) {
  std::string out(1, row.overflow ? 'o' : 'k');
  for (const Value& key : row.keys) {
    const std::string text = key.to_string();
    out += key.null ? "n" : std::to_string(text.size());
    out += ':';
    out += text;
  }
  return out;
}

bool matches_keys(const WindowSchema& schema, const WindowRow& row, const WindowQuery& query) {
  for (const auto& [name, wanted] : query.keys) {
    for (std::size_t i = 0; i < schema.keys.size() && i < row.keys.size(); ++i) {
      if (schema.keys[i].name != name) continue;
      const bool equal = row.overflow ? wanted == kOverflowKey
                                      : !row.keys[i].null && row.keys[i].to_string() == wanted;
      if (!equal) return false;
    }
  }
  return true;
}

WindowQuery WindowQuery::behind(Timestamp newest) const {
  WindowQuery query = *this;
  const Timestamp last = std::min(newest, to.value_or(kMaxTimestamp));
  if (last != kMinTimestamp) query.from = last - RecentRows::kKept;
  return query;
}

bool is_older(const WindowRow& row, const WindowRow& known) {
  return std::pair(row.revision, row.closed) < std::pair(known.revision, known.closed);
}

bool key_before(const WindowRow& a, const WindowRow& b) {
  if (a.overflow != b.overflow) return b.overflow;
  for (std::size_t i = 0; i < a.keys.size() && i < b.keys.size(); ++i) {
    if (const int order = compare(a.keys[i], b.keys[i]); order != 0) return order < 0;
  }
  return false;
}

}  // namespace streamobs::store

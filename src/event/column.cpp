#include "event/column.h"

namespace streamobs {

ColumnView ColumnView::slice(std::size_t begin) const {
  ColumnView v = *this;
  if (constant) return v;
  if (v.nulls != nullptr) v.nulls += begin;
  if (v.bools != nullptr) v.bools += begin;
  if (v.ints != nullptr) v.ints += begin;
  if (v.floats != nullptr) v.floats += begin;
  if (v.ids != nullptr) v.ids += begin;
  if (v.strings != nullptr) v.strings += begin;
  return v;
}

ColumnView Column::view() const {
  ColumnView v;
  v.type = type;
  v.nulls = has_nulls ? nulls.data() : nullptr;
  v.bools = bools.data();
  v.ints = ints.data();
  v.floats = floats.data();
  v.ids = dictionary ? ids.data() : nullptr;
  v.dictionary = dictionary.get();
  v.strings = strings.data();
  return v;
}

void Column::clear() {
  has_nulls = false;
  nulls.clear();
  bools.clear();
  ints.clear();
  floats.clear();
  ids.clear();
  strings.clear();
  dictionary.reset();
}

}  // namespace streamobs

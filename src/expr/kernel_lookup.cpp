// lookup('prices', 'usd_per_mtok', model): a value of the row of a table that is for a key.
#include "event/lookup_table.h"
#include "expr/kernel_loops.h"
#include "expr/kernels.h"

namespace streamobs::expr::kernels {
namespace {

/// Finds the row of the table for a row of the arguments.
class Finder {
 public:
  Finder(const Frame& f, const LookupTable& table)
      : table_(table), key_(table.schema().keys.size() == 1), keys_(f.args) {
    if (!table.schema().valid_from) return;
    times_ = &f.args.back();
    keys_ = f.args.first(f.args.size() - 1);
  }

  std::size_t find(std::size_t row) {
    key_.clear();
    for (const ColumnView& key : keys_) key_.add(key, row);
    return table_.find(key_.bytes(), times_ == nullptr ? 0 : times_->int_at(row));
  }

 private:
  const LookupTable& table_;
  LookupKey key_;
  std::span<const ColumnView> keys_;
  const ColumnView* times_ = nullptr;
};

template <class T, class Value>
void find_all(Frame& f, const LookupTable& table, Value value) {
  const ColumnView& column = table.column(static_cast<std::size_t>(f.b));
  T* const out = results<T>(f);
  Finder finder(f, table);
  for (std::size_t i = 0; i < f.rows; ++i) {
    out[i] = {};
    if (f.is_null(i)) continue;
    const std::size_t row = finder.find(i);
    if (row == LookupTable::kNone || column.is_null(row)) {
      f.set_null(i);
    } else {
      out[i] = value(column, row);
    }
  }
}

}  // namespace

void lookup(Frame& f) {
  const auto index = static_cast<std::size_t>(f.a);
  const LookupTable* const table = f.lookups == nullptr ? nullptr : f.lookups->tables[index].get();
  if (table == nullptr) {
    for (std::size_t i = 0; i < f.rows; ++i) f.set_null(i);
    return;
  }
  switch (f.type.kind) {
    case Kind::boolean:
      return find_all<std::uint8_t>(f, *table, [](const ColumnView& c, std::size_t row) {
        return static_cast<std::uint8_t>(c.bool_at(row));
      });
    case Kind::floating:
      return find_all<double>(f, *table,
                              [](const ColumnView& c, std::size_t row) { return c.float_at(row); });
    case Kind::string:
    case Kind::map:
      return find_all<std::string_view>(
          f, *table, [](const ColumnView& c, std::size_t row) { return c.string_at(row); });
    default:
      return find_all<std::int64_t>(
          f, *table, [](const ColumnView& c, std::size_t row) { return c.int_at(row); });
  }
}

}  // namespace streamobs::expr::kernels

#include "event/row_json.h"

#include "base/json_writer.h"
#include "event/value.h"

namespace streamobs {

std::string row_to_json(const EventBatch& batch, std::size_t row) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  for (std::size_t i = 0; i < batch.columns.size(); ++i) {
    const ColumnView column = batch.columns[i].view();
    if (column.type.kind == Kind::null || column.is_null(row)) continue;
    json.key(batch.schema->fields[i].name);
    Value::from(column, row).write_json(json);
  }
  json.end_object();
  return out;
}

}  // namespace streamobs

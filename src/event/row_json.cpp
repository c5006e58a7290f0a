#include "event/row_json.h"

#include <vector>

#include "base/json_writer.h"
#include "event/value.h"

namespace streamobs {

namespace {

/// Writes the fields below `prefix` ("" or "metadata.") into the object that is open.
void write_level(JsonWriter& json, const EventBatch& batch, std::size_t row,
                 const std::string& prefix, std::vector<bool>& written) {
  for (std::size_t i = 0; i < batch.columns.size(); ++i) {
    const std::string& path = batch.schema->fields[i].path;
    if (written[i] || !path.starts_with(prefix)) continue;
    const ColumnView column = batch.columns[i].view();
    if (column.type.kind == Kind::null || column.is_null(row)) continue;
    const std::size_t dot = path.find('.', prefix.size());
    if (dot == std::string::npos) {
      json.key(path.substr(prefix.size()));
      Value::from(column, row).write_json(json);
      written[i] = true;
    } else {
      json.key(path.substr(prefix.size(), dot - prefix.size()));
      json.begin_object();
      write_level(json, batch, row, path.substr(0, dot + 1), written);
      json.end_object();
    }
  }
}

}  // namespace

std::string row_to_json(const EventBatch& batch, std::size_t row) {
  std::string out;
  JsonWriter json(out);
  std::vector<bool> written(batch.columns.size(), false);
  json.begin_object();
  write_level(json, batch, row, {}, written);
  json.end_object();
  return out;
}

}  // namespace streamobs

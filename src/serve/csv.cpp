#include "serve/csv.h"

#include <string_view>

#include "base/time_format.h"
#include "serve/json.h"

namespace streamobs::serve {

namespace {

/// A cell that `,` or a line's end follows.
void put_text(std::string& out, std::string_view text) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void put_value(std::string& out, const Value& value) {
  out += ',';
  if (value.null) return;
  put_text(out, value.type.kind == Kind::timestamp ? to_rfc3339(value.integer) : value.to_string());
}

}  // namespace

std::string to_csv(const WindowSchema& schema, const std::vector<WindowRow>& rows) {
  std::string out = "window_start,window_end,closed,revision";
  for (const auto* columns : {&schema.keys, &schema.metrics}) {
    for (const ResultColumn& column : *columns) {
      out += ',';
      put_text(out, column.name);
    }
  }
  out += "\r\n";
  for (const WindowRow& row : rows) {
    append_rfc3339(out, row.start);
    out += ',';
    append_rfc3339(out, row.end);
    out += row.closed ? ",true," : ",false,";
    out += std::to_string(row.revision);
    for (const Value& key : row.keys) {
      if (row.overflow) {
        out += ',';
        out += kOverflowKey;
      } else {
        put_value(out, key);
      }
    }
    for (const Value& metric : row.metrics) put_value(out, metric);
    out += "\r\n";
  }
  return out;
}

}  // namespace streamobs::serve

#include <string>

#include "base/time_zone.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

void read_time_zone(const TableReader& table, std::string& out) {
  SourceText name;
  table.text("timezone", name);
  if (name.empty()) return;
  const auto zone = TimeZone::load(name.text);
  if (zone) {
    out = name.text;
  } else {
    table.error("timezone", zone.error().message);
  }
}

}  // namespace streamobs::config

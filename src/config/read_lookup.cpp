// [lookup.NAME].
#include <filesystem>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

namespace fs = std::filesystem;

using decode::LookupOptions;

constexpr Choice<Format> kFormats[] = {
    {"csv", Format::csv}, {"json", Format::json}, {"ndjson", Format::ndjson}};

/// The file, as seen from the one that names it, and how it is written.
void read_place(const TableReader& table, LookupOptions& out) {
  SourceText file;
  table.text("file", file);
  if (!table.has("file")) table.missing("file", "where are its rows? file = \"prices.csv\"");
  const fs::path written(file.text);
  if (!file.empty()) {
    out.path = (fs::path(file.place.file).parent_path() / written).lexically_normal().string();
  }
  const std::string ending = lower(written.extension().string());
  if (table.choice("format", kFormats, out.format) || table.has("format")) return;
  if (ending == ".json") {
    out.format = Format::json;
  } else if (ending == ".ndjson" || ending == ".jsonl") {
    out.format = Format::ndjson;
  } else if (ending != ".csv" && !file.empty()) {
    table.missing("format", "its name does not tell: \"csv\", \"json\" or \"ndjson\"");
  }
}

}  // namespace

void read_lookup(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[lookup.{}]", entry.key),
                          kLookup, report);
  if (config.lookups.size() == LookupOptions::kTablesMax) {
    report.error(entry.key_span,
                 fmt::format("[lookup.{}]: there are more than {} look-up tables", entry.key,
                             LookupOptions::kTablesMax),
                 "the texts of all of them go into each checkpoint: join those that have the same "
                 "key");
  }
  LookupOptions out;
  out.name = label_of(entry, "lookup", ": expressions name it", report);
  read_place(table, out);
  const Value* columns = table.find("columns");
  if (columns == nullptr) {
    table.missing("columns", "what is in it? columns = { model = \"string\", price = \"float\" }");
  } else if (columns->kind != Value::Kind::table) {
    table.error("columns", "expected a table of names and types, found " + describe(*columns),
                "write columns = { model = \"string\", price = \"float\" }");
  } else {
    read_fields(*columns, "column", out.columns, report);
  }
  const bool named = columns != nullptr && columns->kind == Value::Kind::table;
  out.names_missing = !named || table.lost_names();
  table.texts("key", out.key);
  if (!table.has("key")) {
    table.missing("key", "which columns tell its rows apart? key = [\"model\"]");
  }
  table.text("valid_from", out.valid_from);
  read_time_zone(table, out.timezone);
  table.duration("reload_every", 100 * kMillisecond, kDay, out.reload_every);
  config.lookups.push_back(std::move(out));
}

}  // namespace streamobs::config

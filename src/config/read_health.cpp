// The engine's checks of itself and its data: [health], and what a stream says for them.
#include <algorithm>

#include <fmt/format.h>

#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kTiB = std::size_t{1} << 40;

/// "5m", or false: 0, not looked at.
void read_freshness(const TableReader& table, Duration& out) {
  const Value* value = table.find("freshness");
  if (value != nullptr && value->kind == Value::Kind::boolean) {
    if (!value->boolean) {
      out = 0;
      return;
    }
    table.error("freshness", "true does not say how old the newest event may be",
                "freshness = \"5m\", or false to have it not looked at");
    return;
  }
  table.duration("freshness", kSecond, 366 * kDay, out);
}

/// nulls_max = { latency_ms = 0.01 }
void read_nulls(const TableReader& table, const decode::StreamOptions& stream,
                health::StreamBounds& out) {
  const Value* value = table.find("nulls_max");
  if (value == nullptr) return;
  constexpr std::string_view kExample = "nulls_max = { latency_ms = 0.01 }";
  if (value->kind != Value::Kind::table) {
    table.error("nulls_max", "expected a table of fields and shares, found " + describe(*value),
                fmt::format("write {}", kExample));
    return;
  }
  std::vector<std::string_view> fields;
  for (const decode::FieldOptions& field : stream.fields) fields.push_back(field.name.text);
  for (const Entry& entry : value->entries) {
    const bool known = std::find(fields.begin(), fields.end(), entry.key) != fields.end();
    if (!known && !stream.names_missing) {
      table.report().error(entry.key_span,
                           fmt::format("nulls_max: there is no field \"{}\"", entry.key),
                           did_you_mean(entry.key, fields, "name a field that is declared"));
    }
    const Value& share = entry.value;
    double most = -1;
    if (share.kind == Value::Kind::floating) most = share.floating;
    if (share.kind == Value::Kind::integer) most = static_cast<double>(share.integer);
    if (most >= 0 && most <= 1) {
      out.nulls_max[entry.key] = most;
      continue;
    }
    table.report().error(
        share.span,
        fmt::format("nulls_max: expected a share from 0 to 1, found {}", describe(share)),
        fmt::format("0.01 is one in a hundred: {}", kExample));
  }
}

}  // namespace

void read_stream_health(const TableReader& table, const decode::StreamOptions& stream,
                        Config& config) {
  health::StreamBounds bounds;
  if (table.has("freshness")) {
    Duration freshness = config.health.freshness;
    read_freshness(table, freshness);
    bounds.freshness = freshness;
  }
  read_nulls(table, stream, bounds);
  if (!table.has("freshness") && bounds.nulls_max.empty()) return;
  config.health.streams[stream.name.text] = std::move(bounds);
}

void read_health(const Entry& entry, Config& config, Report& report) {
  if (!is_table(entry, "[health]", report)) return;
  const TableReader table(entry.value, entry.key_span, "[health]", kHealth, report);
  health::HealthOptions& health = config.health;
  table.duration("quick_every", kSecond, kDay, health.quick_every);
  table.duration("deep_every", kSecond, 31 * kDay, health.deep_every);
  read_freshness(table, health.freshness);
  table.duration("lag", kSecond, kDay, health.lag);
  std::size_t disk_free = health.disk_free_bytes;
  table.bytes("disk_free", kMiB, 1024 * kTiB, disk_free);
  health.disk_free_bytes = disk_free;
  table.number("refused_max", 0, 1, health.refused_max);
  table.number("late_max", 0, 1, health.late_max);
  table.number("unmatched_max", 0, 1, health.unmatched_max);
}

}  // namespace streamobs::config

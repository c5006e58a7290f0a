#include "store/record_tables.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "store/where.h"
#include "store/window_table.h"

namespace streamobs::store {

namespace {

std::string keys_json(const std::vector<NamedValue>& keys) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  for (const NamedValue& key : keys) {
    json.key(key.name);
    key.value.write_json(json);
  }
  json.end_object();
  return out;
}

std::string list_json(const std::vector<std::string>& items) {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (const std::string& item : items) json.value(item);
  json.end_array();
  return out;
}

/// SQLite reads its own JSON back: name, JSON type and value of each member.
Result<std::vector<NamedValue>> parse_keys(Statement& each, const std::string& json) {
  each.bind(1, std::string_view(json));
  std::vector<NamedValue> keys;
  while (true) {
    const Result<bool> row = each.step();
    if (row.has_error()) return row.error();
    if (!*row) break;
    const std::string type = each.text_at(1);
    Value value = Value::of_null({Kind::string, 0});
    if (type == "text") value = Value::of_string(each.text_at(2));
    if (type == "integer") value = Value::of_int(each.int_at(2));
    if (type == "real") value = Value::of_float(each.float_at(2));
    if (type == "true" || type == "false") value = Value::of_bool(type == "true");
    keys.push_back({each.text_at(0), std::move(value)});
  }
  each.reset();
  return keys;
}

Result<std::vector<std::string>> parse_list(Statement& each, const std::string& json) {
  each.bind(1, std::string_view(json));
  std::vector<std::string> items;
  while (true) {
    const Result<bool> row = each.step();
    if (row.has_error()) return row.error();
    if (!*row) break;
    items.push_back(each.text_at(2));
  }
  each.reset();
  return items;
}

Result<Statement> prepare_json_each(const Connection& connection) {
  return connection.prepare("SELECT key, type, value FROM json_each(?1)");
}

void bind_optional(Statement& statement, int i, const std::optional<double>& value) {
  value ? statement.bind(i, *value) : statement.bind_null(i);
}
void bind_optional(Statement& statement, int i, const std::optional<Timestamp>& value) {
  value ? statement.bind(i, *value) : statement.bind_null(i);
}
std::optional<double> optional_float(const Statement& statement, int column) {
  if (statement.is_null(column)) return std::nullopt;
  return statement.float_at(column);
}
std::optional<Timestamp> optional_time(const Statement& statement, int column) {
  if (statement.is_null(column)) return std::nullopt;
  return statement.int_at(column);
}

constexpr const char* kSeverityCase =
    "CASE severity WHEN 0 THEN 'low' WHEN 1 THEN 'medium' WHEN 2 THEN 'high' ELSE 'critical' END";

/// What is over, and older than ?1 behind the newest.
const std::string kOldAnomalies =
    "FROM anomaly WHERE detected_at < (SELECT max(detected_at) FROM anomaly) - ?1 AND resolved";
const std::string kOldIncidents =
    "FROM incident WHERE started_at < (SELECT max(started_at) FROM incident) - ?1 "
    "AND resolved_at < (SELECT max(started_at) FROM incident) - ?1";

/// The columns that `anomalies` has whatever the windows' keys are.
constexpr const char* kAnomalyColumns[] = {
    "detected_at", "window_start", "window_end",     "anomaly_type",    "severity",
    "metric_name", "metric_value", "baseline_value", "threshold_value", "description",
    "resolved",    "id",           "resolved_at",    "revision",        "withdrawn"};

struct KeyColumn {
  std::string name;    ///< In the anomalies' keys.
  std::string column;  ///< In the view, where no two columns may differ by case alone.
};

/// The keys of all windows, each once, in the windows' order.
std::vector<KeyColumn> key_columns(
    const std::vector<std::shared_ptr<const WindowSchema>>& windows) {
  std::vector<KeyColumn> columns;
  const auto taken = [&columns](const std::string& column) {
    const auto same = [&column](const std::string& other) {
      return sqlite3_stricmp(column.c_str(), other.c_str()) == 0;
    };
    return std::any_of(std::begin(kAnomalyColumns), std::end(kAnomalyColumns), same) ||
           std::any_of(columns.begin(), columns.end(),
                       [&same](const KeyColumn& other) { return same(other.column); });
  };
  for (const auto& window : windows) {
    for (const ResultColumn& key : window->keys) {
      const auto known = [&key](const KeyColumn& other) { return other.name == key.name; };
      if (std::any_of(columns.begin(), columns.end(), known)) continue;
      std::string column = key.name;
      while (taken(column)) column.insert(0, "key_");
      columns.push_back({key.name, std::move(column)});
    }
  }
  return columns;
}

}  // namespace

std::string record_views_sql(const std::vector<std::shared_ptr<const WindowSchema>>& windows) {
  const auto time = [](const std::string& column) { return time_sql(column) + " AS " + column; };
  std::string keys;
  for (const KeyColumn& key : key_columns(windows)) {
    keys += fmt::format(", json_extract(keys, {}) AS {}", quoted_text(json_path(key.name)),
                        quoted(key.column));
  }
  return fmt::format(
      "DROP VIEW IF EXISTS anomalies; DROP VIEW IF EXISTS incidents; DROP VIEW IF EXISTS "
      "dead_letters;"
      "CREATE VIEW anomalies AS SELECT {}, {}, {}{}, rule AS anomaly_type, {} AS severity, "
      "metric_name, metric_value, baseline_value, threshold_value, description, resolved, id, {}, "
      "revision, withdrawn "
      "FROM anomaly;"
      "CREATE VIEW incidents AS SELECT {}, {}, {}, keys, {} AS severity, "
      "iif(resolved_at IS NULL, 'open', 'resolved') AS status, title, explanation, evidence, "
      "anomaly_count, narrated_by, revision, id FROM incident;"
      "CREATE VIEW dead_letters AS SELECT {}, stream, reason, detail, source, origin, position, "
      "\"window\", CAST(payload AS TEXT) AS payload, id, sequence, event_index, {} FROM "
      "dead_letter;",
      time("detected_at"), time("window_start"), time("window_end"), keys, kSeverityCase,
      time("resolved_at"), time("started_at"), time("last_seen_at"), time("resolved_at"),
      kSeverityCase, time("received_at"), time("replayed_at"));
}

Result<> RecordWriter::prepare(const Connection& connection) {
  return connection.prepare_all({
      {&anomaly_,
       "INSERT INTO anomaly VALUES "
       "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17) "
       "ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, "
       "detected_at = excluded.detected_at, window_end = excluded.window_end, "
       "metric_name = excluded.metric_name, metric_value = excluded.metric_value, "
       "baseline_value = excluded.baseline_value, threshold_value = excluded.threshold_value, "
       "description = excluded.description, resolved = excluded.resolved, "
       "resolved_at = excluded.resolved_at, revision = excluded.revision, "
       "withdrawn = excluded.withdrawn WHERE excluded.revision >= revision"},
      {&incident_,
       "INSERT INTO incident VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13) "
       "ON CONFLICT (id) DO UPDATE SET keys = excluded.keys, severity = excluded.severity, "
       "started_at = excluded.started_at, last_seen_at = excluded.last_seen_at, "
       "resolved_at = excluded.resolved_at, title = excluded.title, "
       "explanation = excluded.explanation, evidence = excluded.evidence, "
       "anomaly_ids = excluded.anomaly_ids, anomaly_count = excluded.anomaly_count, "
       "narrated_by = excluded.narrated_by, revision = excluded.revision "
       "WHERE excluded.revision >= revision"},
      {&old_, "SELECT 1 " + kOldAnomalies + " UNION ALL SELECT 1 " + kOldIncidents + " LIMIT 1"},
      {&expire_anomalies_, "DELETE FROM anomaly WHERE id IN (SELECT id " + kOldAnomalies +
                               " ORDER BY detected_at LIMIT ?2)"},
      {&expire_incidents_, "DELETE FROM incident WHERE id IN (SELECT id " + kOldIncidents +
                               " ORDER BY started_at LIMIT ?2)"},
  });
}

Result<std::int64_t> RecordWriter::expire(Duration keep, std::int64_t step) {
  old_.bind(1, keep);
  const Result<bool> any = old_.step();
  old_.reset();
  if (any.has_error()) return any.error();
  if (!*any) return 0;
  expire_anomalies_.bind(1, keep);
  expire_anomalies_.bind(2, step);
  const Result<std::int64_t> anomalies = expire_anomalies_.run_counted();
  if (anomalies.has_error() || *anomalies == step) return anomalies;
  expire_incidents_.bind(1, keep);
  expire_incidents_.bind(2, step - *anomalies);
  const Result<std::int64_t> incidents = expire_incidents_.run_counted();
  if (incidents.has_error()) return incidents;
  return *anomalies + *incidents;
}

Result<> RecordWriter::write(const Anomaly& a) {
  const std::string keys = keys_json(a.keys);
  anomaly_.bind(1, std::string_view(a.id));
  anomaly_.bind(2, std::string_view(a.rule));
  anomaly_.bind(3, std::string_view(a.window));
  anomaly_.bind(4, static_cast<std::int64_t>(a.severity));
  anomaly_.bind(5, a.detected_at);
  anomaly_.bind(6, a.window_start);
  anomaly_.bind(7, a.window_end);
  anomaly_.bind(8, std::string_view(keys));
  anomaly_.bind(9, std::string_view(a.metric_name));
  bind_optional(anomaly_, 10, a.metric_value);
  bind_optional(anomaly_, 11, a.baseline_value);
  bind_optional(anomaly_, 12, a.threshold_value);
  anomaly_.bind(13, std::string_view(a.description));
  anomaly_.bind(14, std::int64_t{a.resolved});
  bind_optional(anomaly_, 15, a.resolved_at);
  anomaly_.bind(16, static_cast<std::int64_t>(a.revision));
  anomaly_.bind(17, std::int64_t{a.withdrawn});
  return anomaly_.run();
}

Result<> RecordWriter::write(const Incident& i) {
  const std::string keys = keys_json(i.keys);
  const std::string evidence = list_json(i.evidence);
  const std::string anomalies = list_json(i.anomaly_ids);
  incident_.bind(1, std::string_view(i.id));
  incident_.bind(2, std::string_view(keys));
  incident_.bind(3, static_cast<std::int64_t>(i.severity));
  incident_.bind(4, i.started_at);
  incident_.bind(5, i.last_seen_at);
  bind_optional(incident_, 6, i.resolved_at);
  incident_.bind(7, std::string_view(i.title));
  incident_.bind(8, std::string_view(i.explanation));
  incident_.bind(9, std::string_view(evidence));
  incident_.bind(10, std::string_view(anomalies));
  incident_.bind(11, static_cast<std::int64_t>(i.anomaly_count));
  incident_.bind(12, std::string_view(i.narrated_by));
  incident_.bind(13, static_cast<std::int64_t>(i.revision));
  return incident_.run();
}

Result<std::vector<Anomaly>> read_anomalies(const Connection& connection, const ListQuery& query) {
  Where where;
  where.time(query, "detected_at");
  for (const auto& [name, value] : query.equal) {
    if (name == "rule" || name == "anomaly_type")
      where.equal("rule", value);
    else if (name == "severity")
      where.equal(kSeverityCase, value);
    else if (name == "window")
      where.equal("\"window\"", value);
    else if (name == "resolved")
      where.equal("iif(resolved, 'true', 'false')", value);
    else
      where.key_equal(name, value);
  }
  Result<Statement> select = connection.prepare(fmt::format(
      "SELECT id, rule, \"window\", severity, detected_at, window_start, window_end, keys, "
      "metric_name, metric_value, baseline_value, threshold_value, description, resolved, "
      "resolved_at, revision, withdrawn FROM anomaly WHERE {} ORDER BY detected_at DESC, id LIMIT "
      "{}",
      where.sql, row_limit(query.limit)));
  if (select.has_error()) return select.error();
  Result<Statement> each = prepare_json_each(connection);
  if (each.has_error()) return each.error();
  where.bind(*select);
  std::vector<Anomaly> rows;
  while (true) {
    const Result<bool> more = select->step();
    if (more.has_error()) return more.error();
    if (!*more) return rows;
    Anomaly a;
    a.id = select->text_at(0);
    a.rule = select->text_at(1);
    a.window = select->text_at(2);
    a.severity = static_cast<Severity>(select->int_at(3));
    a.detected_at = select->int_at(4);
    a.window_start = select->int_at(5);
    a.window_end = select->int_at(6);
    Result<std::vector<NamedValue>> keys = parse_keys(*each, select->text_at(7));
    if (keys.has_error()) return keys.error();
    a.keys = std::move(*keys);
    a.metric_name = select->text_at(8);
    a.metric_value = optional_float(*select, 9);
    a.baseline_value = optional_float(*select, 10);
    a.threshold_value = optional_float(*select, 11);
    a.description = select->text_at(12);
    a.resolved = select->int_at(13) != 0;
    a.resolved_at = optional_time(*select, 14);
    a.revision = static_cast<std::uint32_t>(select->int_at(15));
    a.withdrawn = select->int_at(16) != 0;
    rows.push_back(std::move(a));
  }
}

Result<std::vector<Incident>> read_incidents(const Connection& connection, const ListQuery& query) {
  Where where;
  // Whatever was under way in that time: one that is open has not ended yet.
  if (query.from) where.sql += fmt::format(" AND ifnull(resolved_at, {0}) >= {0}", *query.from);
  if (query.to) where.sql += fmt::format(" AND started_at < {}", *query.to);
  for (const auto& [name, value] : query.equal) {
    if (name == "status")
      where.equal("iif(resolved_at IS NULL, 'open', 'resolved')", value);
    else if (name == "severity")
      where.equal(kSeverityCase, value);
    else
      where.key_equal(name, value);
  }
  Result<Statement> select = connection.prepare(fmt::format(
      "SELECT id, keys, severity, started_at, last_seen_at, resolved_at, title, explanation, "
      "evidence, anomaly_ids, anomaly_count, narrated_by, revision FROM incident WHERE {} "
      "ORDER BY started_at DESC, id LIMIT {}",
      where.sql, row_limit(query.limit)));
  if (select.has_error()) return select.error();
  Result<Statement> each = prepare_json_each(connection);
  if (each.has_error()) return each.error();
  where.bind(*select);
  std::vector<Incident> rows;
  while (true) {
    const Result<bool> more = select->step();
    if (more.has_error()) return more.error();
    if (!*more) return rows;
    Incident i;
    i.id = select->text_at(0);
    Result<std::vector<NamedValue>> keys = parse_keys(*each, select->text_at(1));
    if (keys.has_error()) return keys.error();
    i.keys = std::move(*keys);
    i.severity = static_cast<Severity>(select->int_at(2));
    i.started_at = select->int_at(3);
    i.last_seen_at = select->int_at(4);
    i.resolved_at = optional_time(*select, 5);
    i.title = select->text_at(6);
    i.explanation = select->text_at(7);
    Result<std::vector<std::string>> evidence = parse_list(*each, select->text_at(8));
    if (evidence.has_error()) return evidence.error();
    i.evidence = std::move(*evidence);
    Result<std::vector<std::string>> anomalies = parse_list(*each, select->text_at(9));
    if (anomalies.has_error()) return anomalies.error();
    i.anomaly_ids = std::move(*anomalies);
    i.anomaly_count = static_cast<std::uint64_t>(select->int_at(10));
    i.narrated_by = select->text_at(11);
    i.revision = static_cast<std::uint32_t>(select->int_at(12));
    rows.push_back(std::move(i));
  }
}

}  // namespace streamobs::store

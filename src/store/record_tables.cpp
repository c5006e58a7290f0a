#include "store/record_tables.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "event/dead_letter.h"
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

std::string json_path(const std::string& name) {
  return "$." + quoted(name);
}

/// WHERE and its text parameters, built from what a caller may ask.
struct Where {
  std::string sql = "1";
  std::vector<std::string> parameters;

  void time(const ListQuery& query, const char* column) {
    if (query.from) sql += fmt::format(" AND {} >= {}", column, *query.from);
    if (query.to) sql += fmt::format(" AND {} < {}", column, *query.to);
  }
  void equal(const std::string& expression, const std::string& value) {
    parameters.push_back(value);
    sql += fmt::format(" AND {} = ?{}", expression, parameters.size());
  }
  /// A member of the keys' object, as text.
  void key_equal(const std::string& name, const std::string& value) {
    parameters.push_back(json_path(name));
    const std::size_t path = parameters.size();
    // `->` gives numbers and booleans as they were written: 12.30 stays 12.30.
    equal(fmt::format("CASE json_type(keys, ?{0}) WHEN 'text' THEN json_extract(keys, ?{0}) "
                      "WHEN 'null' THEN NULL ELSE keys -> ?{0} END",
                      path),
          value);
  }
  void bind(Statement& statement) const {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      statement.bind(static_cast<int>(i) + 1, std::string_view(parameters[i]));
    }
  }
};

constexpr const char* kSeverityCase =
    "CASE severity WHEN 0 THEN 'low' WHEN 1 THEN 'medium' WHEN 2 THEN 'high' ELSE 'critical' END";

/// The columns that `anomalies` has whatever the windows' keys are.
constexpr const char* kAnomalyColumns[] = {
    "detected_at", "window_start", "window_end",     "anomaly_type",    "severity",
    "metric_name", "metric_value", "baseline_value", "threshold_value", "description",
    "resolved",    "id",           "resolved_at"};

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
      "metric_name, metric_value, baseline_value, threshold_value, description, resolved, id, {} "
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
  const auto prepare_one = [&connection](Statement& into, const char* sql) -> Result<> {
    Result<Statement> statement = connection.prepare(sql);
    if (statement.has_error()) return statement.error();
    into = std::move(*statement);
    return {};
  };
  struct Wanted {
    Statement* into;
    const char* sql;
  };
  const Wanted all[] = {
      {&anomaly_,
       "INSERT INTO anomaly VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15) "
       "ON CONFLICT (id) DO UPDATE SET resolved = excluded.resolved, resolved_at = "
       "excluded.resolved_at WHERE excluded.resolved >= resolved"},
      {&incident_,
       "INSERT INTO incident VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13) "
       "ON CONFLICT (id) DO UPDATE SET keys = excluded.keys, severity = excluded.severity, "
       "started_at = excluded.started_at, last_seen_at = excluded.last_seen_at, "
       "resolved_at = excluded.resolved_at, title = excluded.title, "
       "explanation = excluded.explanation, evidence = excluded.evidence, "
       "anomaly_ids = excluded.anomaly_ids, anomaly_count = excluded.anomaly_count, "
       "narrated_by = excluded.narrated_by, revision = excluded.revision "
       "WHERE excluded.revision >= revision"},
      {&dead_letter_,
       "INSERT INTO dead_letter (reason, detail, stream, source, origin, position, \"window\", "
       "received_at, payload, sequence, event_index, format, header_id) "
       "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13) "
       "ON CONFLICT (sequence, event_index, \"window\") WHERE sequence <> 0 DO NOTHING"},
      {&header_,
       "INSERT INTO streamobs_header (text) VALUES (?1) ON CONFLICT (text) DO UPDATE SET text = "
       "text RETURNING id"},
      {&replayed_,
       "UPDATE dead_letter SET replayed_at = ?1 WHERE sequence = ?2 AND event_index = ?3 AND "
       "sequence <> 0"},
      {&count_,
       "INSERT INTO dead_letter_count VALUES (?1, ?2, ?3) "
       "ON CONFLICT (stream, reason) DO UPDATE SET count = count + excluded.count"},
      // Ids only grow, so that those beyond the newest kMaxDeadLetters are found by id alone.
      {&trim_, "DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?1"},
      {&expire_,
       "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter WHERE received_at < ?1 "
       "ORDER BY received_at LIMIT ?2)"},
      {&unused_headers_,
       "DELETE FROM streamobs_header WHERE NOT EXISTS (SELECT 1 FROM dead_letter WHERE header_id = "
       "streamobs_header.id)"},
  };
  for (const Wanted& wanted : all) {
    if (const Result<> done = prepare_one(*wanted.into, wanted.sql); done.has_error()) return done;
  }
  return {};
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

Result<> RecordWriter::write(const DeadLetters& letters) {
  std::map<std::pair<std::string_view, std::string_view>, std::int64_t> counts;
  const std::string* header = nullptr;  // The last one: most often those of a batch have the same.
  std::int64_t header_id = 0;
  for (const DeadLetter& letter : letters) {
    dead_letter_.bind(1, std::string_view(letter.reason));
    dead_letter_.bind(2, std::string_view(letter.detail));
    dead_letter_.bind(3, std::string_view(letter.stream));
    dead_letter_.bind(4, std::string_view(letter.source));
    dead_letter_.bind(5, std::string_view(letter.origin));
    dead_letter_.bind(6, static_cast<std::int64_t>(letter.position));
    dead_letter_.bind(7, std::string_view(letter.window));
    dead_letter_.bind(8, letter.received_at);
    dead_letter_.bind_blob(9, letter.payload);
    dead_letter_.bind(10, static_cast<std::int64_t>(letter.sequence));
    dead_letter_.bind(11, std::int64_t{letter.event_index});
    if (letter.format) {
      dead_letter_.bind(12, static_cast<std::int64_t>(*letter.format));
    } else {
      dead_letter_.bind_null(12);
    }
    if (letter.header == nullptr) {
      dead_letter_.bind_null(13);
    } else {
      if (header == nullptr || *letter.header != *header) {
        const Result<std::int64_t> id = id_of_header(*letter.header);
        if (id.has_error()) return id.error();
        header = letter.header.get();
        header_id = *id;
      }
      dead_letter_.bind(13, header_id);
    }
    const Result<std::int64_t> added = dead_letter_.run_counted();
    if (added.has_error()) return added.error();
    if (*added != 0) ++counts[{letter.stream, letter.reason}];
  }
  for (const auto& [name, count] : counts) {
    count_.bind(1, name.first);
    count_.bind(2, name.second);
    count_.bind(3, count);
    if (const Result<> done = count_.run(); done.has_error()) return done;
  }
  trim_.bind(1, kMaxDeadLetters);
  return trim_.run();
}

/// That of the row that has it, made where there is none.
Result<std::int64_t> RecordWriter::id_of_header(const std::string& header) {
  header_.bind_blob(1, header);
  const Result<bool> found = header_.step();
  if (found.has_error()) return found.error();
  const std::int64_t id = header_.int_at(0);
  if (const Result<> ended = header_.run(); ended.has_error()) return ended.error();
  return id;
}

Result<> RecordWriter::write(const ReplayedLetter& replayed) {
  replayed_.bind(1, replayed.at);
  replayed_.bind(2, static_cast<std::int64_t>(replayed.letter.sequence));
  replayed_.bind(3, std::int64_t{replayed.letter.event_index});
  return replayed_.run();
}

Result<std::int64_t> RecordWriter::expire_dead_letters(Timestamp before, std::int64_t step) {
  expire_.bind(1, before);
  expire_.bind(2, step);
  const Result<std::int64_t> removed = expire_.run_counted();
  if (removed.has_error() || *removed == step) return removed;
  if (const Result<> done = unused_headers_.run(); done.has_error()) return done.error();
  return removed;
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
      "resolved_at FROM anomaly WHERE {} ORDER BY detected_at DESC, id LIMIT {}",
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

namespace {

Result<Where> where_of(const DeadLetterQuery& query) {
  Where where;
  where.time(query.list, "received_at");
  if (query.id) where.sql += fmt::format(" AND id = {}", *query.id);
  if (query.above) where.sql += fmt::format(" AND id > {}", *query.above);
  if (query.below) where.sql += fmt::format(" AND id < {}", *query.below);
  if (query.replayed) {
    where.sql += *query.replayed ? " AND replayed_at IS NOT NULL" : " AND replayed_at IS NULL";
  }
  if (!query.late) where.sql += " AND reason <> " + quoted_text(reason::late);
  for (const auto& [name, value] : query.list.equal) {
    if (name != "reason" && name != "stream" && name != "source" && name != "window") {
      return fail(ErrorCode::invalid,
                  fmt::format("dead letters cannot be asked for by '{}', only by "
                              "reason, stream, source and window",
                              name));
    }
    where.equal(quoted(name), value);
  }
  return where;
}

StoredDeadLetter dead_letter_at(const Statement& row) {
  StoredDeadLetter stored;
  stored.id = row.int_at(0);
  DeadLetter& letter = stored.letter;
  letter.reason = row.text_at(1);
  letter.detail = row.text_at(2);
  letter.stream = row.text_at(3);
  letter.source = row.text_at(4);
  letter.origin = row.text_at(5);
  letter.position = static_cast<std::uint64_t>(row.int_at(6));
  letter.window = row.text_at(7);
  letter.received_at = row.int_at(8);
  letter.payload = row.blob_at(9);
  letter.sequence = static_cast<std::uint64_t>(row.int_at(10));
  letter.event_index = static_cast<std::uint32_t>(row.int_at(11));
  // A number that a newer version has written is a format that this one does not know.
  const std::int64_t format = row.int_at(12);
  if (!row.is_null(12) && format >= 0 && format <= static_cast<std::int64_t>(kLastFormat)) {
    letter.format = static_cast<Format>(format);
  }
  letter.replayed_at = row.int_at(14);
  return stored;
}

}  // namespace

Result<std::vector<StoredDeadLetter>> read_dead_letters(const Connection& connection,
                                                        const DeadLetterQuery& query) {
  const Result<Where> where = where_of(query);
  if (where.has_error()) return where.error();
  Result<Statement> select = connection.prepare(fmt::format(
      "SELECT id, reason, detail, stream, source, origin, position, \"window\", received_at, "
      "payload, sequence, event_index, format, header_id, replayed_at, header FROM dead_letter "
      "WHERE {} "
      "ORDER BY id {} LIMIT {}",
      where->sql, query.oldest_first ? "ASC" : "DESC", row_limit(query.list.limit)));
  if (select.has_error()) return select.error();
  where->bind(*select);
  Result<Statement> header = connection.prepare("SELECT text FROM streamobs_header WHERE id = ?1");
  if (header.has_error()) return header.error();
  std::map<std::int64_t, std::shared_ptr<const std::string>> headers;
  std::vector<StoredDeadLetter> rows;
  std::size_t bytes = 0;
  while (bytes < DeadLetterQuery::kPageBytesMax) {
    const Result<bool> more = select->step();
    if (more.has_error()) return more.error();
    if (!*more) break;
    StoredDeadLetter& row = rows.emplace_back(dead_letter_at(*select));
    bytes += row.letter.payload.size();
    if (select->is_null(13)) {
      if (select->is_null(15)) continue;
      row.letter.header = std::make_shared<const std::string>(select->blob_at(15));
      bytes += row.letter.header->size();
      continue;
    }
    std::shared_ptr<const std::string>& known = headers[select->int_at(13)];
    if (known == nullptr) {
      header->bind(1, select->int_at(13));
      const Result<bool> found = header->step();
      if (found.has_error()) return found.error();
      known = std::make_shared<const std::string>(*found ? header->blob_at(0) : std::string());
      bytes += known->size();
      header->reset();
    }
    row.letter.header = known;
  }
  return rows;
}

Result<std::vector<DeadLetterCount>> read_dead_letter_counts(const Connection& connection) {
  Result<Statement> select = connection.prepare(
      "SELECT stream, reason, count FROM dead_letter_count ORDER BY count DESC, stream, reason");
  if (select.has_error()) return select.error();
  std::vector<DeadLetterCount> rows;
  while (true) {
    const Result<bool> more = select->step();
    if (more.has_error()) return more.error();
    if (!*more) return rows;
    rows.push_back(
        {select->text_at(0), select->text_at(1), static_cast<std::uint64_t>(select->int_at(2))});
  }
}

}  // namespace streamobs::store

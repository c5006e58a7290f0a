#include "store/outbox.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "event/result_json.h"
#include "store/where.h"

namespace streamobs::store {

namespace {

std::int64_t signed_of(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

std::uint64_t unsigned_of(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

template <class T>
std::string json_of(const T& result) {
  std::string text;
  JsonWriter json(text);
  write(json, result);
  return text;
}

std::string json_of(const WindowSchema& schema, const WindowRow& row) {
  std::string text;
  JsonWriter json(text);
  write(json, schema, row);
  return text;
}

std::string json_of(const DeadLetter& letter) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  write_members(json, letter);
  json.end_object();
  return text;
}

std::string key_of(const WindowRow& row, const std::vector<std::size_t>& columns) {
  std::vector<Value> values;
  for (const std::size_t column : columns) {
    values.push_back(row.overflow ? Value::of_string(std::string(kOverflowKey))
                                  : row.keys.at(column));
  }
  return key_text(values);
}

}  // namespace

Outbox::Outbox(const std::vector<OutboxOptions>& sinks) {
  for (const OutboxOptions& options : sinks) {
    auto box = std::make_unique<Box>();
    box->options = options;
    boxes_.emplace(options.sink, std::move(box));
  }
}

Result<> Outbox::prepare(const Connection& connection) {
  constexpr std::string_view kRange =
      "WHERE sink = ?1 AND (position, ordinal) > (?2, ?3) AND (position, ordinal) <= (?4, ?5)";
  Statement all;
  const Result<> prepared = connection.prepare_all({
      {&insert_, "INSERT OR IGNORE INTO streamobs_outbox VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
      // Numbers and booleans as they were written.
      {&member_,
       "SELECT CASE WHEN json_valid(?1) THEN CASE json_type(?1, ?2) "
       "WHEN 'text' THEN json_extract(?1, ?2) WHEN 'object' THEN NULL WHEN 'array' THEN NULL "
       "WHEN 'null' THEN NULL ELSE ?1 -> ?2 END END"},
      {&measure_, fmt::format("SELECT count(*), total(ifnull(length(key), 0) + length(value)) FROM "
                              "streamobs_outbox {}",
                              kRange)},
      {&remove_, fmt::format("DELETE FROM streamobs_outbox {}", kRange)},
      {&sizes_,
       "SELECT position, ordinal, ifnull(length(key), 0) + length(value) FROM streamobs_outbox "
       "WHERE sink = ?1 AND (position, ordinal) > (?2, ?3) ORDER BY position, ordinal"},
      {&oldest_,
       "SELECT made_at FROM streamobs_outbox WHERE sink = ?1 ORDER BY position, ordinal LIMIT 1"},
      {&all,
       "SELECT sink, count(*), total(ifnull(length(key), 0) + length(value)) FROM streamobs_outbox "
       "GROUP BY sink"},
  });
  if (prepared.has_error()) return prepared;
  while (true) {
    const Result<bool> row = all.step();
    if (row.has_error()) return row.error();
    if (!*row) break;
    const auto box = boxes_.find(all.text_at(0));
    if (box == boxes_.end()) continue;
    box->second->open.rows = unsigned_of(all.int_at(1));
    box->second->open.bytes = static_cast<std::uint64_t>(all.float_at(2));
  }
  for (auto& [name, box] : boxes_) {
    if (const Result<> found = find_oldest(*box); found.has_error()) return found;
    box->stats = box->open;
  }
  return {};
}

Result<> Outbox::settle(const Connection& connection) {
  std::string known;
  for (const auto& [name, box] : boxes_) known += (known.empty() ? "" : ", ") + quoted_text(name);
  const Result<> others = drop(
      connection, fmt::format("sink NOT IN ({})", known),
      "the config does not have these sinks any more: what they had not delivered yet is dropped "
      "(it stays in the database as results)");
  if (others.has_error()) return others;
  for (auto& [name, box] : boxes_) {
    if (const Result<> done = settle(connection, *box); done.has_error()) return done;
  }
  return {};
}

/// A sink is known by its name; what it was about when it last ran says whether it is still the
/// same.
Result<> Outbox::settle(const Connection& connection, Box& box) {
  const std::string name = quoted_text(box.options.sink);
  const auto was = [&](const char* column) {
    return connection.query_text(
        fmt::format("SELECT coalesce((SELECT {} FROM streamobs_sink_target WHERE name = {}), '')",
                    column, name));
  };
  const Result<std::string> feed = was("feed");
  if (feed.has_error()) return feed.error();
  const Result<std::string> target = was("target");
  if (target.has_error()) return target.error();
  if (!feed->empty() && *feed != box.options.feed) {
    const Result<> dropped =
        drop(connection, "sink = " + name,
             "this sink has other results or another topic now: what it had not delivered yet is "
             "dropped (it stays in the database as results)");
    if (dropped.has_error()) return dropped;
    box.open = {};
    const std::lock_guard lock(mutex_);
    box.stats = {};
  }
  std::string sql;
  if (!target->empty() && *target != box.options.target) {
    // Markers elsewhere are other markers: none of them is known yet.
    sql = fmt::format("DELETE FROM streamobs_sink WHERE name = {};", name);
  }
  if (*feed != box.options.feed || *target != box.options.target) {
    sql += fmt::format("INSERT OR REPLACE INTO streamobs_sink_target VALUES ({}, {}, {});", name,
                       quoted_text(box.options.feed), quoted_text(box.options.target));
  }
  return sql.empty() ? Result<>() : connection.execute(sql);
}

Result<> Outbox::drop(const Connection& connection, std::string_view which,
                      std::string_view message) {
  const std::string from = fmt::format("FROM streamobs_outbox WHERE {}", which);
  const Result<std::int64_t> rows = connection.query_int("SELECT count(*) " + from);
  if (rows.has_error()) return rows.error();
  if (*rows == 0) return {};
  const Result<std::string> names =
      connection.query_text("SELECT group_concat(DISTINCT sink) " + from);
  if (names.has_error()) return names.error();
  const Result<> dropped = connection.execute("DELETE " + from);
  if (dropped.has_error()) return dropped;
  log::warn(message, {{"sinks", *names}, {"undelivered", *rows}});
  return {};
}

Result<> Outbox::write(const Record& record, Timestamp now) {
  using From = OutboxOptions::From;
  for (auto& [name, entry] : boxes_) {
    Box& box = *entry;
    Result<> done;
    if (const auto* batch = std::get_if<WindowBatchPtr>(&record)) {
      const bool wanted =
          box.options.from == From::window && box.options.window == (*batch)->schema->window;
      if (wanted && !(*batch)->early) done = add_rows(box, **batch, now);
    } else if (const auto* anomaly = std::get_if<AnomalyPtr>(&record)) {
      if (box.options.from != From::anomalies) continue;
      done = add(box, (*anomaly)->position, now, (*anomaly)->id, json_of(**anomaly));
    } else if (const auto* incident = std::get_if<IncidentPtr>(&record)) {
      if (box.options.from != From::incidents) continue;
      done = add(box, (*incident)->position, now, (*incident)->id, json_of(**incident));
    } else if (const auto* letters = std::get_if<DeadLettersPtr>(&record)) {
      if (box.options.from != From::dead_letters) continue;
      for (const DeadLetter& letter : **letters) {
        // They come with the place of a batch that has had its results; see docs/config.md.
        if (letter.reason == reason::set_aside) continue;
        Result<std::optional<std::string>> key = letter_key(box, letter);
        if (key.has_error()) return key.error();
        done = add(box, letter.sequence, now, std::move(*key), json_of(letter));
        if (done.has_error()) break;
      }
    } else if (const auto* outbound = std::get_if<OutboundEventsPtr>(&record)) {
      if ((*outbound)->sink != name) continue;
      for (const OutboundEvents::Event& event : (*outbound)->events) {
        done = add(box, (*outbound)->position, now, event.key, event.value);
        if (done.has_error()) break;
      }
    }
    if (done.has_error()) return done;
  }
  return {};
}

/// None where the payload is no object, or one of the members is not in it or is no plain value.
Result<std::optional<std::string>> Outbox::letter_key(const Box& box, const DeadLetter& letter) {
  if (box.options.members.empty()) return std::optional<std::string>();
  std::vector<Value> values;
  for (const std::string& member : box.options.members) {
    const std::string path = json_path(member);
    member_.bind(1, std::string_view(letter.payload));
    member_.bind(2, std::string_view(path));
    const Result<bool> found = member_.step();
    if (found.has_error()) return found.error();
    if (*found && !member_.is_null(0)) values.push_back(Value::of_string(member_.text_at(0)));
    member_.reset();
  }
  if (values.size() != box.options.members.size()) return std::optional<std::string>();
  return std::optional<std::string>(key_text(values));
}

Result<> Outbox::add_rows(Box& box, const WindowBatch& batch, Timestamp now) {
  for (const WindowRow& row : batch.rows) {
    std::optional<std::string> key;
    if (!box.options.key.empty()) key = key_of(row, box.options.key);
    const Result<> added =
        add(box, batch.position, now, std::move(key), json_of(*batch.schema, row));
    if (added.has_error()) return added;
  }
  return {};
}

/// What was delivered before, in an earlier life of this database, only moves the count on.
Result<> Outbox::add(Box& box, std::uint64_t position, Timestamp now,
                     std::optional<std::string> key, const std::string& value) {
  const OutboxPlace place{position, ++box.ordinals[position]};
  {
    const std::lock_guard lock(mutex_);
    if (place <= box.delivered) return {};
  }
  insert_.bind(1, std::string_view(box.options.sink));
  insert_.bind(2, signed_of(place.position));
  insert_.bind(3, signed_of(place.ordinal));
  insert_.bind(4, now);
  if (key) {
    insert_.bind_blob(5, *key);
  } else {
    insert_.bind_null(5);
  }
  insert_.bind_blob(6, value);
  const Result<std::int64_t> added = insert_.run_counted();
  if (added.has_error()) return added.error();
  if (*added == 0) return {};  // A place has one result, and it was there.
  if (box.open.rows == 0) box.open.oldest_at = now;
  ++box.open.rows;
  box.open.bytes += value.size() + (key ? key->size() : 0);
  return {};
}

Result<> Outbox::remove(Box& box, OutboxPlace after, OutboxPlace up_to, std::uint64_t& rows) {
  const auto bind = [&](Statement& statement) {
    statement.bind(1, std::string_view(box.options.sink));
    statement.bind(2, signed_of(after.position));
    statement.bind(3, signed_of(after.ordinal));
    statement.bind(4, signed_of(up_to.position));
    statement.bind(5, signed_of(up_to.ordinal));
  };
  bind(measure_);
  const Result<bool> measured = measure_.step();
  if (measured.has_error()) return measured.error();
  rows = unsigned_of(measure_.int_at(0));
  const auto bytes = static_cast<std::uint64_t>(measure_.float_at(1));
  measure_.reset();
  bind(remove_);
  const Result<> removed = remove_.run();
  if (removed.has_error()) return removed;
  box.open.rows -= std::min(rows, box.open.rows);
  box.open.bytes -= std::min(bytes, box.open.bytes);
  return find_oldest(box);
}

Result<> Outbox::find_oldest(Box& box) {
  oldest_.bind(1, std::string_view(box.options.sink));
  const Result<bool> found = oldest_.step();
  if (found.has_error()) return found.error();
  box.open.oldest_at = *found ? oldest_.int_at(0) : 0;
  oldest_.reset();
  return {};
}

Result<> Outbox::tidy() {
  for (auto& [name, entry] : boxes_) {
    Box& box = *entry;
    OutboxPlace delivered;
    OutboxPlace removed;
    OutboxPlace taken;
    {
      const std::lock_guard lock(mutex_);
      delivered = box.delivered;
      removed = box.removed;
      taken = std::max(box.taken, box.delivered);
    }
    if (removed < delivered) {
      std::uint64_t rows = 0;
      const Result<> done = remove(box, {}, delivered, rows);
      if (done.has_error()) return done;
      box.removing = delivered;
    }
    if (box.options.required || box.open.bytes <= box.options.bytes_max) continue;
    const Result<> done = give_up_oldest(box, taken);
    if (done.has_error()) return done;
  }
  return {};
}

Result<> Outbox::give_up_oldest(Box& box, OutboxPlace taken) {
  sizes_.bind(1, std::string_view(box.options.sink));
  sizes_.bind(2, signed_of(taken.position));
  sizes_.bind(3, signed_of(taken.ordinal));
  std::uint64_t left = box.open.bytes;
  OutboxPlace up_to;
  while (left > box.options.bytes_max) {
    const Result<bool> row = sizes_.step();
    if (row.has_error()) return row.error();
    if (!*row) break;
    up_to = {unsigned_of(sizes_.int_at(0)), unsigned_of(sizes_.int_at(1))};
    left -= std::min(left, unsigned_of(sizes_.int_at(2)));
  }
  sizes_.reset();
  std::uint64_t rows = 0;
  const Result<> removed = remove(box, taken, up_to, rows);
  if (removed.has_error()) return removed;
  box.open.dropped += rows;
  return {};
}

void Outbox::committed() {
  for (auto& [name, entry] : boxes_) {
    Box& box = *entry;
    box.ordinals.clear();
    const std::lock_guard lock(mutex_);
    const bool dropped = box.open.dropped != box.stats.dropped;
    box.stats = box.open;
    box.removed = std::max(box.removed, box.removing);
    if (dropped && !box.overflowing) {
      log::error(
          "a sink's outbox is full, and the oldest results in it are given up undelivered (they "
          "stay in the database). Bring its brokers back, or give it a larger outbox_max",
          {{"sink", name}, {"outbox_max", box.options.bytes_max}});
    }
    // So that it is said once, and again only after it has been over.
    box.overflowing = dropped || (box.overflowing && box.stats.bytes > box.options.bytes_max / 2);
  }
}

void Outbox::undone() {
  for (auto& [name, entry] : boxes_) {
    Box& box = *entry;
    box.ordinals.clear();
    const std::lock_guard lock(mutex_);
    box.open = box.stats;
    box.removing = box.removed;
  }
}

bool Outbox::has_delivered() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(boxes_.begin(), boxes_.end(), [](const auto& entry) {
    return entry.second->removed < entry.second->delivered;
  });
}

void Outbox::delivered(const std::string& sink, OutboxPlace place) {
  const std::lock_guard lock(mutex_);
  Box& box = *boxes_.at(sink);
  box.delivered = std::max(box.delivered, place);
}

void Outbox::taken(const std::string& sink, OutboxPlace place) {
  const std::lock_guard lock(mutex_);
  Box& box = *boxes_.at(sink);
  box.taken = std::max(box.taken, place);
}

OutboxPlace Outbox::delivered_place(const std::string& sink) const {
  const std::lock_guard lock(mutex_);
  return boxes_.at(sink)->delivered;
}

OutboxStats Outbox::stats(const std::string& sink) const {
  const std::lock_guard lock(mutex_);
  return boxes_.at(sink)->stats;
}

bool Outbox::full() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(boxes_.begin(), boxes_.end(), [](const auto& entry) {
    const Box& box = *entry.second;
    return box.options.required && box.stats.bytes >= box.options.bytes_max;
  });
}

Result<std::vector<OutboxRow>> read_outbox(const Connection& connection, const std::string& sink,
                                           OutboxPlace after, std::size_t rows_max,
                                           std::size_t bytes_max) {
  Result<Statement> read = connection.prepare(
      "SELECT position, ordinal, key, value FROM streamobs_outbox WHERE sink = ?1 AND "
      "(position, ordinal) > (?3, ?4) ORDER BY position, ordinal LIMIT ?2");
  if (read.has_error()) return read.error();
  read->bind(1, std::string_view(sink));
  read->bind(2, row_limit(rows_max));
  read->bind(3, signed_of(after.position));
  read->bind(4, signed_of(after.ordinal));
  std::vector<OutboxRow> rows;
  std::size_t bytes = 0;
  while (bytes < bytes_max) {
    const Result<bool> next = read->step();
    if (next.has_error()) return next.error();
    if (!*next) break;
    OutboxRow row;
    row.place = {unsigned_of(read->int_at(0)), unsigned_of(read->int_at(1))};
    if (!read->is_null(2)) row.key = read->blob_at(2);
    row.value = read->blob_at(3);
    bytes += row.value.size();
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace streamobs::store

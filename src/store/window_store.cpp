#include "store/window_store.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/posix_file_system.h"

namespace streamobs::store {

namespace {

bool divides(Duration size, Duration step) {
  return size > 0 && size < step && step % size == 0;
}

Result<Timestamp> load_removed(const Connection& connection, const WindowTable& table) {
  Result<Statement> select =
      connection.prepare("SELECT removed_until FROM streamobs_retention WHERE name = ?1");
  if (select.has_error()) return select.error();
  const std::string name = table.table();
  select->bind(1, std::string_view(name));
  const Result<bool> any = select->step();
  if (any.has_error()) return any.error();
  return *any ? select->int_at(0) : kMinTimestamp;
}

Result<> save_removed(const Connection& connection, const WindowTable& table, Timestamp until) {
  Result<Statement> replace = connection.prepare(
      "INSERT OR REPLACE INTO streamobs_retention (name, removed_until) VALUES (?1, ?2)");
  if (replace.has_error()) return replace.error();
  const std::string name = table.table();
  replace->bind(1, std::string_view(name));
  replace->bind(2, until);
  return replace->run();
}

}  // namespace

WindowStore::WindowStore(const std::shared_ptr<const WindowSchema>& schema,
                         std::optional<WindowKeep> keep, RecentBudget& budget)
    : raw_(schema, Resolution::raw, keep ? keep->raw : 0, keep ? keep->archive : std::string()),
      recent_(schema, budget) {
  if (!keep) return;
  WindowTable* finer = &raw_.table;
  if (keep->hourly != 0 && divides(schema->size, kHour)) {
    hourly_ = std::make_unique<Coarse>(*finer, schema, Resolution::hourly, kHour, keep->hourly,
                                       keep->archive);
    finer = &hourly_->table;
  }
  if (keep->daily != 0 && divides(schema->size, kDay)) {
    daily_ = std::make_unique<Coarse>(*finer, schema, Resolution::daily, kDay, keep->daily,
                                      keep->archive);
  }
}

Result<> WindowStore::create(const Connection& connection) {
  // The raw table's last: it notes the window's size, by which all see whether that has changed.
  for (Coarse* coarse : {daily_.get(), hourly_.get()}) {
    if (coarse == nullptr) continue;
    if (const Result<> done = coarse->table.create(connection); done.has_error()) return done;
  }
  return raw_.table.create(connection);
}

Result<> WindowStore::prepare(const Connection& connection) {
  if (const Result<> done = raw_.table.prepare(connection); done.has_error()) return done;
  for (Coarse* coarse : {hourly_.get(), daily_.get()}) {
    if (coarse == nullptr) continue;
    if (const Result<> done = coarse->table.prepare(connection); done.has_error()) return done;
  }
  const Result<Timestamp> newest = raw_.table.newest_start(connection);
  if (newest.has_error()) return newest.error();
  recent_.begin(*newest == kMinTimestamp ? kMinTimestamp : *newest + 1);
  return load(connection);
}

Result<> WindowStore::load(const Connection& connection) {
  recent_.undone();
  for (Level* level :
       {&raw_, static_cast<Level*>(hourly_.get()), static_cast<Level*>(daily_.get())}) {
    if (level == nullptr) continue;
    const Result<Timestamp> removed = load_removed(connection, level->table);
    if (removed.has_error()) return removed.error();
    level->removed_until.store(*removed, std::memory_order_relaxed);
    if (!level->archive) continue;
    if (const Result<> done = level->archive->load(connection); done.has_error()) return done;
  }
  const Level* finer = &raw_;
  for (Coarse* coarse : {hourly_.get(), daily_.get()}) {
    if (coarse == nullptr) continue;
    const Timestamp removed = finer->removed_until.load(std::memory_order_relaxed);
    if (const Result<> done = coarse->rollup.load(connection, removed); done.has_error()) {
      return done;
    }
    finer = coarse;
  }
  publish();
  return {};
}

void WindowStore::publish() {
  for (Coarse* coarse : {hourly_.get(), daily_.get()}) {
    if (coarse == nullptr) continue;
    coarse->merged_until.store(coarse->rollup.merged_until(), std::memory_order_release);
  }
  recent_.forget_before(raw_.removed_until.load(std::memory_order_relaxed));
}

Result<> WindowStore::write(const Connection& connection, const WindowRow& row) {
  // A row that may have been merged is merged again, with its whole hour or day. Where its day has
  // begun to be removed, what was merged of it stays as it is.
  const Timestamp day = floor_to(row.start, kDay);
  const bool whole = day >= raw_.removed_until.load(std::memory_order_relaxed);
  const Coarse* const first = hourly_ != nullptr ? hourly_.get() : daily_.get();
  if (first != nullptr && whole && first->rollup.has_read(row.start)) {
    // A day of which hours have been removed is made of hours that are made anew, all of them.
    const bool hours_gone =
        hourly_ != nullptr && day < hourly_->removed_until.load(std::memory_order_relaxed);
    for (Coarse* coarse : {hourly_.get(), daily_.get()}) {
      if (coarse == nullptr) continue;
      const Timestamp begin = hours_gone ? day : floor_to(row.start, coarse->rollup.step());
      if (!coarse->rollup.has_read(begin)) continue;
      const Result<> back = coarse->rollup.go_back(connection, begin);
      if (back.has_error()) return back;
    }
    publish();
  }
  const Result<> written = raw_.table.write(row);
  if (written.has_value()) recent_.write(row);
  return written;
}

Result<std::size_t> WindowStore::maintain(const Connection& connection, const StateMerger& merger,
                                          std::size_t rows_max) {
  const Result<Timestamp> newest_end = raw_.table.newest_end(connection);
  if (newest_end.has_error()) return newest_end.error();
  if (*newest_end == kMinTimestamp) return 0;
  const Result<std::size_t> merged = merge(connection, merger, *newest_end, rows_max);
  if (merged.has_error() || *merged != 0) return merged;
  const Coarse* const first = hourly_ != nullptr ? hourly_.get() : daily_.get();
  Result<std::size_t> removed = remove_old(connection, raw_, first, *newest_end, rows_max);
  if (removed.has_error() || *removed != 0) return removed;
  if (hourly_ != nullptr) {
    removed = remove_old(connection, *hourly_, daily_.get(), *newest_end, rows_max);
    if (removed.has_error() || *removed != 0) return removed;
  }
  if (daily_ != nullptr) {
    removed = remove_old(connection, *daily_, nullptr, *newest_end, rows_max);
  }
  return removed;
}

Result<std::size_t> WindowStore::merge(const Connection& connection, const StateMerger& merger,
                                       Timestamp newest_end, std::size_t rows_max) {
  // Windows close in order: what starts before the newest one's end, and is not it, is there whole.
  Timestamp complete = newest_end;
  for (Coarse* coarse : {hourly_.get(), daily_.get()}) {
    if (coarse == nullptr) continue;
    const Result<std::size_t> rows = coarse->rollup.advance(connection, merger, complete, rows_max);
    if (rows.has_error() || *rows != 0) return rows;
    complete = coarse->rollup.merged_until();
  }
  return std::size_t{0};
}

/// By whole days, so that a day is either there to be merged anew or is not.
Result<std::size_t> WindowStore::remove_old(const Connection& connection, Level& level,
                                            const Coarse* coarser, Timestamp newest_end,
                                            std::size_t rows_max) {
  if (level.keep == 0) return std::size_t{0};
  Timestamp until = floor_to(newest_end - level.keep, kDay);
  // Nothing goes before it has been merged.
  if (coarser != nullptr) until = std::min(until, floor_to(coarser->rollup.merged_until(), kDay));
  Result<std::size_t> put_away_rows = std::size_t{0};
  if (level.archive && until > level.removed_until.load(std::memory_order_relaxed)) {
    const Timestamp from = level.removed_until.load(std::memory_order_relaxed);
    put_away_rows = level.archive->advance(connection, from, until, rows_max);
    if (put_away_rows.has_error()) return put_away_rows;
    // With the step that ends a day, so that no other begins it anew.
    until = std::min(until, level.archive->done_until());
  }
  if (until > level.removed_until.load(std::memory_order_relaxed)) {
    // Told first: while rows go, nobody takes what is left for all there was.
    const Result<> saved = save_removed(connection, level.table, until);
    if (saved.has_error()) return saved.error();
    level.removed_until.store(until, std::memory_order_release);
  }
  if (*put_away_rows != 0) return put_away_rows;
  return level.table.remove(connection, kMinTimestamp,
                            level.removed_until.load(std::memory_order_relaxed), rows_max);
}

WindowStore::Level::Level(const std::shared_ptr<const WindowSchema>& schema, Resolution resolution,
                          Duration kept_for, const std::string& archive_directory)
    : table(schema, resolution), keep(kept_for) {
  if (!archive_directory.empty()) {
    archive.emplace(posix_file_system(), archive_directory, table, resolution);
  }
}

const WindowStore::Level* WindowStore::level(Resolution resolution) const {
  switch (resolution) {
    case Resolution::hourly:
      return hourly_.get();
    case Resolution::daily:
      return daily_.get();
    default:
      return &raw_;
  }
}

const WindowTable* WindowStore::table(Resolution resolution) const {
  const Level* const found = level(resolution);
  return found == nullptr ? nullptr : &found->table;
}

Timestamp WindowStore::merged_until(Resolution resolution) const {
  const Level* const found = level(resolution);
  return found == nullptr ? kMinTimestamp : found->merged_until.load(std::memory_order_acquire);
}

Timestamp WindowStore::removed_until(Resolution resolution) const {
  const Level* const found = level(resolution);
  return found == nullptr ? kMaxTimestamp : found->removed_until.load(std::memory_order_acquire);
}

std::vector<ArchiveState> WindowStore::archives() const {
  std::vector<ArchiveState> states;
  for (const Resolution each : {Resolution::raw, Resolution::hourly, Resolution::daily}) {
    const Level* const found = level(each);
    if (found != nullptr && found->archive) states.push_back(found->archive->state());
  }
  return states;
}

}  // namespace streamobs::store

#include "store/migrations.h"

#include <iterator>
#include <string>

#include <fmt/format.h>

namespace streamobs::store {

namespace {

constexpr const char* kSteps[] = {
    // 1
    R"sql(
CREATE TABLE anomaly (
  id TEXT PRIMARY KEY, rule TEXT NOT NULL, "window" TEXT NOT NULL, severity INTEGER NOT NULL,
  detected_at INTEGER NOT NULL, window_start INTEGER NOT NULL, window_end INTEGER NOT NULL,
  keys TEXT NOT NULL, metric_name TEXT NOT NULL, metric_value REAL, baseline_value REAL,
  threshold_value REAL, description TEXT NOT NULL, resolved INTEGER NOT NULL, resolved_at INTEGER
) WITHOUT ROWID;
CREATE INDEX anomaly_by_time ON anomaly (detected_at);

CREATE TABLE incident (
  id TEXT PRIMARY KEY, keys TEXT NOT NULL, severity INTEGER NOT NULL, started_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL, resolved_at INTEGER, title TEXT NOT NULL,
  explanation TEXT NOT NULL, evidence TEXT NOT NULL, anomaly_ids TEXT NOT NULL,
  anomaly_count INTEGER NOT NULL, narrated_by TEXT NOT NULL, revision INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX incident_by_time ON incident (started_at);

CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT NOT NULL, detail TEXT NOT NULL,
  stream TEXT NOT NULL, source TEXT NOT NULL, origin TEXT NOT NULL, position INTEGER NOT NULL,
  "window" TEXT NOT NULL, received_at INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX dead_letter_by_time ON dead_letter (received_at);

CREATE TABLE dead_letter_count (
  stream TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (stream, reason)
) WITHOUT ROWID;
)sql",
    // 2: what is not to be read off a window's table, so that a change of the config is seen.
    R"sql(
CREATE TABLE streamobs_window (
  name TEXT PRIMARY KEY COLLATE NOCASE, size INTEGER NOT NULL
) WITHOUT ROWID;
)sql",
    // 3: the log whose results these are, and up to where, 0: none yet; with a check sum of the
    // two.
    // An event of a log is refused once as such, and once by each window that it is too late for.
    R"sql(
CREATE TABLE streamobs_log (
  one INTEGER PRIMARY KEY CHECK (one = 1), log_id INTEGER NOT NULL,
  applied_position INTEGER NOT NULL, check_sum INTEGER NOT NULL
);
INSERT INTO streamobs_log VALUES (1, 0, 0, 0);

ALTER TABLE dead_letter ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letter ADD COLUMN event_index INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX dead_letter_by_event ON dead_letter (sequence, event_index, "window")
  WHERE sequence <> 0;
)sql",
    // 4: what a dead letter needs to be sent again, NULL where earlier versions did not keep it,
    // and when that was done.
    R"sql(
ALTER TABLE dead_letter ADD COLUMN format INTEGER;
ALTER TABLE dead_letter ADD COLUMN header BLOB;
ALTER TABLE dead_letter ADD COLUMN replayed_at INTEGER;
)sql",
    // 5: results on their way to topics, and whose notes a sink may find there (store/outbox.h).
    // A window may be called outbox; its view is made anew at each start.
    R"sql(
DROP VIEW IF EXISTS outbox;
CREATE TABLE outbox (
  sink TEXT NOT NULL, position INTEGER NOT NULL, ordinal INTEGER NOT NULL,
  made_at INTEGER NOT NULL, key BLOB, value BLOB NOT NULL,
  PRIMARY KEY (sink, position, ordinal)
) WITHOUT ROWID;
CREATE TABLE streamobs_sink (
  name TEXT PRIMARY KEY, writer INTEGER NOT NULL, writer_before INTEGER NOT NULL
) WITHOUT ROWID;
)sql",
    // 6: by table, the last row that is merged into its hours or days, and what has been removed.
    R"sql(
CREATE TABLE streamobs_progress (
  name TEXT PRIMARY KEY COLLATE NOCASE, finer TEXT NOT NULL, window_start INTEGER NOT NULL,
  _key TEXT NOT NULL, clearing INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE streamobs_retention (
  name TEXT PRIMARY KEY COLLATE NOCASE, removed_until INTEGER NOT NULL
) WITHOUT ROWID;
)sql",
    // 7: a name that no window can have; what a sink was about when it last ran; the headers of
    // dead letters, each once (in dead_letter.header stand those of earlier versions); whether a
    // window hopped or was of sessions, '' where earlier versions did not say.
    R"sql(
ALTER TABLE outbox RENAME TO streamobs_outbox;
CREATE TABLE streamobs_sink_target (
  name TEXT PRIMARY KEY, feed TEXT NOT NULL, target TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE streamobs_header (id INTEGER PRIMARY KEY, text BLOB NOT NULL UNIQUE);
ALTER TABLE dead_letter ADD COLUMN header_id INTEGER;
CREATE INDEX dead_letter_by_header ON dead_letter (header_id) WHERE header_id IS NOT NULL;
ALTER TABLE streamobs_window ADD COLUMN shape TEXT NOT NULL DEFAULT '';
)sql",
    // 8: how far the day has come that is being written into an archive.
    R"sql(
CREATE TABLE streamobs_archive (
  name TEXT PRIMARY KEY COLLATE NOCASE, day INTEGER NOT NULL, start INTEGER NOT NULL,
  _key TEXT NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
)sql",
    // 9: which of several sayings of one anomaly counts, and whether it was taken back.
    R"sql(
ALTER TABLE anomaly ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE anomaly ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;
)sql",
};
constexpr auto kNewest = static_cast<std::int64_t>(std::size(kSteps));

}  // namespace

std::int64_t newest_version() {
  return kNewest;
}

Result<std::int64_t> check_version(const Connection& connection) {
  const Result<std::int64_t> version = connection.query_int("PRAGMA user_version");
  if (version.has_error()) return version;
  if (*version < 0 || *version > kNewest) {
    return fail(
        ErrorCode::invalid,
        fmt::format("the database is of version {} and this streamobs knows versions up to "
                    "{}: a newer streamobs wrote it. Run that one, or give this one another "
                    "data_dir",
                    *version, kNewest));
  }
  return version;
}

Result<> migrate(const Connection& connection) {
  const Result<std::int64_t> version = check_version(connection);
  if (version.has_error()) return version.error();
  if (*version == kNewest) return {};
  std::string sql;
  for (std::int64_t step = *version; step < kNewest; ++step) sql += kSteps[step];
  return connection.execute(fmt::format("{} PRAGMA user_version = {};", sql, kNewest));
}

}  // namespace streamobs::store

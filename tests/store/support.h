// What the store's tests share: a directory that goes away, windows and rows, and the real sqlite3
// shell as the outside witness.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "event/record.h"
#include "store/database.h"
#include "support/catch.h"

namespace streamobs::store::test {

class TempDir {
 public:
  enum class Where { disk, memory };
  /// In memory, where there is such a place, for tests that open very many databases: a sync of
  /// theirs costs nothing.
  explicit TempDir(Where where = Where::disk) {
    const bool in_memory = where == Where::memory && std::filesystem::exists("/dev/shm");
    const std::filesystem::path parent =
        in_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string path = (parent / "streamobs-store-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = path;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string database() const { return file("streamobs.db"); }

 private:
  std::string path_;
};

/// What the sqlite3 shell prints for `sql`, errors included, without the last line's end.
inline std::string shell(const std::string& database, const std::string& sql) {
  const std::string script = database + ".sql";
  std::ofstream(script) << sql;
  FILE* pipe =
      ::popen(fmt::format("sqlite3 -batch '{}' < '{}' 2>&1", database, script).c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("no sqlite3 shell");
  std::string out;
  std::array<char, 4096> buffer{};
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), n);
  }
  ::pclose(pipe);
  std::filesystem::remove(script);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

/// Every row of every table of ours, in SQL.
inline std::string dump(const std::string& database) {
  return shell(database, ".dump");
}

inline const DataType kText{Kind::string, 0};
inline const DataType kInteger{Kind::integer, 0};
inline const DataType kFloat{Kind::floating, 0};
inline const DataType kMoney{Kind::decimal, 2};

using SchemaPtr = std::shared_ptr<const WindowSchema>;

inline SchemaPtr schema(std::string name, std::vector<ResultColumn> keys,
                        std::vector<ResultColumn> metrics, Duration size = kMinute) {
  auto made = std::make_shared<WindowSchema>();
  made->window = std::move(name);
  made->stream = "requests";
  made->size = size;
  made->keys = std::move(keys);
  made->metrics = std::move(metrics);
  return made;
}

/// The window of the services preset, in short.
inline SchemaPtr services() {
  return schema("service_metrics", {{"service", kText}},
                {{"request_count", kInteger}, {"error_rate", kFloat}, {"revenue", kMoney}});
}

inline constexpr Timestamp kNoon = 1'704'801'600LL * kSecond;  // 2024-01-09T12:00:00Z

inline WindowRow service_row(Timestamp start, Value service, std::int64_t count = 1,
                             double rate = 0.5, std::int64_t cents = 1999) {
  WindowRow row;
  row.start = start;
  row.end = start + kMinute;
  row.closed = true;
  row.keys = {std::move(service)};
  row.metrics = {Value::of_int(count), Value::of_float(rate), Value::of_decimal(cents, 2)};
  return row;
}

inline Record batch(SchemaPtr of, std::vector<WindowRow> rows, bool early = false) {
  auto made = std::make_shared<WindowBatch>();
  made->schema = std::move(of);
  made->rows = std::move(rows);
  made->early = early;
  return WindowBatchPtr(std::move(made));
}

using Filter = std::vector<std::pair<std::string, std::string>>;

inline WindowQuery rows_of(std::string window, Filter keys = {}, std::size_t limit = 1'000'000) {
  WindowQuery query;
  query.window = std::move(window);
  query.keys = std::move(keys);
  query.limit = limit;
  return query;
}

inline ListQuery list_of(Filter equal = {}, std::size_t limit = 1'000'000) {
  ListQuery query;
  query.equal = std::move(equal);
  query.limit = limit;
  return query;
}

inline StoreOptions options(const std::string& path) {
  StoreOptions made;
  made.path = path;
  made.busy_timeout = 200 * kMillisecond;
  return made;
}

inline std::unique_ptr<Database> open(const std::string& path,
                                      const std::vector<SchemaPtr>& windows) {
  Result<std::unique_ptr<Database>> database = Database::open(options(path), windows);
  if (database.has_error()) FAIL(database.error().message);
  return std::move(*database);
}

/// One transaction.
inline Result<> try_write(Database& database, const Records& records, std::uint64_t position = 0,
                          bool durable = false) {
  const Result<> written = database.write(records);
  if (written.has_error()) return written;
  return database.commit(position, durable);
}

inline void write(Database& database, const Records& records, std::uint64_t position = 0,
                  bool durable = false) {
  const Result<> written = try_write(database, records, position, durable);
  if (written.has_error()) FAIL(written.error().message);
}

/// Until nothing is left to be merged, archived or removed.
inline void keep_up(Database& database) {
  for (int i = 0; i < 1'000; ++i) {
    const Result<bool> more = database.keep_up();
    if (more.has_error()) FAIL(more.error().message);
    if (!*more) return;
  }
  FAIL("there is no end to it");
}

inline DeadLetter letter(std::string stream, std::string reason, Timestamp received_at) {
  DeadLetter made;
  made.stream = std::move(stream);
  made.reason = std::move(reason);
  made.detail = "latency_ms: expected float, got \"fast\"";
  made.source = "http";
  made.origin = "127.0.0.1";
  made.position = 7;
  made.received_at = received_at;
  made.payload = std::string("{\"a\": \0}", 8);
  return made;
}

inline Record letters(DeadLetters made) {
  return std::make_shared<const DeadLetters>(std::move(made));
}

inline Anomaly anomaly(std::string id, Timestamp at, std::vector<NamedValue> keys) {
  Anomaly made;
  made.id = std::move(id);
  made.rule = "error_surge";
  made.window = "service_metrics";
  made.severity = Severity::high;
  made.detected_at = at;
  made.window_start = at - kMinute;
  made.window_end = at;
  made.keys = std::move(keys);
  made.metric_name = "error_rate";
  made.metric_value = 0.25;
  made.baseline_value = 0.05;
  made.description = "error_rate is 5 times its baseline";
  return made;
}

inline Incident incident(std::string id, Timestamp at, std::vector<NamedValue> keys) {
  Incident made;
  made.id = std::move(id);
  made.keys = std::move(keys);
  made.severity = Severity::critical;
  made.started_at = at;
  made.last_seen_at = at + kMinute;
  made.title = "checkout fails";
  made.explanation = "It does; \"quite\" often.";
  made.evidence = {"error_rate 0.25", "it's new"};
  made.anomaly_ids = {"a1", "a2"};
  made.anomaly_count = 2;
  return made;
}

}  // namespace streamobs::store::test

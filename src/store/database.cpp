#include "store/database.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "store/migrations.h"
#include "store/record_tables.h"
#include "store/sqlite.h"
#include "store/window_table.h"

namespace streamobs::store {

namespace {

constexpr Duration kQueryTimeMax = 5 * kSecond;
constexpr std::int64_t kExpireStep = 1'000;
constexpr std::uint64_t kJournalWarnBytes = 256 << 20;

std::uint64_t file_bytes(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

Result<Connection> open_writer(const StoreOptions& options) {
  Result<Connection> writer =
      Connection::open(options.path, Connection::Mode::read_write, options.busy_timeout);
  if (writer.has_error()) return writer;
  // One connection writes and checkpoints; docs/decisions/sqlite-journal.md says why it must be one.
  const Result<> set = writer->execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000;"
      "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;");
  if (set.has_error()) return set.error();
  return writer;
}

/// The name of every key of every window, each once, in the windows' order.
std::vector<std::string> key_names(const std::vector<std::shared_ptr<const WindowSchema>>& windows) {
  static const std::set<std::string> kTaken = {
      "detected_at",  "window_start",   "window_end",      "anomaly_type", "severity",
      "metric_name",  "metric_value",   "baseline_value",  "threshold_value",
      "description",  "resolved",       "resolved_at",     "id"};
  std::vector<std::string> names;
  for (const auto& window : windows) {
    for (const ResultColumn& key : window->keys) {
      if (kTaken.contains(key.name)) continue;
      if (std::find(names.begin(), names.end(), key.name) == names.end()) names.push_back(key.name);
    }
  }
  return names;
}

}  // namespace

struct Database::Impl {
  StoreOptions options;
  Connection writer;
  std::map<std::string, WindowTable> tables;
  RecordWriter records;
  mutable std::mutex reader_mutex;  ///< Queries take turns; each is bounded in time.
  Connection reader;
  std::atomic<std::uint64_t> rows_written{0};
  std::atomic<std::uint64_t> transactions{0};
  std::atomic<std::uint64_t> busy_retries{0};
  std::atomic<Timestamp> last_commit_at{0};
  SystemClock clock;

  Result<> set_up(const std::vector<std::shared_ptr<const WindowSchema>>& windows);
  Result<std::uint64_t> write_all(const Records& batch);
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

Result<> Database::Impl::set_up(const std::vector<std::shared_ptr<const WindowSchema>>& windows) {
  if (const Result<> done = migrate(writer); done.has_error()) return done;
  for (const auto& schema : windows) {
    const auto [it, added] = tables.try_emplace(schema->window, schema);
    if (const Result<> done = it->second.create(writer); done.has_error()) return done;
    if (const Result<> done = it->second.prepare(writer); done.has_error()) return done;
  }
  if (const Result<> done = writer.execute(record_views_sql(key_names(windows))); done.has_error()) {
    return done;
  }
  return records.prepare(writer);
}

Result<std::unique_ptr<Database>> Database::open(
    const StoreOptions& options, const std::vector<std::shared_ptr<const WindowSchema>>& windows) {
  const auto attempt = [&options, &windows]() -> Result<std::unique_ptr<Impl>> {
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    Result<Connection> writer = open_writer(options);
    if (writer.has_error()) return writer.error();
    impl->writer = std::move(*writer);
    if (const Result<> done = impl->set_up(windows); done.has_error()) return done.error();
    return impl;
  };
  Result<std::unique_ptr<Impl>> impl = attempt();
  if (impl.has_error() && impl.error().code == ErrorCode::corrupt && file_bytes(options.path) != 0 &&
      impl.error().message.find("newer") == std::string::npos) {
    const std::string aside = fmt::format("{}.corrupt-{}", options.path, SystemClock().now() / kSecond);
    log::error("the database is damaged. It is set aside and a new one is started: earlier results "
               "are only in the file set aside (`sqlite3 FILE .recover` may save some of them)",
               {{"database", options.path}, {"set_aside", aside}, {"error", impl.error().message}});
    for (const char* suffix : {"", "-wal", "-shm"}) {
      ::rename((options.path + suffix).c_str(), (aside + suffix).c_str());
    }
    impl = attempt();
  }
  if (impl.has_error()) return impl.error();
  ::chmod(options.path.c_str(), 0600);

  Result<Connection> reader =
      Connection::open(options.path, Connection::Mode::read_only, options.busy_timeout);
  if (reader.has_error()) return reader.error();
  (*impl)->reader = std::move(*reader);
  (*impl)->reader.limit_time(kQueryTimeMax);
  return std::unique_ptr<Database>(new Database(std::move(*impl)));
}

Result<std::uint64_t> Database::Impl::write_all(const Records& batch) {
  std::uint64_t rows = 0;
  Result<> done;
  for (const Record& record : batch) {
    if (const auto* window = std::get_if<WindowBatchPtr>(&record)) {
      if ((*window)->early) continue;
      const auto table = tables.find((*window)->schema->window);
      if (table == tables.end()) {
        return fail(ErrorCode::internal, "no table for window " + (*window)->schema->window);
      }
      for (const WindowRow& row : (*window)->rows) {
        done = table->second.write(row);
        if (done.has_error()) return done.error();
      }
      rows += (*window)->rows.size();
    } else if (const auto* anomaly = std::get_if<AnomalyPtr>(&record)) {
      done = records.write(**anomaly);
      ++rows;
    } else if (const auto* incident = std::get_if<IncidentPtr>(&record)) {
      done = records.write(**incident);
      ++rows;
    } else {
      for (const DeadLetter& letter : *std::get<DeadLettersPtr>(record)) {
        done = records.write(letter);
        if (done.has_error()) return done.error();
        ++rows;
      }
    }
    if (done.has_error()) return done.error();
  }
  return rows;
}

Result<> Database::write(const Records& records) {
  Impl& impl = *impl_;
  if (const Result<> begun = impl.writer.execute("BEGIN IMMEDIATE"); begun.has_error()) {
    impl.busy_retries.fetch_add(1, std::memory_order_relaxed);
    return begun;
  }
  const Result<std::uint64_t> rows = impl.write_all(records);
  const Result<> committed =
      rows.has_error() ? Result<>(rows.error()) : impl.writer.execute("COMMIT");
  if (committed.has_error()) {
    [[maybe_unused]] const Result<> undone = impl.writer.execute("ROLLBACK");
    if (committed.error().code == ErrorCode::unavailable) {
      impl.busy_retries.fetch_add(1, std::memory_order_relaxed);
    }
    return committed;
  }
  impl.rows_written.fetch_add(*rows, std::memory_order_relaxed);
  impl.transactions.fetch_add(1, std::memory_order_relaxed);
  impl.last_commit_at.store(impl.clock.now(), std::memory_order_relaxed);
  return {};
}

Result<std::uint64_t> Database::maintain(Timestamp now) {
  Impl& impl = *impl_;
  std::uint64_t removed = 0;
  while (true) {
    const Result<std::int64_t> step =
        impl.records.expire_dead_letters(now - impl.options.keep_dead_letters, kExpireStep);
    if (step.has_error()) return step.error();
    removed += static_cast<std::uint64_t>(*step);
    if (*step < kExpireStep) break;
  }
  sqlite3_wal_checkpoint_v2(impl.writer.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (const std::uint64_t journal = file_bytes(impl.options.path + "-wal"); journal > kJournalWarnBytes) {
    log::warn("the database's journal cannot be folded in, because another program keeps reading "
              "an old state of it. Find and end that program (a sqlite3 shell with an open "
              "transaction?) before the disk fills",
              {{"journal", impl.options.path + "-wal"}, {"bytes", journal}});
  }
  return removed;
}

Result<std::vector<WindowRow>> Database::window_rows(const WindowQuery& query) const {
  const auto table = impl_->tables.find(query.window);
  if (table == impl_->tables.end()) {
    return fail(ErrorCode::not_found, fmt::format("there is no window '{}'", query.window));
  }
  const std::lock_guard lock(impl_->reader_mutex);
  return table->second.rows(impl_->reader, query);
}

Result<std::vector<Anomaly>> Database::anomalies(const ListQuery& query) const {
  const std::lock_guard lock(impl_->reader_mutex);
  return read_anomalies(impl_->reader, query);
}

Result<std::vector<Incident>> Database::incidents(const ListQuery& query) const {
  const std::lock_guard lock(impl_->reader_mutex);
  return read_incidents(impl_->reader, query);
}

Result<std::vector<StoredDeadLetter>> Database::dead_letters(const ListQuery& query) const {
  const std::lock_guard lock(impl_->reader_mutex);
  return read_dead_letters(impl_->reader, query);
}

Result<std::vector<DeadLetterCount>> Database::dead_letter_counts() const {
  const std::lock_guard lock(impl_->reader_mutex);
  return read_dead_letter_counts(impl_->reader);
}

StoreStats Database::stats() const {
  StoreStats stats;
  stats.bytes = file_bytes(impl_->options.path) + file_bytes(impl_->options.path + "-wal");
  stats.rows_written = impl_->rows_written.load(std::memory_order_relaxed);
  stats.transactions = impl_->transactions.load(std::memory_order_relaxed);
  stats.busy_retries = impl_->busy_retries.load(std::memory_order_relaxed);
  stats.last_commit_at = impl_->last_commit_at.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace streamobs::store

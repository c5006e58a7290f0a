// A database's opening, writing and keeping up.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "base/failpoint.h"
#include "base/file_system.h"
#include "base/log.h"
#include "store/damage.h"
#include "store/database_impl.h"
#include "store/log_position.h"
#include "store/migrations.h"
#include "store/united_view.h"

namespace streamobs::store {

namespace {

constexpr Duration kQueryTimeMax = 5 * kSecond;
/// Rows removed in one transaction, and transactions in one call: results wait no longer.
constexpr std::int64_t kExpireStep = 1'000;
constexpr int kExpireStepsPerCall = 10;
constexpr std::size_t kKeepUpStep = 500;
constexpr std::size_t kKeepUpRows = 5'000;
/// Pages in the journal from which on each commit tries to fold it in.
constexpr int kJournalFoldPages = 4'000;
constexpr std::int64_t kJournalWarnBytes = 256 << 20;

std::uint64_t file_bytes(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

/// Before SQLite opens it, since the journal beside it takes over the database's mode.
Result<> close_to_others(const std::string& path) {
  const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made >= 0) ::close(made);
  if (made < 0 && errno != EEXIST) {
    return fail(errno == ENOSPC || errno == EDQUOT ? ErrorCode::unavailable : ErrorCode::io,
                fmt::format("cannot make the database {}: {}", path, std::strerror(errno)));
  }
  for (const char* suffix : {"", "-wal", "-shm"}) ::chmod((path + suffix).c_str(), 0600);
  return {};
}

Result<Connection> open_writer(const StoreOptions& options) {
  if (const Result<> closed = close_to_others(options.path); closed.has_error()) {
    return closed.error();
  }
  Result<Connection> writer =
      Connection::open(options.path, Connection::Mode::read_write, options.busy_timeout);
  if (writer.has_error()) return writer;
  const Result<std::int64_t> version = check_version(*writer);
  if (version.has_error()) return version.error();
  // One connection writes and checkpoints: docs/decisions/sqlite-journal.md says why only one.
  const Result<std::string> journal = writer->query_text("PRAGMA journal_mode = WAL");
  if (journal.has_error()) return journal.error();
  if (*journal != "wal") {
    return fail(
        ErrorCode::io,
        fmt::format("the database {} cannot have a write-ahead journal (its mode stays {}): "
                    "is this a network file system? Choose a data_dir on a local disk",
                    options.path, *journal));
  }
  // legacy_alter_table: a table can be renamed whatever views of their own people have made.
  // wal_autocheckpoint: SQLite would keep a failure of it, even to sync, to itself; commit() folds.
  const Result<> set = writer->execute(
      "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
      "PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;"
      "PRAGMA legacy_alter_table = ON;");
  if (set.has_error()) return set.error();
  return writer;
}

/// What SQLite refuses is a disk's fault, somebody's who changed the file, or damage that SQLite
/// did not see as such. Years of results are not set aside on a guess.
Error with_way_out(const Error& error) {
  if (error.code != ErrorCode::internal && error.code != ErrorCode::io) return error;
  return fail(
      ErrorCode::io,
      error.message +
          ". Check the disk and the file's owner. If they are in order, the file is damaged "
          "or was changed by another program: move it away (with its -wal and -shm), and a "
          "new one is made from the log as far as that reaches");
}

}  // namespace

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

Result<> Database::Impl::set_up(const std::vector<std::shared_ptr<const WindowSchema>>& windows,
                                Changes changes) {
  // In one transaction: whoever reads beside us never sees a view missing, and a crash leaves the
  // database as it was.
  if (const Result<> begun = writer.execute("BEGIN IMMEDIATE"); begun.has_error()) return begun;
  if (const Result<> done = migrate(writer); done.has_error()) return done;
  for (const auto& schema : windows) {
    const auto [it, added] = tables.try_emplace(schema->window);
    if (!added) return fail(ErrorCode::invalid, "two windows are named " + schema->window);
    const auto keep = options.keep.find(schema->window);
    const bool merges = merger != nullptr && keep != options.keep.end();
    std::optional<WindowKeep> kept;
    if (merges) kept = keep->second;
    if (kept && !kept->archive.empty()) {
      kept->archive = archive_directory(options.path, kept->archive);
    }
    it->second = std::make_unique<WindowStore>(schema, std::move(kept), recent_budget);
    if (const Result<> done = it->second->create(writer); done.has_error()) return done;
  }
  // Without windows this is only a look, after which the views are made under the right config.
  if (!windows.empty()) {
    const Result<> done = create_united_views(writer, options.views, windows);
    if (done.has_error()) return done;
  }
  const std::string views = record_views_sql(windows);
  if (const Result<> done = writer.execute(views); done.has_error()) return done;
  if (const Result<> done = outbox.prepare(writer); done.has_error()) return done;
  if (changes == Changes::when_adopted) {
    // It stays open. What others write has its turn behind it, as behind any open transaction.
    in_transaction = true;
  } else if (const Result<> done = writer.execute("COMMIT"); done.has_error()) {
    return done;
  }
  for (auto& [name, table] : tables) {
    if (const Result<> done = table->prepare(writer); done.has_error()) return done;
  }
  if (const Result<> done = records.prepare(writer); done.has_error()) return done;
  if (const Result<> done = dead_letters.prepare(writer); done.has_error()) return done;
  const auto committed = [](void* pages_of, sqlite3*, const char*, int pages) {
    *static_cast<int*>(pages_of) = pages;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(writer.get(), committed, &journal_pages);
  return read_position();
}

Result<> Database::Impl::read_position() {
  const Result<LogPosition> position = read_log_position(writer);
  if (position.has_error()) return position.error();
  log_id.store(position->log_id, std::memory_order_relaxed);
  applied.store(position->applied, std::memory_order_relaxed);
  Result<Statement> update = writer.prepare(
      "INSERT OR REPLACE INTO streamobs_log (one, log_id, applied_position, check_sum) "
      "VALUES (1, ?1, ?2, ?3)");
  if (update.has_error()) return update.error();
  set_position = std::move(*update);
  return {};
}

Result<> Database::Impl::write_position(std::uint64_t log, std::uint64_t position) {
  set_position.bind(1, static_cast<std::int64_t>(log));
  set_position.bind(2, static_cast<std::int64_t>(position));
  set_position.bind(3, check_sum({log, position}));
  return set_position.run();
}

Result<std::unique_ptr<Database>> Database::open(
    const StoreOptions& options, const std::vector<std::shared_ptr<const WindowSchema>>& windows,
    const StateMerger* merger, Changes changes) {
  const auto attempt = [&]() -> Result<std::unique_ptr<Impl>> {
    auto impl = std::make_unique<Impl>(options);
    impl->merger = merger;
    Result<Connection> writer = open_writer(options);
    if (writer.has_error()) return writer.error();
    impl->writer = std::move(*writer);
    if (const Result<> done = impl->set_up(windows, changes); done.has_error()) return done.error();
    Result<Connection> reader =
        Connection::open(options.path, Connection::Mode::read_only, options.busy_timeout);
    if (reader.has_error()) return reader.error();
    impl->reader = std::move(*reader);
    impl->reader.limit_time(kQueryTimeMax);
    Result<Connection> outbox_reader =
        Connection::open(options.path, Connection::Mode::read_only, options.busy_timeout);
    if (outbox_reader.has_error()) return outbox_reader.error();
    impl->outbox_reader = std::move(*outbox_reader);
    return impl;
  };
  bool begun_anew = false;
  if (damage_noted(options.path)) {
    const Result<> moved = set_aside(options.path, "found while the engine ran");
    if (moved.has_error()) return moved.error();
    begun_anew = true;
  }
  Result<std::unique_ptr<Impl>> impl = attempt();
  if (impl.has_error() && impl.error().code == ErrorCode::corrupt) {
    const Result<> moved = set_aside(options.path, impl.error().message);
    if (moved.has_error()) return moved.error();
    begun_anew = true;
    impl = attempt();
  }
  if (impl.has_error()) return with_way_out(impl.error());
  (*impl)->begun_anew = begun_anew;
  return std::unique_ptr<Database>(new Database(std::move(*impl)));
}

Result<> Database::adopt() {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.writer_mutex);
  if (!impl.in_transaction) return {};
  const Result<> done = impl.end();
  if (done.has_value()) return done;
  impl.undo();
  return impl.failed(done.error());
}

bool Database::begun_anew() const {
  return impl_->begun_anew;
}

std::uint64_t Database::log_id() const {
  return impl_->log_id.load(std::memory_order_relaxed);
}

std::uint64_t Database::applied_position() const {
  return impl_->applied.load(std::memory_order_relaxed);
}

Result<> Database::bind_log(std::uint64_t log) {
  Impl& impl = *impl_;
  const std::uint64_t bound = log_id();
  if (bound == log) return {};
  if (const Result<> fits = check_log_id(impl.options.path, bound, log); fits.has_error()) {
    return fits;
  }
  Result<> done = impl.begin();
  if (done.has_value()) done = impl.write_position(log, 0);
  if (done.has_value()) done = impl.end();
  if (done.has_error()) {
    impl.undo();
    return impl.failed(done.error());
  }
  impl.log_id.store(log, std::memory_order_relaxed);
  return {};
}

Result<> Database::Impl::begin() {
  if (in_transaction) return {};
  const Result<> begun = writer.execute("BEGIN IMMEDIATE");
  in_transaction = begun.has_value();
  return begun;
}

Result<> Database::Impl::end() {
  const Result<> committed = writer.execute("COMMIT");
  if (committed.has_error()) return committed;
  in_transaction = false;
  return {};
}

void Database::Impl::undo() {
  // SQLite has already rolled back after some failures; then there is nothing more to undo.
  [[maybe_unused]] const Result<> undone = writer.execute("ROLLBACK");
  in_transaction = false;
  rows_open = 0;
  outbox.undone();
  for (auto& [name, table] : tables) {
    // What fails here fails again with the next thing that is written.
    [[maybe_unused]] const Result<> loaded = table->load(writer);
  }
}

Result<std::uint64_t> Database::Impl::write_all(std::span<const Record> batch) {
  std::uint64_t rows = 0;
  for (const Record& record : batch) {
    if (std::holds_alternative<CutPtr>(record)) continue;
    Result<> done;
    std::uint64_t written = 1;
    if (const auto* window = std::get_if<WindowBatchPtr>(&record)) {
      written = (*window)->early ? 0 : (*window)->rows.size();
      done = write_window(**window);
    } else if (const auto* anomaly = std::get_if<AnomalyPtr>(&record)) {
      done = records.write(**anomaly);
    } else if (const auto* incident = std::get_if<IncidentPtr>(&record)) {
      done = records.write(**incident);
    } else if (const auto* replayed = std::get_if<ReplayedLetterPtr>(&record)) {
      done = dead_letters.write(**replayed);
    } else if (const auto* events = std::get_if<OutboundEventsPtr>(&record)) {
      written = (*events)->events.size();  // Only the outbox has them.
    } else {
      const DeadLetters& letters = *std::get<DeadLettersPtr>(record);
      written = letters.size();
      done = dead_letters.write(letters);
    }
    if (done.has_value()) done = outbox.write(record, clock.now());
    if (done.has_error()) return done.error();
    rows += written;
  }
  return rows;
}

Result<> Database::Impl::write_window(const WindowBatch& batch) {
  if (batch.early) return {};
  const auto table = tables.find(batch.schema->window);
  if (table == tables.end()) {
    return fail(ErrorCode::internal, "no table for window " + batch.schema->window);
  }
  for (const WindowRow& row : batch.rows) {
    if (const Result<> done = table->second->write(writer, row); done.has_error()) return done;
  }
  return {};
}

/// What a failure of the writing connection leaves behind: a count, or a note for the next start.
Error Database::Impl::failed(const Error& error) {
  if (error.code == ErrorCode::unavailable) busy_retries.fetch_add(1, std::memory_order_relaxed);
  if (error.code != ErrorCode::corrupt) return error;
  note_damage(options.path, error.message);
  return fail(error.code, error.message +
                              ". At the next start the database is set aside and a new "
                              "one begun");
}

Result<> Database::write(std::span<const Record> records) {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.writer_mutex);
  if (const Result<> begun = impl.begin(); begun.has_error()) return impl.failed(begun.error());
  const Result<std::uint64_t> rows = impl.write_all(records);
  if (rows.has_error()) {
    impl.undo();
    return impl.failed(rows.error());
  }
  impl.rows_open += *rows;
  return {};
}

Result<> Database::commit(std::uint64_t position, bool durable) {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.writer_mutex);
  const bool moves = position > applied_position();
  if (impl.in_transaction || (moves && durable)) {
    Result<> done = impl.begin();
    if (done.has_value()) done = impl.outbox.tidy();
    failpoint("store.before_commit");
    if (done.has_value() && moves) done = impl.write_position(log_id(), position);
    if (done.has_value()) done = impl.end();
    if (done.has_error()) {
      impl.undo();
      return impl.failed(done.error());
    }
    impl.outbox.committed();
    for (auto& [name, table] : impl.tables) table->committed();
    if (moves) impl.applied.store(position, std::memory_order_relaxed);
    impl.rows_written.fetch_add(std::exchange(impl.rows_open, 0), std::memory_order_relaxed);
    impl.transactions.fetch_add(1, std::memory_order_relaxed);
    impl.last_commit_at.store(impl.clock.now(), std::memory_order_relaxed);
    failpoint("store.after_commit");
    if (impl.on_commit) impl.on_commit();
    if (impl.journal_pages >= kJournalFoldPages) {
      const Result<> folded = impl.fold_journal();
      // The commit is made. Where there is no space to fold, a later one will find some.
      if (folded.has_error() && folded.error().code != ErrorCode::unavailable) {
        return impl.failed(folded.error());
      }
    }
  }
  return durable ? impl.writer.sync_journal() : Result<>();
}

void Database::roll_back() {
  const std::lock_guard lock(impl_->writer_mutex);
  if (impl_->in_transaction) impl_->undo();
}

Result<> Database::try_to_write() {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.writer_mutex);
  if (impl.in_transaction) return {};  // It has the lock, and its own commit will tell.
  Result<> done = impl.begin();
  if (done.has_value()) done = impl.write_position(log_id(), applied_position());
  if (done.has_value()) done = impl.end();
  if (done.has_value()) return done;
  impl.undo();
  return impl.failed(done.error());
}

Result<> Database::Impl::fold_journal() {
  int frames = 0;
  int folded = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(writer.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &folded);
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) return writer.error("folding the journal");
  const Result<std::int64_t> page_bytes = writer.query_int("PRAGMA page_size");
  if (page_bytes.has_error()) return page_bytes.error();
  const std::int64_t waiting = static_cast<std::int64_t>(frames - folded) * *page_bytes;
  if (waiting > kJournalWarnBytes) {
    log::warn(
        "the database's journal cannot be folded in, because another program keeps reading "
        "an old state of it. Find and end that program (a sqlite3 shell with an open "
        "transaction?) before the disk fills",
        {{"journal", options.path + "-wal"}, {"bytes", waiting}});
  }
  return {};
}

Result<std::uint64_t> Database::maintain(Timestamp now) {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.writer_mutex);
  if (impl.in_transaction) return 0;
  std::uint64_t removed = 0;
  const Timestamp before = now - impl.options.keep_dead_letters;
  // Asked first: where nothing is old, another process that writes need not be waited for.
  const Result<std::int64_t> old = impl.writer.query_int(
      fmt::format("SELECT 1 FROM dead_letter WHERE received_at < {} LIMIT 1", before));
  if (old.has_error()) return impl.failed(old.error());
  const auto expire_letters = [&]() -> Result<std::int64_t> {
    if (*old == 0) return 0;
    return impl.dead_letters.expire(before, kExpireStep);
  };
  const auto expire_records = [&] {
    return impl.records.expire(impl.options.keep_incidents, kExpireStep);
  };
  const std::function<Result<std::int64_t>()> all[] = {expire_letters, expire_records};
  for (const auto& expire : all) {
    for (int i = 0; i < kExpireStepsPerCall; ++i) {
      const Result<std::int64_t> step = expire();
      if (step.has_error()) return impl.failed(step.error());
      removed += static_cast<std::uint64_t>(*step);
      if (*step < kExpireStep) break;
    }
  }
  const Result<> folded = impl.fold_journal();
  if (folded.has_error()) return impl.failed(folded.error());
  return removed;
}

Result<bool> Database::keep_up() {
  Impl& impl = *impl_;
  if (impl.merger == nullptr) return false;
  std::size_t left = kKeepUpRows;
  // Each in its turn, from behind the one where the last call stopped.
  auto next = impl.tables.upper_bound(impl.kept_up_last);
  for (std::size_t n = 0; n < impl.tables.size() && left != 0; ++n, ++next) {
    if (next == impl.tables.end()) next = impl.tables.begin();
    auto& [name, table] = *next;
    impl.kept_up_last = name;
    while (left != 0) {
      const std::size_t most = std::min(left, kKeepUpStep);
      const std::lock_guard lock(impl.writer_mutex);
      if (impl.in_transaction) return false;
      const Result<std::size_t> rows = impl.keep_up(*table, most);
      if (rows.has_error()) return impl.failed(rows.error());
      if (*rows == 0) break;
      left -= std::min(left, *rows);
    }
  }
  const std::lock_guard lock(impl.writer_mutex);
  const Result<> folded = impl.fold_journal();
  if (folded.has_error()) return impl.failed(folded.error());
  return left == 0;
}

Result<std::size_t> Database::Impl::keep_up(WindowStore& table, std::size_t rows_max) {
  // Not yet to write: where there is nothing to do, another process that does need not be waited
  // for.
  if (const Result<> begun = writer.execute("BEGIN"); begun.has_error()) return begun.error();
  in_transaction = true;
  const Result<std::size_t> rows = table.maintain(writer, *merger, rows_max);
  Result<> done;
  if (rows.has_error()) done = rows.error();
  if (done.has_value()) done = end();
  if (done.has_value()) {
    table.publish();  // Now that others can read what has been merged.
    return rows;
  }
  undo();
  return done.error();
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

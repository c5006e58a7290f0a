#include "store/archive.h"

#include <utility>
#include <vector>

#include <fmt/format.h>
#include <zlib.h>

#include "base/json_writer.h"
#include "base/log.h"
#include "base/time_format.h"
#include "event/result_json.h"

namespace streamobs::store {

namespace {

std::string lines_of(const WindowSchema& schema, const std::vector<WindowRow>& rows) {
  std::string text;
  for (const WindowRow& row : rows) {
    JsonWriter json(text);
    write(json, schema, row);
    text += '\n';
  }
  return text;
}

/// One member of a gzip file.
Result<std::string> pack(const std::string& text) {
  constexpr int kGzip = 15 + 16;
  constexpr int kMemoryLevel = 8;
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return fail(ErrorCode::unavailable, "there is no memory to compress an archive with");
  }
  std::string packed(deflateBound(&stream, text.size()), '\0');
  // zlib's interface is older than const.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // NOLINT
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int ended = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (ended != Z_STREAM_END) return fail(ErrorCode::internal, "an archive cannot be compressed");
  return packed;
}

}  // namespace

std::string archive_directory(const std::string& database, const std::string& archive) {
  return archive.starts_with('/') ? archive : directory_of(database) + "/" + archive;
}

Archive::Archive(FileSystem& files, const std::string& directory, const WindowTable& table,
                 Resolution resolution)
    : files_(files),
      directory_(fmt::format("{}/{}/{}", directory, table.schema().window, to_text(resolution))),
      table_(table) {
  state_.window = table.schema().window;
  state_.resolution = resolution;
  state_.directory = directory_;
}

std::string Archive::file_of(Timestamp day) const {
  constexpr std::size_t kDateBytes = 10;  // 2026-01-05
  return fmt::format("{}/{}.ndjson.gz", directory_, to_rfc3339(day).substr(0, kDateBytes));
}

Result<> Archive::load(const Connection& connection) {
  at_.reset();
  done_until_ = kMinTimestamp;
  Result<Statement> select =
      connection.prepare("SELECT day, start, _key, bytes FROM streamobs_archive WHERE name = ?1");
  if (select.has_error()) return select.error();
  const std::string name = table_.table();
  select->bind(1, std::string_view(name));
  const Result<bool> any = select->step();
  if (any.has_error()) return any.error();
  if (*any) {
    at_ = Place{select->int_at(0), select->int_at(1), select->text_at(2),
                static_cast<std::uint64_t>(select->int_at(3))};
  }
  return {};
}

Result<> Archive::save(const Connection& connection) const {
  Result<Statement> replace = connection.prepare(
      "INSERT OR REPLACE INTO streamobs_archive (name, day, start, _key, bytes) "
      "VALUES (?1, ?2, ?3, ?4, ?5)");
  if (replace.has_error()) return replace.error();
  const std::string name = table_.table();
  replace->bind(1, std::string_view(name));
  replace->bind(2, at_->day);
  replace->bind(3, at_->start);
  replace->bind(4, std::string_view(at_->key));
  replace->bind(5, static_cast<std::int64_t>(at_->bytes));
  return replace->run();
}

Result<> Archive::forget(const Connection& connection) const {
  Result<Statement> remove = connection.prepare("DELETE FROM streamobs_archive WHERE name = ?1");
  if (remove.has_error()) return remove.error();
  const std::string name = table_.table();
  remove->bind(1, std::string_view(name));
  return remove->run();
}

Result<std::optional<Timestamp>> Archive::next_day(const Connection& connection, Timestamp from,
                                                   Timestamp until) const {
  Result<std::vector<WindowRow>> first =
      table_.results_behind(connection, from == kMinTimestamp ? from : from - 1, {}, until, 1);
  if (first.has_error()) return first.error();
  std::optional<Timestamp> day;
  if (!first->empty()) day = floor_to(first->front().start, kDay);
  return day;
}

Result<std::size_t> Archive::advance(const Connection& connection, Timestamp from, Timestamp until,
                                     std::size_t rows_max) {
  if (!at_) {
    const Result<std::optional<Timestamp>> day =
        next_day(connection, std::max(from, done_until_), until);
    if (day.has_error()) return day.error();
    if (!*day) {
      done_until_ = std::max(done_until_, until);
      return std::size_t{0};
    }
    at_ = Place{**day, **day - 1, {}, 0};
  }
  Result<std::vector<WindowRow>> rows = next_rows(connection, rows_max);
  if (rows.has_error()) return rows.error();
  const Result<bool> sound = is_sound(rows->empty());
  if (sound.has_error()) return failed(sound.error());
  if (!*sound) {  // Its rows are all still there.
    at_ = Place{at_->day, at_->day - 1, {}, 0};
    rows = next_rows(connection, rows_max);
    if (rows.has_error()) return rows.error();
  }
  if (rows->empty()) {
    if (const Result<> finished = finish_day(); finished.has_error()) {
      return failed(finished.error());
    }
    succeeded();
    if (const Result<> forgotten = forget(connection); forgotten.has_error()) {
      return forgotten.error();
    }
    done_until_ = at_->day + kDay;
    at_.reset();
    return std::size_t{1};
  }
  const Result<std::string> packed = pack(lines_of(table_.schema(), *rows));
  if (packed.has_error()) return packed.error();
  if (const Result<> appended = append(*packed); appended.has_error()) {
    return failed(appended.error());
  }
  succeeded();
  at_->start = rows->back().start;
  at_->key = WindowTable::key_of(rows->back());
  at_->bytes += packed->size();
  if (const Result<> saved = save(connection); saved.has_error()) return saved.error();
  return rows->size();
}

Result<std::vector<WindowRow>> Archive::next_rows(const Connection& connection,
                                                  std::size_t rows_max) const {
  return table_.results_behind(connection, at_->start, at_->key, at_->day + kDay, rows_max);
}

/// Whether the file has what the database knows of: somebody may have taken it away, or put the
/// database back without it. One that is `complete` may have its name already.
Result<bool> Archive::is_sound(bool complete) const {
  if (at_->bytes == 0) return true;
  const Result<bool> part = files_.exists(part_of(at_->day));
  if (part.has_error()) return part;
  if (!*part) return complete ? files_.exists(file_of(at_->day)) : Result<bool>(false);
  const Result<std::uint64_t> size = files_.file_size(part_of(at_->day));
  if (size.has_error()) return size.error();
  return *size >= at_->bytes;
}

ArchiveState Archive::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

Result<std::size_t> Archive::failed(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (state_.error != error.message) {
    log::error(
        "the archive cannot be written: rows that are older than `keep` stay in the database "
        "until it can. Is the directory there, ours, and not full?",
        {{"archive", directory_}, {"error", error.message}});
  }
  ++state_.failures;
  if (state_.error.empty()) state_.since = SystemClock().now();
  state_.error = error.message;
  return std::size_t{0};
}

void Archive::succeeded() {
  const std::lock_guard lock(mutex_);
  if (state_.error.empty()) return;
  state_.error.clear();
  state_.since = 0;
  log::info("the archive can be written again", {{"archive", directory_}});
}

/// Behind what the database knows of: what a crash has left there is overwritten.
Result<> Archive::append(const std::string& packed) const {
  const std::string part = part_of(at_->day);
  if (at_->bytes == 0) {
    if (const Result<> made = files_.make_directory(directory_); made.has_error()) return made;
  }
  Result<std::unique_ptr<File>> file =
      at_->bytes == 0 ? files_.create(part) : files_.open_for_writing(part);
  if (file.has_error()) return file.error();
  if (const Result<> written = (*file)->write_at(at_->bytes, packed); written.has_error()) {
    return written;
  }
  if (const Result<> cut = (*file)->truncate(at_->bytes + packed.size()); cut.has_error()) {
    return cut;
  }
  if (const Result<> synced = (*file)->sync_data(); synced.has_error()) return synced;
  return at_->bytes == 0 ? files_.sync_directory(directory_) : Result<>();
}

/// Gives the file its name; one that is there is never overwritten. After a crash in between, the
/// file has its name already.
Result<> Archive::finish_day() const {
  const std::string part = part_of(at_->day);
  const Result<bool> there = files_.exists(part);
  if (there.has_error()) return there.error();
  if (!*there) return {};
  std::string name = file_of(at_->day);
  for (int n = 2;; ++n) {
    const Result<bool> taken = files_.exists(name);
    if (taken.has_error()) return taken.error();
    if (!*taken) break;
    name = file_of(at_->day);
    name.insert(name.size() - std::string_view(".ndjson.gz").size(), fmt::format("-{}", n));
  }
  if (const Result<> renamed = files_.rename(part, name); renamed.has_error()) return renamed;
  return files_.sync_directory(directory_);
}

}  // namespace streamobs::store

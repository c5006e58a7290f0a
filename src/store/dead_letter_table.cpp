#include "store/dead_letter_table.h"

#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "event/dead_letter.h"
#include "store/where.h"

namespace streamobs::store {

namespace {

/// Columns of what read_dead_letters() selects.
constexpr int kHeaderId = 13;
constexpr int kOldHeader = 15;  ///< Where versions before 7 kept the header itself.

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

/// The headers of one answer's letters, each of them once in memory.
class HeaderReader {
 public:
  static Result<HeaderReader> make(const Connection& connection) {
    Result<Statement> by_id = connection.prepare("SELECT text FROM streamobs_header WHERE id = ?1");
    if (by_id.has_error()) return by_id.error();
    return HeaderReader(std::move(*by_id));
  }

  /// That of the letter in `row`. Gives how many bytes it has added to what is in memory.
  Result<std::size_t> read(const Statement& row, DeadLetter& letter) {
    if (row.is_null(kHeaderId)) {
      if (row.is_null(kOldHeader)) return 0;
      letter.header = std::make_shared<const std::string>(row.blob_at(kOldHeader));
      return letter.header->size();
    }
    std::shared_ptr<const std::string>& known = known_[row.int_at(kHeaderId)];
    std::size_t added = 0;
    if (known == nullptr) {
      by_id_.bind(1, row.int_at(kHeaderId));
      const Result<bool> found = by_id_.step();
      if (found.has_error()) return found.error();
      known = std::make_shared<const std::string>(*found ? by_id_.blob_at(0) : std::string());
      by_id_.reset();
      added = known->size();
    }
    letter.header = known;
    return added;
  }

 private:
  explicit HeaderReader(Statement by_id) : by_id_(std::move(by_id)) {}

  Statement by_id_;
  std::map<std::int64_t, std::shared_ptr<const std::string>> known_;
};

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

Result<> DeadLetterWriter::prepare(const Connection& connection) {
  return connection.prepare_all({
      {&letter_,
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
  });
}

Result<> DeadLetterWriter::write(const DeadLetters& letters) {
  std::map<std::pair<std::string_view, std::string_view>, std::int64_t> counts;
  const std::string* header = nullptr;  // The last one: most often those of a batch have the same.
  std::int64_t header_id = 0;
  for (const DeadLetter& letter : letters) {
    letter_.bind(1, std::string_view(letter.reason));
    letter_.bind(2, std::string_view(letter.detail));
    letter_.bind(3, std::string_view(letter.stream));
    letter_.bind(4, std::string_view(letter.source));
    letter_.bind(5, std::string_view(letter.origin));
    letter_.bind(6, static_cast<std::int64_t>(letter.position));
    letter_.bind(7, std::string_view(letter.window));
    letter_.bind(8, letter.received_at);
    letter_.bind_blob(9, letter.payload);
    letter_.bind(10, static_cast<std::int64_t>(letter.sequence));
    letter_.bind(11, std::int64_t{letter.event_index});
    if (letter.format) {
      letter_.bind(12, static_cast<std::int64_t>(*letter.format));
    } else {
      letter_.bind_null(12);
    }
    if (letter.header == nullptr) {
      letter_.bind_null(13);
    } else {
      if (header == nullptr || *letter.header != *header) {
        const Result<std::int64_t> id = id_of_header(*letter.header);
        if (id.has_error()) return id.error();
        header = letter.header.get();
        header_id = *id;
      }
      letter_.bind(13, header_id);
    }
    const Result<std::int64_t> added = letter_.run_counted();
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
Result<std::int64_t> DeadLetterWriter::id_of_header(const std::string& header) {
  header_.bind_blob(1, header);
  const Result<bool> found = header_.step();
  if (found.has_error()) return found.error();
  const std::int64_t id = header_.int_at(0);
  if (const Result<> ended = header_.run(); ended.has_error()) return ended.error();
  return id;
}

Result<> DeadLetterWriter::write(const ReplayedLetter& replayed) {
  replayed_.bind(1, replayed.at);
  replayed_.bind(2, static_cast<std::int64_t>(replayed.letter.sequence));
  replayed_.bind(3, std::int64_t{replayed.letter.event_index});
  return replayed_.run();
}

Result<std::int64_t> DeadLetterWriter::expire(Timestamp before, std::int64_t step) {
  expire_.bind(1, before);
  expire_.bind(2, step);
  const Result<std::int64_t> removed = expire_.run_counted();
  if (removed.has_error() || *removed == step) return removed;
  if (const Result<> done = unused_headers_.run(); done.has_error()) return done.error();
  return removed;
}

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
  Result<HeaderReader> headers = HeaderReader::make(connection);
  if (headers.has_error()) return headers.error();
  std::vector<StoredDeadLetter> rows;
  std::size_t bytes = 0;
  while (bytes < DeadLetterQuery::kPageBytesMax) {
    const Result<bool> more = select->step();
    if (more.has_error()) return more.error();
    if (!*more) break;
    StoredDeadLetter& row = rows.emplace_back(dead_letter_at(*select));
    bytes += row.letter.payload.size();
    const Result<std::size_t> read = headers->read(*select, row.letter);
    if (read.has_error()) return read.error();
    bytes += *read;
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

#include "store/log_position.h"

#include <fmt/format.h>

#include "base/hash.h"

namespace streamobs::store {

std::int64_t check_sum(const LogPosition& position) {
  return static_cast<std::int64_t>(hash_word(position.log_id ^ hash_word(position.applied)));
}

Result<> check_log_id(const std::string& database, std::uint64_t bound, std::uint64_t log) {
  if (bound == 0 || bound == log) return {};
  return fail(ErrorCode::invalid,
              fmt::format("the database {} holds the results of log {:016x}, and the log beside "
                          "it is {:016x}: they do not belong together. Put back the log that "
                          "belongs to it, or move the database away (with its -wal and -shm) for "
                          "a new one to be made from this log; the old one stays readable",
                          database, bound, log));
}

Result<LogPosition> read_log_position(const Connection& connection) {
  Result<Statement> select =
      connection.prepare("SELECT log_id, applied_position, check_sum FROM streamobs_log");
  if (select.has_error()) return select.error();
  const Result<bool> row = select->step();
  if (row.has_error()) return row.error();
  LogPosition position;
  // A stretch of zeros where the row was reads as a row of NULLs, and NULL as 0: as of a new
  // database, whose check sum is 0, too.
  const bool whole = *row && !select->is_null(0) && !select->is_null(1) && !select->is_null(2);
  if (whole) {
    position.log_id = static_cast<std::uint64_t>(select->int_at(0));
    position.applied = static_cast<std::uint64_t>(select->int_at(1));
  }
  if (!whole || select->int_at(2) != check_sum(position)) {
    return fail(ErrorCode::corrupt,
                "the database's note of the log's position (streamobs_log) is not as it was "
                "written");
  }
  return position;
}

}  // namespace streamobs::store

// The tables of anomalies, incidents and dead letters: writing them and reading them back.
//
// The writing half belongs to the writing connection; the reading functions take whichever
// connection the caller reads by.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/record.h"
#include "store/database.h"
#include "store/query.h"
#include "store/sqlite.h"

namespace streamobs::store {

/// The views `anomalies` (with a column for each key of any window), `incidents` and
/// `dead_letters`. A key that is called like a column of the view shows as key_NAME.
std::string record_views_sql(const std::vector<std::shared_ptr<const WindowSchema>>& windows);

class RecordWriter {
 public:
  static constexpr std::int64_t kMaxDeadLetters = 100'000;

  Result<> prepare(const Connection& connection);
  Result<> write(const Anomaly& anomaly);
  Result<> write(const Incident& incident);
  /// Adds and counts those that are not there yet, and removes the oldest beyond kMaxDeadLetters.
  Result<> write(const DeadLetters& letters);
  /// Notes when a letter's event was sent again, if it is still there.
  Result<> write(const ReplayedLetter& replayed);
  /// Removes at most `step` dead letters that were received before `before`; with the last of them
  /// what only they needed.
  Result<std::int64_t> expire_dead_letters(Timestamp before, std::int64_t step);

 private:
  Statement anomaly_;
  Statement incident_;
  Result<std::int64_t> id_of_header(const std::string& header);

  Statement dead_letter_;
  Statement header_;
  Statement replayed_;
  Statement count_;
  Statement trim_;
  Statement expire_;
  Statement unused_headers_;
};

Result<std::vector<Anomaly>> read_anomalies(const Connection& connection, const ListQuery& query);
Result<std::vector<Incident>> read_incidents(const Connection& connection, const ListQuery& query);
Result<std::vector<StoredDeadLetter>> read_dead_letters(const Connection& connection,
                                                        const DeadLetterQuery& query);
Result<std::vector<DeadLetterCount>> read_dead_letter_counts(const Connection& connection);

}  // namespace streamobs::store

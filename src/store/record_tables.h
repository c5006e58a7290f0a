// The tables of anomalies and incidents: writing them and reading them back.
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
  Result<> prepare(const Connection& connection);
  Result<> write(const Anomaly& anomaly);
  Result<> write(const Incident& incident);
  /// Removes at most `step` anomalies, then incidents, that are older than `keep` behind the newest
  /// of their kind, by event time, and over. Returns how many.
  Result<std::int64_t> expire(Duration keep, std::int64_t step);

 private:
  Statement anomaly_;
  Statement incident_;
  Statement old_;  ///< Asked first: a step that removes nothing takes the lock all the same.
  Statement expire_anomalies_;
  Statement expire_incidents_;
};

Result<std::vector<Anomaly>> read_anomalies(const Connection& connection, const ListQuery& query);
Result<std::vector<Incident>> read_incidents(const Connection& connection, const ListQuery& query);

}  // namespace streamobs::store

// Answers from the accumulators that are stored with a window's rows: merged over time and over
// keys, and asked again. Averages, rates and quantiles are computed from the merged accumulators,
// never from other averages, rates and quantiles; so they are as exact as those of one window.
//
// Only closed windows have accumulators. Blocks: belongs on the query pool. One thread a call.
#pragma once

#include <vector>

#include "app/plan.h"
#include "base/result.h"
#include "event/window_result.h"
#include "serve/queries.h"
#include "store/database.h"

namespace streamobs::app {

/// Groups of one merged window in memory at a time.
inline constexpr std::size_t kMergedGroupsMax = 100'000;

/// Newest first, then by key, the overflow group last. Keys are those of `query.by`; behind the
/// window's metrics stand the query's quantiles. A row is closed once a window that begins behind
/// it has been stored. `invalid`: what cannot be merged, and the way out.
Result<serve::MergedRows> merged_rows(const Plan& plan, const store::Database& database,
                                      const serve::MergeQuery& query);

/// The same over the databases of several processes that share a stream: their rows as they closed,
/// added up. A row is closed once each of them has stored a window that begins behind it.
Result<std::vector<WindowRow>> added_rows(const Plan& plan,
                                          const std::vector<const store::Database*>& databases,
                                          const serve::MergeQuery& query);

}  // namespace streamobs::app

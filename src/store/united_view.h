// Views that unite windows (ViewOptions): one SQL view over those of several windows.
//
// Free functions; within the caller's transaction.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "event/window_result.h"
#include "store/options.h"
#include "store/sqlite.h"

namespace streamobs::store {

/// Makes the views of `views`, over the views of `windows`, anew, and removes those that an earlier
/// config had. What people have made themselves is left alone.
Result<> create_united_views(const Connection& connection, const std::vector<ViewOptions>& views,
                             const std::vector<std::shared_ptr<const WindowSchema>>& windows);

}  // namespace streamobs::store

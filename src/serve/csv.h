// Rows of windows as CSV (RFC 4180): a header, then a record for each row.
#pragma once

#include <string>
#include <vector>

#include "event/window_result.h"

namespace streamobs::serve {

/// Columns as the JSON of a row has members, in the same order. NULL is an empty cell; an empty
/// text is one in quotes.
std::string to_csv(const WindowSchema& schema, const std::vector<WindowRow>& rows);

}  // namespace streamobs::serve

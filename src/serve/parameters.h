// Query parameters checked and turned into questions for the store. Synchronous; any strand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "event/window_result.h"
#include "serve/options.h"
#include "store/query.h"

namespace streamobs::serve {

/// As decoded from the query string, in order.
using QueryParameters = std::vector<std::pair<std::string_view, std::string_view>>;

/// What can be asked of a window: kWindowParameters and its keys (see below).
std::vector<std::string> window_parameters(const WindowSchema& schema);

/// from, to, windows, limit, and the window's keys by name (or, where one is called like a
/// parameter, as key.NAME). Others of kWindowParameters are passed over; anything else is an error
/// that lists what there is.
Result<store::WindowQuery> read_window_query(const QueryParameters& parameters,
                                             const WindowSchema& schema);

/// from, to, limit, and equality on `names`.
Result<store::ListQuery> read_list_query(const QueryParameters& parameters,
                                         const std::vector<std::string>& names);

/// The same, id, equality on reason, stream, source and window, and those of `further` (below_id,
/// replayed) that the asker takes.
Result<store::DeadLetterQuery> read_dead_letter_query(const QueryParameters& parameters,
                                                      const std::vector<std::string>& further);

/// `format`, taken out of the parameters: json, or the other one that the asker has.
enum class AnswerFormat : std::uint8_t { json, ndjson, csv };
Result<AnswerFormat> take_format(QueryParameters& parameters, AnswerFormat other);

/// An error unless each parameter is one of `names` and comes once.
Result<> check_parameters(const QueryParameters& parameters, const std::vector<std::string>& names);

/// "a, b and c", "none".
std::string enumerate(const std::vector<std::string>& names);

}  // namespace streamobs::serve

// Inflates gzip bodies, up to a stated size.
//
// One per thread (its window of 32 KiB is kept); used synchronously by whichever connection runs
// there.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "base/block_buffer.h"
#include "http/head.h"

namespace streamobs::http {

/// Replaces `out` by what `bytes` (one or more gzip members) inflate to. 413 when that is more than
/// `bytes_max`, 400 when the bytes are damaged, cut short or followed by something else.
std::optional<Refusal> inflate_gzip(std::string_view bytes, std::size_t bytes_max,
                                    BlockBuffer& out);

}  // namespace streamobs::http

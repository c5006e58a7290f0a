#include "event/block.h"

#include <algorithm>
#include <iterator>

namespace streamobs {

std::uint64_t position_of(const BlockOrigin& origin, std::uint32_t event, std::uint64_t line) {
  if (origin.messages.empty()) return origin.first_line != 0 ? origin.first_line + line : event;
  const auto behind =
      std::upper_bound(origin.messages.begin(), origin.messages.end(), event,
                       [](std::uint32_t e, const MessageRun& run) { return e < run.first_event; });
  const MessageRun& run =
      behind == origin.messages.begin() ? origin.messages.front() : *std::prev(behind);
  return run.one_message ? run.offset : run.offset + (event - run.first_event);
}

}  // namespace streamobs

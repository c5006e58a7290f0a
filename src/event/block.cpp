#include "event/block.h"

#include <algorithm>
#include <iterator>

namespace streamobs {

namespace {

constexpr std::string_view kFormatWords[] = {"json",   "ndjson", "csv",    "access_log",
                                             "syslog", "logfmt", "pattern"};

}  // namespace

std::string_view to_text(Format format) {
  return kFormatWords[static_cast<std::size_t>(format)];
}

std::optional<Format> parse_format(std::string_view word) {
  const auto found = std::find(std::begin(kFormatWords), std::end(kFormatWords), word);
  if (found == std::end(kFormatWords)) return std::nullopt;
  return static_cast<Format>(found - std::begin(kFormatWords));
}

std::span<const std::string_view> format_words() {
  return kFormatWords;
}

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

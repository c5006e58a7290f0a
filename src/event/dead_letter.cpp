#include "event/dead_letter.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace streamobs {

namespace {

constexpr std::string_view kReplayKey = "streamobs/dead-letter/";

/// A number at the front of `text`, which is taken from it.
template <class Number>
bool take_number(std::string_view& text, Number& number) {
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
  return true;
}

/// Whether this is TOPIC/PARTITION; no topic has a slash in its name.
bool is_partition(std::string_view origin) {
  const std::size_t slash = origin.find('/');
  return slash != 0 && slash != std::string_view::npos && slash + 1 != origin.size() &&
         std::all_of(origin.begin() + static_cast<std::ptrdiff_t>(slash) + 1, origin.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string DeadLetter::place() const {
  if (event_index >= LetterId::kOfJoin) {
    return fmt::format("join {}, log position {}", reason == reason::unmatched ? window : stream,
                       origin.empty() ? sequence : position);
  }
  if (origin.starts_with("replay of ") || origin.starts_with("demo ")) return origin;
  if (is_partition(origin)) {
    const std::size_t slash = origin.find('/');
    return fmt::format("topic {}, partition {}, offset {}", origin.substr(0, slash),
                       origin.substr(slash + 1), position);
  }
  if (origin == "stdin") return fmt::format("standard input, line {}", position);
  if (source == "http") {
    return fmt::format("request{}{}, index {}", origin.empty() ? "" : " from ", origin, position);
  }
  if (origin.empty()) return source;
  return fmt::format("file {}, line {}", origin, position);
}

std::string_view DeadLetter::not_replayable() const {
  if (event_index >= LetterId::kOfJoin) {
    return "it is of a join, and the events it is about have been counted in their own streams";
  }
  // A payload is cut at a whole character, so up to three bytes before the limit.
  if (payload.size() + 3 >= kMaxPayload) return "only the first 64 KiB of it were kept";
  if (payload.find_first_not_of(" \t\r\n") == std::string::npos) return "its text was not kept";
  if (!format || sequence == 0) return "an earlier version kept it, without what is needed";
  return {};
}

std::string replay_key(LetterId letter) {
  return fmt::format("{}{}/{}", kReplayKey, letter.sequence, letter.event_index);
}

std::optional<LetterId> replayed_letter(std::string_view request_key) {
  if (!request_key.starts_with(kReplayKey)) return std::nullopt;
  request_key.remove_prefix(kReplayKey.size());
  LetterId letter;
  if (!take_number(request_key, letter.sequence) || !request_key.starts_with('/')) {
    return std::nullopt;
  }
  request_key.remove_prefix(1);
  if (!take_number(request_key, letter.event_index) || !request_key.empty()) return std::nullopt;
  return letter;
}

}  // namespace streamobs

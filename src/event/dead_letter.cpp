#include "event/dead_letter.h"

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

}  // namespace

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

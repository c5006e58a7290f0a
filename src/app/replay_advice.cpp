#include "app/replay_advice.h"

#include <algorithm>

#include <fmt/format.h>

#include "event/dead_letter.h"

namespace streamobs::app {

namespace {

/// 127.0.0.1 - - [09/Jan/2026:12:34:56 +0000] "GET / HTTP/1.1" …
bool is_access_log(std::string_view line) {
  const std::size_t open = line.find(" [");
  const std::size_t close = line.find("] \"");
  return open != std::string_view::npos && close != std::string_view::npos && open < close &&
         line.find(':') < close;
}

/// What a line of this format looks like.
std::string advice_on_form(Format format, std::string_view stream) {
  switch (format) {
    case Format::access_log:
      return "an access log is read in the common and in the combined format";
    case Format::syslog:
      return "a syslog line with a version behind its <priority> is RFC 5424 to the letter";
    case Format::logfmt:
      return "logfmt is key=value key=\"a value\"";
    case Format::pattern:
      return fmt::format("[stream.{}] pattern: several stand in a list and are tried in turn",
                         stream);
    default:
      return "a CSV file begins with a line of names, and every line has as many values";
  }
}

/// <34>Jan  9 …
bool is_syslog(std::string_view line) {
  const std::size_t close = line.find('>');
  return line.front() == '<' && close >= 2 && close <= 4 &&
         line.substr(1, close - 1).find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::optional<Format> format_of(std::string_view beginning) {
  if (beginning.starts_with("\xEF\xBB\xBF")) beginning.remove_prefix(3);
  const std::size_t first = beginning.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return std::nullopt;
  beginning.remove_prefix(first);
  if (beginning.front() == '{' || beginning.front() == '[') return Format::ndjson;
  const std::string_view line = beginning.substr(0, beginning.find_first_of("\r\n"));
  const bool text = std::all_of(line.begin(), line.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 || byte == '\t';
  });
  if (!text) return std::nullopt;
  if (is_syslog(line)) return Format::syslog;
  if (is_access_log(line)) return Format::access_log;
  if (line.find(',') != std::string_view::npos) return Format::csv;
  return std::nullopt;
}

std::string advice_on(std::string_view reason, std::string_view stream, Format format) {
  if (reason == reason::not_json) return "each line must be one JSON object";
  if (reason == reason::not_a_record) {
    return advice_on_form(format, stream);
  }
  if (reason == reason::missing_field) {
    return fmt::format(
        "[stream.{}]: give the field the `path` it has in the file, or take it out of `required`",
        stream);
  }
  if (reason == reason::wrong_type || reason == reason::out_of_range) {
    return fmt::format("[stream.{}] fields: declare the type that the values have in the file",
                       stream);
  }
  if (reason == reason::bad_time) {
    return fmt::format(
        "[stream.{}]: `time` must name the field that says when, and `timezone` the zone of times "
        "without one; docs/config.md lists how times are written",
        stream);
  }
  if (reason == reason::future) {
    return fmt::format(
        "is this machine's clock right? [stream.{}] max_future says how far ahead "
        "of it an event may be",
        stream);
  }
  if (reason == reason::too_long) return fmt::format("[stream.{}]: raise max_event_bytes", stream);
  if (reason == reason::bad_utf8) return "convert the file to UTF-8";
  if (reason == reason::duplicate_key || reason == reason::too_deep) {
    return "the events have to be written otherwise";
  }
  return fmt::format("the events do not pass the check `{}` of [stream.{}]", reason, stream);
}

}  // namespace streamobs::app

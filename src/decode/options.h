// [stream.NAME]: what the events of a stream look like and which of them are taken.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/source_text.h"
#include "event/block.h"
#include "event/data_type.h"

namespace streamobs::decode {

/// The fields of an access log, in the order of the format; the last three are parts of `request`.
inline constexpr std::string_view kAccessLogFields[] = {
    "remote_addr", "ident",   "remote_user", "time_local", "request", "status",
    "bytes",       "referer", "user_agent",  "method",     "path",    "protocol"};

/// The fields of a syslog line; beside them sd.ID.NAME for what its structured data holds.
inline constexpr std::string_view kSyslogFields[] = {"priority",  "facility", "severity",
                                                     "timestamp", "hostname", "app_name",
                                                     "proc_id",   "msg_id",   "message"};
inline constexpr std::string_view kSyslogDataPrefix = "sd.";

struct FieldOptions {
  SourceText name;
  DataType type;
  std::string path;  ///< Empty: the name.
  std::vector<std::string> aliases;
  bool required = false;
};

/// An expression with a name: a derived field or a check.
struct NamedExpression {
  SourceText name;
  SourceText expression;
};

/// template = { from = "message" }: which kind of message an event bears, as columns of the stream.
struct TemplateOptions {
  SourceText from;                         ///< A string field; empty: the stream has no templates.
  SourceText as = SourceText("template");  ///< The text; also as_id (int) and as_is_new (bool).
  std::size_t templates_max = 5'000;       ///< Kept at a time; then the one used longest ago goes.
  Duration learn = 0;  ///< Of the stream's first time by which nothing is called new.
};

struct StreamOptions {
  SourceText name;
  SourceText time;  ///< The field that bears the event time.
  /// Of what comes in: of sources that name none, and of requests of text/plain.
  Format format = Format::json;
  std::vector<SourceText> patterns;  ///< For Format::pattern: tried in this order.
  std::vector<FieldOptions> fields;
  std::vector<NamedExpression> derive;  ///< Further fields, computed from those above them.
  std::vector<NamedExpression>
      checks;                    ///< An event for which one is not true is refused under its name.
  SourceText filter;             ///< Events for which it is not true are left out, counted.
  std::string timezone = "UTC";  ///< Of times that name none: an IANA name.
  Duration max_future = 10 * kMinute;  ///< An event further ahead of its arrival is refused.
  Duration idle_timeout =
      30 * kSecond;  ///< A partition silent for longer holds the watermark back no more.
  std::size_t max_event_bytes = 1 << 20;  ///< A longer line is refused.
  std::vector<SourceText> paths;          ///< Further HTTP paths that take this stream's events.
  bool keep_raw = false;  ///< Each event's text as it came is kept as well (EventBatch::raw).
  /// The field that names an event: of those with the same value only the first is counted. Empty:
  /// none, and what is sent twice counts twice.
  SourceText id;
  /// How far (in event time, behind the stream's newest) ids are remembered. Older events are late.
  Duration id_horizon = kHour;
  TemplateOptions templates;
  std::size_t ids_max = 1'000'000;  ///< Ids remembered at a time; beyond it the horizon shrinks.

  bool joined = false;    ///< A join makes its events: nobody sends any.
  bool timeless = false;  ///< No field bears a time: rows of a table, not events.

  /// Mistakes in this section have been told, and it is only looked through for further ones: a
  /// field without a type or a derived field without an expression is what is left of one.
  bool mistaken = false;
  /// Fields may be missing as well, so that a name nobody knows need not be wrong.
  bool names_missing = false;
};

/// [lookup.NAME]: a file whose rows expressions look into, by a key.
struct LookupOptions {
  /// So many tables: the texts of all go into each checkpoint.
  static constexpr std::size_t kTablesMax = 64;

  SourceText name;
  std::string path;  ///< Of the file; a relative one as seen from the config's directory.
  Format format = Format::csv;
  std::vector<FieldOptions> columns;
  std::vector<SourceText> key;   ///< Names of columns.
  SourceText valid_from;         ///< The column with the time from which a row holds; or empty.
  std::string timezone = "UTC";  ///< Of times that name none.
  Duration reload_every = 10 * kSecond;  ///< How often the file is looked at.

  /// As of a stream.
  bool mistaken = false;
  bool names_missing = false;
};

}  // namespace streamobs::decode

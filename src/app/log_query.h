// `streamobs query --from-log`: the events in a log, as NDJSON on stdout.
//
// Reads only; the log may be that of a running engine. An event is printed as it came where its
// stream keeps lines (keep = "raw") and it came as JSON, on one line, else as an object of its
// declared fields. Events that were sent twice stand there twice.
#pragma once

#include <cstdint>
#include <string>

namespace streamobs::app {

struct LogQueryOptions {
  std::string directory;  ///< An engine's data directory, or the log's within it.
  std::string stream;     ///< Empty: the log's only one.
  std::string where;      ///< An expression over the stream's fields; empty: every event.
  std::string from;       ///< Event times, [from, to); empty: no bound.
  std::string to;
  std::uint64_t limit = 0;  ///< 0: none.
};

/// The exit code. That nobody reads stdout any more is a good end.
int run_log_query(const LogQueryOptions& options);

}  // namespace streamobs::app

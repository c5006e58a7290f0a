// POST /v1/events/{stream}, and the further paths that streams name: bodies become blocks.
//
// The routes are added at wiring time; the port must outlive the HTTP server. A block is handed
// over on the connection's lane, as it arrived, and the answer says what became of each event.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "event/block.h"
#include "http/router.h"
#include "source/ingest_port.h"

namespace streamobs::source {

/// A stream that can be posted to.
struct StreamRoute {
  std::string stream;
  std::uint32_t stream_id = 0;
  std::uint32_t source_id = 0;     ///< What BlockOrigin::source_id says for its requests.
  Format format = Format::json;    ///< Of bodies that are text/plain, if it is one of lines.
  std::vector<std::string> paths;  ///< Besides /v1/events/{stream}; each begins with "/".
};

void add_ingest_routes(http::Router& router, std::vector<StreamRoute> streams, IngestPort& port);

/// The body of the answer: {"accepted": n, "rejected": m, "errors": [...]}.
std::string ingest_answer(const IngestOutcome& outcome);

}  // namespace streamobs::source

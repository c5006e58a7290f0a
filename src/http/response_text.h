// The head of an answer as bytes. Private to src/http; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/exchange.h"

namespace streamobs::http {

/// What pages need to be told by everything that a browser may show.
inline constexpr std::string_view kPageHeaders =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n";

void append_status_line(std::string& out, int status, Timestamp now);

std::string_view body_of(const Response& response);
/// 204 and 304 have none.
bool has_content(const Response& response);
/// All but the connection's own headers and the empty line.
void append_head(std::string& out, const Response& response, bool for_pages, Timestamp now);

}  // namespace streamobs::http

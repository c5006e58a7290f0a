// The handshake of a WebSocket (RFC 6455, 4.2.1): who asks for one, and whether it is well-formed.
//
// Private to src/http. Free functions that know no socket; any strand.
#pragma once

#include <optional>

#include "http/head.h"

namespace streamobs::http {

/// The request has `Upgrade: websocket`, among others perhaps.
bool wants_web_socket(const Head& head);
/// Refuses what only looks like a handshake: 426 for a version that we do not speak, else 400.
std::optional<Refusal> check_handshake(const Head& head);

}  // namespace streamobs::http

#include "http/upgrade.h"

#include <string>

#include "support/catch.h"

namespace {

using namespace streamobs::http;  // NOLINT

const std::string kKey = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const std::string kVersion = "Sec-WebSocket-Version: 13\r\n";

/// The status of the refusal; 0: it is in order; -1: nobody asks for a WebSocket.
int outcome(const std::string& fields, const std::string& line = "GET /live HTTP/1.1") {
  const std::string text = line + "\r\nHost: a\r\n" + fields + "\r\n";
  Head head;
  REQUIRE_FALSE(parse_head(text, head));
  if (!wants_web_socket(head)) return -1;
  const auto refusal = check_handshake(head);
  return refusal ? refusal->status : 0;
}

}  // namespace

TEST_CASE("a handshake is taken in every way that browsers write it", "[http]") {
  CHECK(outcome("Connection: Upgrade\r\nUpgrade: websocket\r\n" + kKey + kVersion) == 0);
  CHECK(outcome("connection: keep-alive, Upgrade\r\nUPGRADE: WebSocket\r\n" + kKey + kVersion) ==
        0);
  CHECK(outcome("Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: h2c,websocket\r\n" +
                kKey + kVersion) == 0);
  // What else may be offered is no reason to refuse.
  CHECK(outcome("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: "
                "permessage-deflate\r\nSec-WebSocket-Protocol: x\r\n" +
                kKey + kVersion) == 0);
}

TEST_CASE("who does not ask for a WebSocket gets none", "[http]") {
  CHECK(outcome("") == -1);
  CHECK(outcome("Connection: Upgrade\r\nUpgrade: h2c\r\n") == -1);
  CHECK(outcome("Connection: Upgrade\r\nUpgrade: websockets\r\n" + kKey + kVersion) == -1);
}

TEST_CASE("a handshake with a mistake is refused", "[http]") {
  const std::string upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  CHECK(outcome("Connection: close\r\nUpgrade: websocket\r\n" + kKey + kVersion) == 400);
  CHECK(outcome("Upgrade: websocket\r\n" + kKey + kVersion) == 400);
  CHECK(outcome(upgrade + kKey + kVersion, "GET /live HTTP/1.0") == 400);
  CHECK(outcome(upgrade + kKey + kVersion, "POST /live HTTP/1.1") == 400);
  CHECK(outcome(upgrade + kKey + kVersion, "HEAD /live HTTP/1.1") == 400);
  CHECK(outcome(upgrade + kKey + kVersion + "Content-Length: 1\r\n") == 400);
  CHECK(outcome(upgrade + kVersion) == 400);
  CHECK(outcome(upgrade + kVersion + kKey + kKey) == 400);
  CHECK(outcome(upgrade + kVersion + "Sec-WebSocket-Key: \r\n") == 400);
  CHECK(outcome(upgrade + kVersion + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n") == 400);
  CHECK(outcome(upgrade + kVersion + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n") == 400);
  CHECK(outcome(upgrade + kVersion + "Sec-WebSocket-Key: dGhlIHNhbXBsZSB-b25jZQ==\r\n") == 400);
  CHECK(outcome(upgrade + kKey) == 426);
  CHECK(outcome(upgrade + kKey + "Sec-WebSocket-Version: 8\r\n") == 426);
  CHECK(outcome(upgrade + kKey + "Sec-WebSocket-Version: 13, 8\r\n") == 426);
  CHECK(outcome(upgrade + kKey + kVersion + kVersion) == 426);
}

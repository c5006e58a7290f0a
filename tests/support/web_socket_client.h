// A small blocking WebSocket client for tests, on top of HttpClient: frames as bytes, so that wrong
// ones can be sent, too.
//
// Written against RFC 6455 and on purpose not with Beast, which the code under test stands on. One
// thread each; every wait bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "support/http_client.h"

namespace streamobs::test {

inline const std::string kHandshakeFields =
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// What the RFC has for the key above, in its own example.
inline const std::string kHandshakeAnswer = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

struct Frame {
  enum Opcode { more = 0, text = 1, binary = 2, closed = 8, ping = 9, pong = 10, lost = 16 };
  int opcode = lost;  ///< `lost`: none came in time.
  bool last = true;
  std::string payload;

  /// Of a close; 0: none.
  int code() const {
    if (opcode != closed || payload.size() < 2) return 0;
    return static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]);
  }
  std::string reason() const { return payload.size() < 2 ? "" : payload.substr(2); }
};

class WebSocketClient {
 public:
  explicit WebSocketClient(HttpClient client) : client_(std::move(client)) {}

  /// The answer to the handshake; 101 is the good one.
  std::optional<HttpResponse> open(const std::string& path, const std::string& fields = "") {
    if (!client_.send(get(path, kHandshakeFields + fields))) return std::nullopt;
    std::optional<HttpResponse> answer = client_.receive(true);
    if (answer && answer->status != 101)
      answer->body =
          client_.read_bytes(std::strtoul(answer->header("content-length").c_str(), nullptr, 10));
    return answer;
  }

  bool send(int opcode, std::string_view payload, bool last = true, bool masked = true) {
    std::string bytes(1, static_cast<char>((last ? 0x80 : 0) | opcode));
    const int mask_bit = masked ? 0x80 : 0;
    if (payload.size() < 126) {
      bytes += static_cast<char>(mask_bit | static_cast<int>(payload.size()));
    } else {
      const bool wide = payload.size() > 0xffff;
      bytes += static_cast<char>(mask_bit | (wide ? 127 : 126));
      for (int shift = wide ? 56 : 8; shift >= 0; shift -= 8) {
        bytes += static_cast<char>(payload.size() >> shift & 0xff);
      }
    }
    constexpr char kMask[] = {0x12, 0x34, 0x56, 0x78};
    if (masked) bytes.append(kMask, sizeof kMask);
    for (std::size_t i = 0; i < payload.size(); ++i) {
      bytes += static_cast<char>(masked ? payload[i] ^ kMask[i % sizeof kMask] : payload[i]);
    }
    return client_.send(bytes);
  }

  /// The next frame, of whatever kind.
  Frame receive_frame(HttpClient::Milliseconds timeout = HttpClient::Milliseconds(10'000)) {
    Frame frame;
    const std::string head = client_.read_bytes(2, timeout);
    if (head.size() < 2) return frame;
    std::uint64_t length = static_cast<unsigned char>(head[1]) & 0x7f;
    if (length >= 126) {
      const std::string wide = client_.read_bytes(length == 126 ? 2 : 8, timeout);
      length = 0;
      for (const char c : wide) length = length << 8 | static_cast<unsigned char>(c);
    }
    frame.payload = client_.read_bytes(length, timeout);
    if (frame.payload.size() < length) return Frame();
    frame.opcode = static_cast<unsigned char>(head[0]) & 0x0f;
    frame.last = (static_cast<unsigned char>(head[0]) & 0x80) != 0;
    return frame;
  }

  /// The next message put together, or the close; pings are answered on the way.
  Frame receive(HttpClient::Milliseconds timeout = HttpClient::Milliseconds(10'000)) {
    Frame message;
    while (true) {
      Frame frame = receive_frame(timeout);
      if (frame.opcode == Frame::ping) {
        send(Frame::pong, frame.payload);
        continue;
      }
      if (frame.opcode == Frame::lost || frame.opcode == Frame::closed) return frame;
      if (frame.opcode != Frame::more) message.opcode = frame.opcode;
      message.payload += frame.payload;
      if (frame.last) return message;
    }
  }

  HttpClient& connection() { return client_; }

 private:
  HttpClient client_;
};

}  // namespace streamobs::test

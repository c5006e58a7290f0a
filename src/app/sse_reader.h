// Server-sent events taken apart, as far as our own engine sends them.
//
// Synchronous, no socket; one thread. Bytes go in as they come, messages come out whole.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace streamobs::app {

struct LiveMessage {
  std::string id;
  std::string event;
  std::string data;  ///< JSON.
};

class SseReader {
 public:
  /// A message that is longer is none of the engine's.
  static constexpr std::size_t kMessageBytesMax = 64 << 20;

  explicit SseReader(std::function<void(LiveMessage)> on_message)
      : on_message_(std::move(on_message)) {}

  /// False: what came cannot be a live stream.
  bool feed(std::string_view bytes);
  /// What has come of a message that was cut off is forgotten.
  void reset() { *this = SseReader(std::move(on_message_)); }

 private:
  void take_line(std::string_view line);

  std::function<void(LiveMessage)> on_message_;
  std::string line_;  ///< What there is of it so far.
  LiveMessage message_;
};

}  // namespace streamobs::app

#include "app/sse_reader.h"

#include <utility>

namespace streamobs::app {

bool SseReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (line_.size() + message_.data.size() > kMessageBytesMax) return false;
    if (end == std::string_view::npos) return true;
    bytes.remove_prefix(end + 1);
    if (line_.ends_with('\r')) line_.pop_back();
    take_line(line_);
    line_.clear();
  }
  return true;
}

void SseReader::take_line(std::string_view line) {
  if (line.empty()) {
    LiveMessage message = std::exchange(message_, LiveMessage());
    if (!message.data.empty()) on_message_(std::move(message));
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == 0) return;  // A comment: somebody is there.
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "id") message_.id = value;
  if (name == "event") message_.event = value;
  if (name == "data") {
    if (!message_.data.empty()) message_.data += '\n';
    message_.data += value;
  }
}

}  // namespace streamobs::app

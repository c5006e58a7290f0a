#include "source/message_block.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace streamobs::source {

namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string_view without_white_space(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kWhiteSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kWhiteSpace) - first + 1);
}

}  // namespace

std::string_view MessageBlock::trimmed(std::string_view message) {
  message = without_white_space(message);
  if (!message.starts_with(kByteOrderMark)) return message;
  return without_white_space(message.substr(kByteOrderMark.size()));
}

bool MessageBlock::is_empty_array(std::string_view message) const {
  return is_json_ && message.size() >= 2 && message.front() == '[' && message.back() == ']' &&
         without_white_space(message.substr(1, message.size() - 2)).empty();
}

bool MessageBlock::goes_alone(std::string_view message) const {
  return (is_json_ && message.front() == '[') || message.find('\n') != std::string_view::npos;
}

bool MessageBlock::fits(std::string_view message) const {
  return empty() || (!alone_ && !goes_alone(message) && filled_ + message.size() < bytes_max_);
}

void MessageBlock::add(std::string_view message, std::uint64_t offset, std::size_t given) {
  if (empty()) {
    buffer_ = pool_->take();
    alone_ = goes_alone(message);
    // All the room at once; it becomes what is filled when the block is taken.
    buffer_->resize(std::max(bytes_max_, message.size() + 1));
  }
  if (runs_.empty() || offset != next_offset_) runs_.push_back({events_, offset, alone_});
  if (given != (given_.empty() ? 0 : given_.back().bytes)) {
    given_.push_back({events_, static_cast<std::uint32_t>(given)});
  }
  std::memcpy(buffer_->data() + filled_, message.data(), message.size());
  filled_ += message.size();
  buffer_->data()[filled_++] = '\n';
  next_offset_ = offset + 1;
  ++events_;
}

Block MessageBlock::take() {
  Block block;
  block.format = format_;
  if (is_json_) block.format = alone_ ? Format::json : Format::ndjson;
  buffer_->resize(filled_);
  block.bytes = std::move(buffer_);
  block.origin.offset = runs_.front().offset;
  block.origin.messages = std::move(runs_);
  block.given = std::move(given_);
  runs_.clear();
  given_.clear();
  filled_ = 0;
  events_ = 0;
  alone_ = false;
  return block;
}

}  // namespace streamobs::source

// Gathers messages of one partition to blocks of events.
//
// A message is one event: a line of the block. One with line breaks in it (several events, or one
// that is written over several lines) or with an array goes alone, in a block that decode reads
// like a request's body. Its bytes are copied once, from the message into the block. Synchronous;
// one for each partition, as long as its source runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/block_buffer.h"
#include "event/block.h"
#include "source/buffer_pool.h"

namespace streamobs::source {

class MessageBlock {
 public:
  /// `bytes_max`: a block is given away before it grows beyond; a message that is longer goes
  /// alone.
  MessageBlock(BufferPool& pool, std::size_t bytes_max, Format format = Format::json)
      : pool_(&pool), bytes_max_(bytes_max), is_json_(!is_line_format(format)), format_(format) {}

  bool empty() const { return events_ == 0; }
  std::size_t size() const { return filled_; }

  /// Whether this message can join those that are here; else they are to be taken first. It has
  /// more than white space in it.
  bool fits(std::string_view message) const;
  /// `given`: so many bytes were put in front of the members of each of its events.
  void add(std::string_view message, std::uint64_t offset, std::size_t given = 0);
  /// What has been gathered: bytes, format, and which message each event was.
  Block take();

  /// Without the white space round it, which JSON knows, and a byte order mark.
  static std::string_view trimmed(std::string_view message);
  /// Whether a trimmed message is an array of no events.
  bool is_empty_array(std::string_view message) const;

 private:
  bool goes_alone(std::string_view message) const;

  BufferPool* pool_;
  std::size_t bytes_max_;
  bool is_json_;
  Format format_;
  std::shared_ptr<BlockBuffer> buffer_;
  std::size_t filled_ = 0;
  std::uint32_t events_ = 0;
  bool alone_ = false;  ///< What is here lets nothing join it.
  std::uint64_t next_offset_ = 0;
  std::vector<MessageRun> runs_;
  std::vector<GivenMembers> given_;
};

}  // namespace streamobs::source

// Cuts a byte stream into blocks of whole events.
//
// Bytes are read straight into the buffer that becomes the block; only the beginning of the event
// that a block ends in is copied to the next one. Synchronous and free of policy; memory is bounded
// by block_bytes and event_bytes_max. One per open file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/block_buffer.h"
#include "base/result.h"
#include "event/block.h"
#include "source/buffer_pool.h"
#include "source/byte_stream.h"
#include "source/record_cutter.h"

namespace streamobs::source {

struct BlockReaderOptions {
  Format format = Format::ndjson;
  std::size_t block_bytes = 1 << 20;      ///< What a block is filled up to.
  std::size_t event_bytes_max = 1 << 20;  ///< Longer events are cut off, see CutBlock::oversized.
  bool growing = false;  ///< The stream's end is not the input's: keep a partial event.
};

/// A block as cut from a stream, before it gets its number and names.
struct CutBlock {
  std::shared_ptr<BlockBuffer> bytes;
  std::shared_ptr<const std::string> header;  ///< CSV only.
  std::uint64_t offset = 0;                   ///< Of the first byte in the (inflated) stream.
  std::uint64_t first_line = 0;               ///< From 1.
  /// The block is the first event_bytes_max + 1 bytes of one longer event, for decode to refuse;
  /// the rest of it has been dropped.
  bool oversized = false;
  /// The place behind the block, always the end of an event: offset, lines and digest. Which file
  /// it is says whoever opened it; without a name (a pipe) there is no going on there.
  ResumePoint resume;
};

/// Where in a stream to begin instead of at its start.
struct ReaderStart {
  std::uint64_t offset = 0;
  std::uint64_t lines = 0;
  std::string head;  ///< The stream's first bytes, min(offset, ResumePoint::kHeadBytes) of them.
  std::shared_ptr<const std::string> header;  ///< CSV only.
};

/// ResumePoint::head_digest of a stream that begins with `head`.
std::uint64_t digest_of_head(std::string_view head);

class BlockReader {
 public:
  enum class Status {
    block,  ///< There is one.
    idle,   ///< Nothing complete has come yet: ask again later.
    end,    ///< The input is over, everything has been handed out.
  };

  BlockReader(std::unique_ptr<ByteStream> stream, const BlockReaderOptions& options,
              BufferPool& pool, ReaderStart start = {});

  /// Fills `out` when it returns `block`. An error is final.
  Result<Status> next(CutBlock& out);

  /// CSV: reads as far as the header goes and returns it; null where the stream has none yet.
  Result<std::shared_ptr<const std::string>> read_header();
  /// It was idle only to let its caller look round: there is more to pass over to its start.
  bool catching_up() const { return to_skip_ != 0; }

  /// Of a growing stream: no more will come, a partial last event is one after all.
  void input_is_complete() { options_.growing = false; }

  ByteStream& stream() { return *stream_; }
  /// Bytes of oversized events that were not handed out.
  std::uint64_t dropped_bytes() const { return dropped_bytes_; }

 private:
  Result<ByteStream::Read> fill();
  Result<> catch_up();
  bool take_header(bool at_end);
  Result<> check_header_size() const;
  void note_head(std::size_t bytes);
  ResumePoint place();
  void drop_front(std::size_t bytes);
  void skip_oversized();
  void emit(std::size_t bytes, CutBlock& out);
  void hold_oversized();

  std::unique_ptr<ByteStream> stream_;
  BlockReaderOptions options_;
  BufferPool& pool_;
  RecordCutter cutter_;
  std::shared_ptr<BlockBuffer> buffer_;
  std::size_t filled_ = 0;
  std::uint64_t offset_ = 0;  ///< Of buffer_[0] in the stream.
  std::uint64_t lines_ = 0;   ///< Newlines before buffer_[0].
  std::shared_ptr<const std::string> header_;
  std::uint64_t to_skip_;          ///< Bytes to pass over before the first is read.
  std::string head_;               ///< The stream's first bytes, at most ResumePoint::kHeadBytes.
  std::uint64_t head_digest_ = 0;  ///< Of a head_ that has all its bytes.
  bool at_start_;                  ///< A byte order mark may come.
  bool skipping_ = false;          ///< Within an oversized event.
  /// The beginning of an oversized event, until its end has been found: only there could a later
  /// process go on.
  std::optional<CutBlock> oversized_;
  std::uint64_t dropped_bytes_ = 0;
};

}  // namespace streamobs::source

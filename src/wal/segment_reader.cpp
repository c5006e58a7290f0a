#include "wal/segment_reader.h"

#include <algorithm>
#include <array>
#include <optional>
#include <zstd.h>

#include <fmt/format.h>

#include "base/crc32c.h"

namespace streamobs::wal {

namespace {

/// How much of a raw segment is read at once.
constexpr std::size_t kReadBytes = std::size_t{1} << 20;

/// Bytes that many frames refer to; never changed once they do.
struct Block {
  explicit Block(std::size_t size) : bytes(new char[size]) {}
  std::unique_ptr<char[]> bytes;
};

/// What is wrong with a frame whose bytes are all here; nothing if it is good. `bytes` begins with
/// the header and holds at least frame_bytes().
std::optional<std::string> wrong_with(const FrameHeader& header, const char* bytes,
                                      std::uint64_t next_sequence) {
  if (header.sequence != next_sequence) {
    return fmt::format("record {} where {} has to be", header.sequence, next_sequence);
  }
  const std::string_view payload(bytes + kFrameHeaderBytes, header.payload_bytes);
  if (crc32c(payload) != header.payload_crc) {
    return fmt::format("the payload of record {} fails its checksum", header.sequence);
  }
  const std::size_t used = kFrameHeaderBytes + header.payload_bytes;
  if (!all_zero(std::string_view(bytes + used, frame_bytes(header.payload_bytes) - used))) {
    return fmt::format("the padding of record {} is not zero", header.sequence);
  }
  return std::nullopt;
}

void fill(Frame& frame, const FrameHeader& header, const char* bytes, std::uint64_t offset) {
  frame.header = header;
  frame.bytes = std::string_view(bytes, frame_bytes(header.payload_bytes));
  frame.payload = frame.bytes.substr(kFrameHeaderBytes, header.payload_bytes);
  frame.offset = offset;
}

class RawReader final : public SegmentReader {
 public:
  RawReader(std::unique_ptr<File> file, std::string name, const SegmentHeader& header)
      : SegmentReader(std::move(file), std::move(name), header) {}

  Result<Outcome> next(Frame& frame) override {
    if (auto there = hold(kFrameHeaderBytes); !there) return there.error();
    const std::size_t here = held();
    if (here < kFrameHeaderBytes) {
      if (all_zero(std::string_view(at(), here))) return end();
      return bad("the file ends inside a frame header");
    }
    const auto header = decode_frame_header(at(), header_.origin);
    if (!header) {
      if (all_zero(std::string_view(at(), kFrameHeaderBytes))) return end();
      return bad("no good frame header");
    }
    const std::uint64_t length = frame_bytes(header->payload_bytes);
    if (auto there = hold(length); !there) return there.error();
    if (held() < length)
      return bad(fmt::format("the file ends inside record {}", header->sequence));
    if (auto wrong = wrong_with(*header, at(), next_sequence_)) return bad(*std::move(wrong));
    fill(frame, *header, at(), offset_);
    frame.keep = block_;
    offset_ += length;
    ++next_sequence_;
    return Outcome::frame;
  }

  Result<> skip_to(std::uint64_t) override { return {}; }

 private:
  const char* at() const { return block_->bytes.get() + (offset_ - block_offset_); }
  std::size_t held() const { return block_offset_ + block_bytes_ - offset_; }

  // Somebody may be writing there: after either of these, look again if asked again.
  Outcome end() {
    problem_.clear();
    block_.reset();
    return Outcome::end;
  }
  Outcome bad(std::string problem) {
    problem_ = std::move(problem);
    block_.reset();
    return Outcome::bad;
  }

  /// Reads on, if the block does not hold `bytes` from offset_ on; fewer only at the file's end.
  Result<> hold(std::uint64_t bytes) {
    if (block_ != nullptr && held() >= bytes) return {};
    const auto size = file_->size();
    if (!size) return size.error();
    const std::uint64_t left = *size > offset_ ? *size - offset_ : 0;
    const auto wanted =
        static_cast<std::size_t>(std::min(left, std::max<std::uint64_t>(bytes, kReadBytes)));
    // Not into the old block: frames that were handed out refer to it.
    auto block = std::make_shared<Block>(wanted);
    const auto read = file_->read_at(offset_, std::span<char>(block->bytes.get(), wanted));
    if (!read) return read.error();
    block_ = std::move(block);
    block_offset_ = offset_;
    block_bytes_ = *read;
    return {};
  }

  std::shared_ptr<Block> block_;
  std::uint64_t block_offset_ = 0;
  std::size_t block_bytes_ = 0;
};

class SealedReader final : public SegmentReader {
 public:
  SealedReader(std::unique_ptr<File> file, std::string name, const SegmentHeader& header)
      : SegmentReader(std::move(file), std::move(name), header) {}

  Result<Outcome> next(Frame& frame) override {
    if (ended_) return Outcome::end;
    while (in_chunk_ == chunk_.raw_bytes) {
      const auto outcome = next_chunk();
      if (!outcome || *outcome != Outcome::frame) return outcome;
    }
    const char* bytes = block_->bytes.get() + in_chunk_;
    const std::size_t left = chunk_.raw_bytes - in_chunk_;
    const auto header =
        left < kFrameHeaderBytes ? std::nullopt : decode_frame_header(bytes, header_.origin);
    if (!header || frame_bytes(header->payload_bytes) > left) {
      return bad("a chunk that does not consist of frames");
    }
    if (auto wrong = wrong_with(*header, bytes, next_sequence_)) return bad(*std::move(wrong));
    fill(frame, *header, bytes, chunk_.raw_offset + in_chunk_);
    frame.keep = block_;
    in_chunk_ += frame.bytes.size();
    ++next_sequence_;
    ++records_;
    return Outcome::frame;
  }

  Result<> skip_to(std::uint64_t sequence) override {
    for (;;) {
      std::array<char, kChunkHeaderBytes> bytes{};
      const auto read = file_->read_at(offset_, bytes);
      if (!read) return read.error();
      const auto chunk = decode_chunk_header(bytes.data(), header_.origin);
      // What is not a chunk is for next() to judge.
      if (*read < bytes.size() || !chunk || chunk->first_sequence != next_sequence_ ||
          sequence < chunk->first_sequence + chunk->records) {
        return {};
      }
      offset_ += kChunkHeaderBytes + chunk->compressed_bytes;
      next_sequence_ += chunk->records;
      records_ += chunk->records;
      raw_end_ = chunk->raw_offset + chunk->raw_bytes;
      ++chunks_;
    }
  }

 private:
  Outcome bad(std::string problem) {
    problem_ = std::move(problem);
    return Outcome::bad;
  }

  /// `frame`: the chunk is open; `end`: that was the end mark, and it agrees.
  Result<Outcome> next_chunk() {
    static_assert(kChunkHeaderBytes == kSealedEndBytes);
    std::array<char, kChunkHeaderBytes> bytes{};
    const auto read = file_->read_at(offset_, bytes);
    if (!read) return read.error();
    if (*read < bytes.size()) return bad("the file ends without its end mark");
    if (const auto end = decode_sealed_end(bytes.data(), header_.origin)) return check_end(*end);
    const auto chunk = decode_chunk_header(bytes.data(), header_.origin);
    if (!chunk) return bad("no good chunk header");
    if (chunk->first_sequence != next_sequence_ || chunk->raw_offset != raw_end_) {
      return bad("a chunk that does not follow the one before it");
    }
    return open_chunk(*chunk);
  }

  Result<Outcome> open_chunk(const ChunkHeader& chunk) {
    std::string compressed(chunk.compressed_bytes, '\0');
    const auto read = file_->read_at(offset_ + kChunkHeaderBytes, compressed);
    if (!read) return read.error();
    if (*read < compressed.size()) return bad("the file ends inside a chunk");
    if (crc32c(compressed) != chunk.crc) return bad("a chunk that fails its checksum");
    auto block = std::make_shared<Block>(chunk.raw_bytes);
    const std::size_t size =
        ZSTD_decompress(block->bytes.get(), chunk.raw_bytes, compressed.data(), compressed.size());
    if (ZSTD_isError(size) != 0 || size != chunk.raw_bytes) {
      return bad("a chunk that cannot be decompressed");
    }
    block_ = std::move(block);
    chunk_ = chunk;
    in_chunk_ = 0;
    raw_end_ += chunk.raw_bytes;
    offset_ += kChunkHeaderBytes + chunk.compressed_bytes;
    ++chunks_;
    return Outcome::frame;
  }

  Result<Outcome> check_end(const SealedEnd& end) {
    const auto size = file_->size();
    if (!size) return size.error();
    if (end.chunks != chunks_ || end.records != records_ || end.raw_bytes != raw_end_ ||
        end.last_sequence + 1 != next_sequence_ || end.file_bytes != offset_ ||
        *size != offset_ + kSealedEndBytes) {
      return bad("an end mark that does not agree with what is before it");
    }
    ended_ = true;
    return Outcome::end;
  }

  std::shared_ptr<Block> block_;
  ChunkHeader chunk_;
  std::size_t in_chunk_ = 0;
  std::uint64_t raw_end_ = kSegmentHeaderBytes;
  std::uint64_t records_ = 0;
  std::uint32_t chunks_ = 0;
  bool ended_ = false;
};

}  // namespace

Result<std::unique_ptr<SegmentReader>> open_segment(FileSystem& files, const std::string& directory,
                                                    std::uint64_t number, SegmentForm form) {
  return open_segment_file(files, directory,
                           form == SegmentForm::raw ? raw_name(number) : sealed_name(number),
                           number, form);
}

Result<std::unique_ptr<SegmentReader>> open_segment_file(FileSystem& files,
                                                         const std::string& directory,
                                                         const std::string& name,
                                                         std::uint64_t number, SegmentForm form) {
  auto file = files.open_for_reading(directory + "/" + name);
  if (!file) return file.error();
  const auto header = read_segment_header(**file, name, number, form);
  if (!header) return header.error();
  std::unique_ptr<SegmentReader> reader;
  if (form == SegmentForm::raw) {
    reader = std::make_unique<RawReader>(std::move(*file), name, *header);
  } else {
    reader = std::make_unique<SealedReader>(std::move(*file), name, *header);
  }
  return reader;
}

}  // namespace streamobs::wal

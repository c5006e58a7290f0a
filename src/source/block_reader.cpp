#include "source/block_reader.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/hash.h"

namespace streamobs::source {
namespace {
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
/// So much of a compressed file is passed over before its reader looks whether to stop.
constexpr std::uint64_t kSkipBytesAtOnce = 64 << 20;
}  // namespace

std::uint64_t digest_of_head(std::string_view head) {
  const std::uint64_t digest = hash_bytes(head);
  return digest != 0 ? digest : 1;  // 0 stands for "not known".
}

BlockReader::BlockReader(std::unique_ptr<ByteStream> stream, const BlockReaderOptions& options,
                         BufferPool& pool, ReaderStart start)
    : stream_(std::move(stream)),
      options_(options),
      pool_(pool),
      cutter_(options.format),
      buffer_(pool.take()),
      offset_(start.offset),
      lines_(start.lines),
      header_(std::move(start.header)),
      to_skip_(start.offset),
      head_(std::move(start.head)),
      at_start_(start.offset == 0) {}

Result<BlockReader::Status> BlockReader::next(CutBlock& out) {
  const bool wants_header = options_.format == Format::csv;
  if (to_skip_ != 0) {
    const Result<> passed = catch_up();
    if (!passed) return passed.error();
    if (to_skip_ != 0) return Status::idle;
  }
  while (true) {
    if (oversized_ && !skipping_) {
      out = std::move(*oversized_);
      out.resume = place();
      oversized_.reset();
      return Status::block;
    }
    if (!skipping_ && filled_ >= options_.block_bytes && cutter_.last_end() != 0 &&
        (!wants_header || header_)) {
      emit(cutter_.last_end(), out);
      return Status::block;
    }
    if (!skipping_ && filled_ > options_.event_bytes_max && cutter_.last_end() == 0) {
      if (wants_header && !header_) {
        const Result<> fits = check_header_size();
        if (!fits) return fits.error();
      }
      hold_oversized();
    }
    const Result<ByteStream::Read> read = fill();
    if (!read) return read.error();
    if (read->bytes != 0) {
      if (skipping_) skip_oversized();
      if (wants_header && !header_) take_header(false);
      continue;
    }
    const bool complete = read->at_end && !options_.growing;
    if (complete && oversized_) {
      skipping_ = false;  // The input's end is the event's.
      continue;
    }
    if (complete && wants_header && !header_) take_header(true);
    const std::size_t ready = complete ? filled_ : cutter_.last_end();
    if (ready != 0 && (!wants_header || header_)) {
      emit(ready, out);
      return Status::block;
    }
    return complete ? Status::end : Status::idle;
  }
}

/// Passes over some of what an earlier process has read.
Result<> BlockReader::catch_up() {
  const Result<std::uint64_t> skipped = stream_->skip(std::min(to_skip_, kSkipBytesAtOnce));
  if (!skipped) return skipped.error();
  if (*skipped == 0) {
    return fail(ErrorCode::corrupt,
                fmt::format("the file ends {} bytes before byte {}, up to which it was read once",
                            to_skip_, offset_));
  }
  to_skip_ -= *skipped;
  return {};
}

Result<> BlockReader::check_header_size() const {
  if (filled_ <= options_.event_bytes_max) return {};
  return fail(ErrorCode::too_large,
              fmt::format("the CSV header is longer than {} bytes: is this a CSV file?",
                          options_.event_bytes_max));
}

Result<std::shared_ptr<const std::string>> BlockReader::read_header() {
  while (!header_) {
    const Result<ByteStream::Read> read = fill();
    if (!read) return read.error();
    if (!take_header(read->at_end) && read->at_end) break;
    const Result<> fits = check_header_size();
    if (!header_ && !fits) return fits.error();
  }
  return header_;
}

/// Reads once behind what is there, and looks for ends of events in it.
Result<ByteStream::Read> BlockReader::fill() {
  // A block is filled up to block_bytes; only an event longer than that makes the buffer grow.
  std::size_t room = options_.block_bytes;
  if (filled_ >= room)
    room = std::max(filled_ + 1, std::min(2 * filled_, options_.event_bytes_max + 1));
  buffer_->resize(room);
  // What is complete shall not wait for what a slow pipe brings next.
  const bool may_wait = cutter_.last_end() == 0;
  const Result<ByteStream::Read> read =
      stream_->read(buffer_->data() + filled_, room - filled_, may_wait);
  if (!read) return read;
  note_head(read->bytes);
  filled_ += read->bytes;
  // What marks a file as UTF-8 on other systems is no part of its first event.
  if (at_start_ && (filled_ >= kByteOrderMark.size() || read->at_end)) {
    at_start_ = false;
    const std::string_view start(buffer_->data(), filled_);
    if (start.starts_with(kByteOrderMark)) {
      filled_ -= kByteOrderMark.size();
      std::memmove(buffer_->data(), buffer_->data() + kByteOrderMark.size(), filled_);
      offset_ += kByteOrderMark.size();
    }
  }
  if (!at_start_) cutter_.scan(buffer_->data(), filled_);
  return read;
}

/// Keeps the first of the bytes just read behind filled_, where they are the stream's first.
void BlockReader::note_head(std::size_t bytes) {
  if (head_.size() >= ResumePoint::kHeadBytes) return;
  head_.append(buffer_->data() + filled_, std::min(bytes, ResumePoint::kHeadBytes - head_.size()));
}

/// Where buffer_[0] stands.
ResumePoint BlockReader::place() {
  ResumePoint point;
  point.offset = offset_;
  point.lines = lines_;
  if (offset_ < ResumePoint::kHeadBytes) {
    point.head_digest = digest_of_head(std::string_view(head_).substr(0, offset_));
  } else {
    if (head_digest_ == 0) head_digest_ = digest_of_head(head_);
    point.head_digest = head_digest_;
  }
  return point;
}

/// The first record becomes the header. `at_end`: even without a newline.
bool BlockReader::take_header(bool at_end) {
  std::size_t end = cutter_.first_end();
  if (end == 0 && at_end) end = filled_;
  if (end == 0) return false;
  std::string_view line(buffer_->data(), end);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  header_ = std::make_shared<const std::string>(line);
  drop_front(end);
  return true;
}

void BlockReader::drop_front(std::size_t bytes) {
  if (bytes == 0) return;
  char* data = buffer_->data();
  lines_ += static_cast<std::uint64_t>(std::count(data, data + bytes, '\n'));
  offset_ += bytes;
  cutter_.rebase(bytes, data[bytes - 1]);
  filled_ -= bytes;
  std::memmove(data, data + bytes, filled_);
}

/// Drops the rest of an oversized event as it comes.
void BlockReader::skip_oversized() {
  const std::size_t end = cutter_.first_end();
  const std::size_t bytes = end != 0 ? end : filled_;
  dropped_bytes_ += bytes;
  drop_front(bytes);
  skipping_ = end == 0;
}

void BlockReader::emit(std::size_t bytes, CutBlock& out) {
  const std::size_t rest = filled_ - bytes;
  std::shared_ptr<BlockBuffer> next = pool_.take();
  next->resize(rest);
  if (rest != 0) std::memcpy(next->data(), buffer_->data() + bytes, rest);
  out.oversized = false;
  out.header = header_;
  out.offset = offset_;
  out.first_line = lines_ + 1;
  const char* data = buffer_->data();
  lines_ += static_cast<std::uint64_t>(std::count(data, data + bytes, '\n'));
  offset_ += bytes;
  cutter_.rebase(bytes, data[bytes - 1]);
  buffer_->resize(bytes);
  out.bytes = std::exchange(buffer_, std::move(next));
  filled_ = rest;
  out.resume = place();
}

/// Sets the beginning of an oversized event aside until its end has been found.
void BlockReader::hold_oversized() {
  const std::size_t kept = options_.event_bytes_max + 1;
  const std::size_t more = filled_ - kept;
  emit(kept, oversized_.emplace());
  oversized_->oversized = true;
  // What was read beyond belongs to the same event, of which no end has been seen.
  skipping_ = true;
  dropped_bytes_ += more;
  if (more != 0) drop_front(more);
}

}  // namespace streamobs::source

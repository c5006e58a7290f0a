#include "wal/log_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "wal/segment_tail.h"

namespace streamobs::wal {

namespace {

/// How often to look again where a running engine seals or removes a segment just as we open it.
constexpr int kTries = 5;

}  // namespace

LogReader::LogReader(FileSystem& files, std::string directory, const LogReaderOptions& options)
    : files_(files), directory_(std::move(directory)), options_(options) {}

Result<std::unique_ptr<LogReader>> LogReader::open(FileSystem& files, std::string directory,
                                                   const LogReaderOptions& options) {
  std::unique_ptr<LogReader> reader(new LogReader(files, std::move(directory), options));
  if (auto begun = reader->begin(); !begun) return begun.error();
  return reader;
}

Result<> LogReader::begin() {
  auto segments = read_segments(files_, directory_, options_.expected_log_id);
  for (int i = 1;
       i < kTries && options_.live && !segments && segments.error().code == ErrorCode::unavailable;
       ++i) {
    segments = read_segments(files_, directory_, options_.expected_log_id);
  }
  if (!segments) return segments.error();
  segments_ = *std::move(segments);
  if (segments_.empty()) {
    return fail(ErrorCode::not_found, fmt::format("{} holds no log", directory_));
  }
  std::uint64_t& from = options_.from_sequence;
  if (from == 0) from = first_sequence();
  if (from < first_sequence()) {
    return fail(ErrorCode::corrupt,
                fmt::format("the log in {} begins with record {}, but records from {} on are "
                            "needed: put its older segments back, or start with an empty data "
                            "directory",
                            directory_, first_sequence(), from));
  }
  while (index_ + 1 < segments_.size() && segments_[index_ + 1].header.first_sequence <= from) {
    ++index_;
  }
  for (std::size_t i = index_; i < segments_.size(); ++i) {
    // One that goes away meanwhile is noticed when it is opened.
    if (auto bytes = files_.file_size(directory_ + "/" + name_of(segments_[i]))) {
      bytes_total_ += *bytes;
    }
  }
  return open_segment_here();
}

Result<> LogReader::open_segment_here() {
  const SegmentFile& segment = segments_[index_];
  for (int i = 0; i < kTries; ++i) {
    for (const SegmentForm form : {SegmentForm::sealed, SegmentForm::raw}) {
      auto reader = open_segment(files_, directory_, segment.number, form);
      if (!reader && reader.error().code == ErrorCode::not_found) continue;
      if (!reader) return reader.error();
      reader_ = *std::move(reader);
      form_ = form;
      return reader_->skip_to(options_.from_sequence);
    }
    // Neither: sealed between the two looks, or gone.
    if (!options_.live) break;
  }
  return fail(
      ErrorCode::unavailable,
      fmt::format("log segment {} went away while the log was read; try again", name_of(segment)));
}

Result<bool> LogReader::next(LogEntry& entry) {
  Frame frame;
  while (!ended_) {
    if (reader_->next_sequence() > options_.to_sequence) {
      ended_ = true;
      break;
    }
    const auto outcome = reader_->next(frame);
    if (!outcome) return outcome.error();
    if (*outcome != SegmentReader::Outcome::frame) {
      if (auto on = go_on(); !on) return on.error();
      continue;
    }
    looked_again_ = false;
    if (frame.header.sequence < options_.from_sequence) continue;
    entry.type = frame.header.type;
    entry.sequence = frame.header.sequence;
    entry.payload = frame.payload;
    entry.keep = std::move(frame.keep);
    entry.segment = reader_->header().number;
    entry.offset = frame.offset;
    return true;
  }
  return false;
}

/// Where a segment gave no further frame: the next segment, the end, or damage.
Result<> LogReader::go_on() {
  if (index_ + 1 < segments_.size()) return go_to_next_segment();
  if (options_.live) {
    const auto newer = look_for_newer();
    if (!newer) return newer.error();
    // More may have been written to this one before that: read on here first.
    if (*newer) return {};
  }
  return end_here();
}

Result<> LogReader::go_to_next_segment() {
  const SegmentFile& next = segments_[index_ + 1];
  const std::uint64_t missing = reader_->next_sequence();
  const std::uint64_t first = next.header.first_sequence;
  const bool sealed_badly = form_ == SegmentForm::sealed && !reader_->problem().empty();
  if (first != missing || sealed_badly) {
    std::string problem = reader_->problem();
    if (problem.empty() && first > missing) {
      problem = fmt::format(
          "it ends there, and {} begins with record {}: records {} to {} are "
          "missing",
          name_of(next), first, missing, first - 1);
    } else if (problem.empty()) {
      problem =
          fmt::format("{} begins with record {}, which is already here", name_of(next), first);
    }
    return damage_at(reader_->name(), reader_->offset(), missing, problem);
  }
  bytes_before_ += reader_->offset();
  ++index_;
  return open_segment_here();
}

Result<> LogReader::end_here() {
  auto torn = judge_tail(*reader_, form_, options_.known_durable);
  if (!torn) {
    // Beside a writer it may have become a good record since we looked; one look settles that, for
    // what a witness calls durable has been written completely.
    if (!options_.live || looked_again_) return torn.error();
    looked_again_ = true;
    return {};
  }
  if (!options_.live) torn_ = *std::move(torn);
  ended_ = true;
  return {};
}

/// Whether segments were begun behind the last one we knew.
Result<bool> LogReader::look_for_newer() {
  auto listed = read_segments(files_, directory_, log_id());
  if (!listed) return listed.error();
  const std::uint64_t last = segments_.back().number;
  bool newer = false;
  for (const SegmentFile& segment : *listed) {
    if (segment.number <= last) continue;
    if (!newer && segment.header.first_sequence > reader_->next_sequence() &&
        listed->front().number == segment.number) {
      return fail(ErrorCode::unavailable,
                  fmt::format("the log was trimmed up to record {} while record {} was read; try "
                              "again",
                              segment.header.first_sequence - 1, reader_->next_sequence()));
    }
    segments_.push_back(segment);
    newer = true;
  }
  return newer;
}

std::uint64_t LogReader::next_sequence() const {
  return std::max(reader_->next_sequence(), options_.from_sequence);
}

std::uint64_t LogReader::bytes_read() const {
  return ended_ ? bytes_total_ : std::min(bytes_total_, bytes_before_ + reader_->offset());
}

}  // namespace streamobs::wal

#include "wal/log_recovery.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "wal/segment_reader.h"
#include "wal/segment_tail.h"

namespace streamobs::wal {

namespace {

/// Where the frames begin that nobody knows to be durable. Goes along while frames are read.
class Undecided {
 public:
  void add(const Frame& frame) {
    frames_.push_back({frame.header.sequence, frame.offset});
    durable_ = std::max(durable_, frame.header.durable_sequence);
    while (!frames_.empty() && frames_.front().sequence <= durable_) frames_.pop_front();
  }
  /// `end` if there is none.
  std::uint64_t offset(std::uint64_t end) const {
    return frames_.empty() ? end : frames_.front().offset;
  }

 private:
  struct Place {
    std::uint64_t sequence = 0;
    std::uint64_t offset = 0;
  };
  std::deque<Place> frames_;  ///< One group's frames, as a rule.
  std::uint64_t durable_ = 0;
};

/// Writes bytes of the segment over themselves: the page cache may call bytes clean that an earlier
/// sync failed to bring to the disk.
Result<> rewrite(File& file, std::uint64_t from, std::uint64_t end) {
  if (auto written = copy_bytes(file, from, end - from, file, from); !written) return written;
  if (auto cut = file.truncate(end); !cut) return cut;
  return file.sync_data();
}

/// The last segment, read to its end.
struct TailRead {
  std::unique_ptr<SegmentReader> reader;
  std::uint64_t undecided_from = 0;  ///< Offset.
  std::optional<TornTail> torn;
};

SegmentForm form_of(const SegmentFile& segment) {
  return segment.sealed ? SegmentForm::sealed : SegmentForm::raw;
}

Result<TailRead> read_tail(FileSystem& files, const std::string& directory, const SegmentFile& last,
                           std::uint64_t known_durable) {
  auto reader = open_segment(files, directory, last.number, form_of(last));
  if (!reader) return reader.error();
  Undecided undecided;
  for (Frame frame;;) {
    const auto outcome = (*reader)->next(frame);
    if (!outcome) return outcome.error();
    if (*outcome != SegmentReader::Outcome::frame) break;
    undecided.add(frame);
  }
  auto torn = judge_tail(**reader, form_of(last), known_durable);
  if (!torn) return torn.error();
  TailRead read;
  read.reader = *std::move(reader);
  read.undecided_from = undecided.offset(read.reader->offset());
  read.torn = *std::move(torn);
  return read;
}

}  // namespace

Result<RecoveredTail> look_at_tail(FileSystem& files, const std::string& directory,
                                   const SegmentFile& last, std::uint64_t known_durable) {
  auto read = read_tail(files, directory, last, known_durable);
  if (!read) return read.error();
  RecoveredTail tail;
  tail.next_sequence = read->reader->next_sequence();
  tail.torn = std::move(read->torn);
  return tail;
}

Result<RecoveredTail> recover_tail(FileSystem& files, const std::string& directory,
                                   const SegmentFile& last, std::uint64_t known_durable) {
  auto read = read_tail(files, directory, last, known_durable);
  if (!read) return read.error();
  RecoveredTail tail;
  tail.next_sequence = read->reader->next_sequence();
  tail.torn = std::move(read->torn);
  if (form_of(last) == SegmentForm::raw) {
    const std::uint64_t end = read->reader->offset();
    const std::uint64_t from = read->undecided_from;
    if (tail.torn) {
      auto saved = save_torn(files, directory, last.number, read->reader->file(), *tail.torn);
      if (!saved) return saved.error();
    }
    auto file = files.open_for_writing(directory + "/" + raw_name(last.number));
    if (!file) return file.error();
    if (auto written = rewrite(**file, from, end); !written) return written.error();
    tail.rewritten_bytes = end - from;
  }
  // The segment's name is durable: no record went into it before it was.
  return tail;
}

Result<> remove_unfinished(FileSystem& files, const std::string& directory) {
  const auto names = files.list(directory);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (!name.ends_with(".tmp")) continue;
    if (auto removed = files.remove(directory + "/" + name); !removed) return removed;
  }
  return {};
}

Result<> remove_empty(FileSystem& files, const std::string& directory,
                      std::vector<SegmentFile>& segments) {
  for (std::size_t i = 0; i + 1 < segments.size();) {
    if (segments[i].header.first_sequence < segments[i + 1].header.first_sequence) {
      ++i;
      continue;
    }
    if (auto removed = remove_segment(files, directory, segments[i]); !removed) return removed;
    segments.erase(segments.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return {};
}

Result<> remove_segment(FileSystem& files, const std::string& directory,
                        const SegmentFile& segment) {
  for (const std::string& name : {raw_name(segment.number), sealed_name(segment.number)}) {
    auto removed = files.remove(directory + "/" + name);
    if (!removed && removed.error().code != ErrorCode::not_found) return removed;
  }
  return files.sync_directory(directory);
}

}  // namespace streamobs::wal

// Reads the frames of one segment, raw or sealed, one behind the other.
//
// One thread. Knows nothing of other segments: it checks that each frame is good and that sequence
// numbers go on, and says where it had to stop; whoever asks decides what that means.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/result.h"
#include "wal/format.h"
#include "wal/segment_files.h"

namespace streamobs::wal {

struct Frame {
  FrameHeader header;
  std::string_view payload;
  std::string_view bytes;            ///< The whole frame: header, payload, padding.
  std::uint64_t offset = 0;          ///< In the raw segment.
  std::shared_ptr<const void> keep;  ///< Owns what the views refer to.
};

class SegmentReader {
 public:
  enum class Outcome : std::uint8_t {
    frame,  ///< Here is one.
    end,    ///< Nothing but zeros where a frame header would be, or the file or end mark.
    bad,    ///< Something else; problem() says what.
  };

  virtual ~SegmentReader() = default;

  /// The next frame. An error is one of the file system; damage is an outcome.
  virtual Result<Outcome> next(Frame& frame) = 0;
  /// Goes to the chunk that holds `sequence`, if that saves reading. Before the first next() only.
  virtual Result<> skip_to(std::uint64_t sequence) = 0;

  const SegmentHeader& header() const { return header_; }
  File& file() { return *file_; }
  /// File name and place of what is read next; of a sealed segment the place is in the file, too.
  const std::string& name() const { return name_; }
  std::uint64_t offset() const { return offset_; }
  /// The sequence number that has to come next.
  std::uint64_t next_sequence() const { return next_sequence_; }
  const std::string& problem() const { return problem_; }

 protected:
  SegmentReader(std::unique_ptr<File> file, std::string name, const SegmentHeader& header)
      : file_(std::move(file)),
        name_(std::move(name)),
        header_(header),
        next_sequence_(header.first_sequence) {}

  std::unique_ptr<File> file_;
  std::string name_;
  SegmentHeader header_;
  std::uint64_t offset_ = kSegmentHeaderBytes;
  std::uint64_t next_sequence_;
  std::string problem_;
};

/// `not_found` if that file is not there (any more); `corrupt` if its header is damaged.
Result<std::unique_ptr<SegmentReader>> open_segment(FileSystem& files, const std::string& directory,
                                                    std::uint64_t number, SegmentForm form);

/// The same for a file that does not have its final name yet.
Result<std::unique_ptr<SegmentReader>> open_segment_file(FileSystem& files,
                                                         const std::string& directory,
                                                         const std::string& name,
                                                         std::uint64_t number, SegmentForm form);

}  // namespace streamobs::wal

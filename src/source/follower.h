// Follows files as they grow, through rotation (rename and create) and truncation.
//
// A rotated file is read to its end first: only when a whole round has brought nothing new from it
// is the file that took its name opened. A file cut short is read again from its start, and the log
// says so; if it has grown beyond the old position by the next look, that cannot be seen. Files
// that begin to match a pattern later join in. A file is known by device and inode, so that a
// renamed one that still matches is not read twice; for the same reason a .gz that appears later is
// taken for the archive of something already read, and left alone.
//
// Synchronous and without a clock: next() does as much as there is to do, and its caller pauses
// when it is idle. What an earlier process has read is passed over: see resume_places.h. One per
// source.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/block_reader.h"
#include "source/resume_places.h"

namespace streamobs::source {

class Follower {
 public:
  /// More files than this at a time are not followed; the log says so.
  static constexpr std::size_t kFilesMax = 256;

  Follower(std::vector<std::string> patterns, BlockReaderOptions options, BufferPool& pool,
           std::vector<ResumePoint> places = {});
  ~Follower();

  /// `block`, or `idle` when a round over all files has found nothing new. Never `end`: files that
  /// are missing or cannot be read are waited for, said once each in the log.
  BlockReader::Status next(CutBlock& out);

  /// The file of the last block.
  const std::string& path() const { return path_; }
  std::uint64_t bytes_read() const { return bytes_read_; }
  std::size_t files_open() const;

 private:
  struct File;

  File* find(const std::string& path);
  void take_up_renamed();
  void look_for_files();
  void look_for(const std::string& path, bool from_pattern);
  void open(File& file);
  bool read(File& file, CutBlock& out);
  void look_at_end(File& file);
  void finish(File& file);
  void close(File& file);
  bool is_open_elsewhere(const FileIdentity& identity) const;

  std::vector<std::string> patterns_;
  BlockReaderOptions options_;
  BufferPool& pool_;
  ResumePlaces places_;
  std::vector<std::unique_ptr<File>> files_;  ///< In reading order: as named, then as they came.
  std::set<FileIdentity> done_;  ///< Read to their end and closed, and still matched by a pattern.
  std::string path_;
  std::size_t current_ = 0;  ///< Index of the file being read: on to its end before the next one.
  std::uint64_t bytes_read_ = 0;
  bool first_look_ = true;
  bool said_too_many_ = false;
};

}  // namespace streamobs::source

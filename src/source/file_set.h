// The files a source names, read one after another, each once to its end; what an earlier process
// has read of them is passed over.
//
// Synchronous; the shell calls it on the blocking pool. Lives as long as its source.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/block_reader.h"
#include "source/resume_places.h"

namespace streamobs::source {

/// The files that match: patterns in their order, the matches of one (`*`, `?`, `[…]` within one
/// folder) sorted by name. A file that several patterns match comes once. A plain path is not
/// looked at. A pattern without any match is left out and added to `unmatched`.
std::vector<std::string> expand_paths(const std::vector<std::string>& patterns,
                                      std::vector<std::string>& unmatched);
/// The matches of one pattern, sorted.
std::vector<std::string> matches_of(const std::string& pattern);
bool has_wildcard(const std::string& path);

class FileSet {
 public:
  /// More files are refused: their places could not all be remembered.
  static constexpr std::size_t kFilesMax = ResumeState::kPlacesMax;

  FileSet(std::vector<std::string> patterns, const BlockReaderOptions& options, BufferPool& pool,
          std::vector<ResumePoint> places = {})
      : patterns_(std::move(patterns)),
        options_(options),
        pool_(pool),
        places_(std::move(places)) {}

  /// Finds the files and looks at each, so that a missing one is said before anything is read. A
  /// pattern without a match is an error only if no other has one, and a missing file only if
  /// nothing was ever read of it.
  Result<> open();

  /// As BlockReader::next(), over all files. Errors name the file.
  Result<BlockReader::Status> next(CutBlock& out);

  /// The file of the last block.
  const std::string& path() const { return paths_[current_]; }
  std::uint64_t bytes_read() const;
  std::uint64_t bytes_total() const { return bytes_total_; }  ///< As of open(), compressed.
  std::size_t files_done() const { return current_; }
  std::size_t files_total() const { return paths_.size(); }

 private:
  Result<> find_files();
  Result<bool> look_at(const std::string& path);

  std::vector<std::string> patterns_;
  BlockReaderOptions options_;
  BufferPool& pool_;
  ResumePlaces places_;
  std::vector<std::string> paths_;
  std::size_t current_ = 0;
  std::unique_ptr<BlockReader> reader_;
  FileFacts facts_;  ///< Of the file that reader_ reads.
  std::uint64_t bytes_done_ = 0;
  std::uint64_t bytes_total_ = 0;
};

}  // namespace streamobs::source

// The files a source names, read one after another, each once to its end.
//
// Synchronous; the shell calls it on the blocking pool. Lives as long as its source.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/block_reader.h"

namespace streamobs::source {

/// The files that match: patterns in their order, the matches of one (`*`, `?`, `[…]` within one
/// folder) sorted by name. A file that several patterns match comes once. `not_found` for a pattern
/// without any match; a plain path is not looked at.
Result<std::vector<std::string>> expand_paths(const std::vector<std::string>& patterns);
bool has_wildcard(const std::string& path);

class FileSet {
 public:
  FileSet(std::vector<std::string> patterns, const BlockReaderOptions& options, BufferPool& pool)
      : patterns_(std::move(patterns)), options_(options), pool_(pool) {}

  /// Finds the files and looks at each, so that a missing one is said before anything is read.
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
  std::vector<std::string> patterns_;
  BlockReaderOptions options_;
  BufferPool& pool_;
  std::vector<std::string> paths_;
  std::size_t current_ = 0;
  std::unique_ptr<BlockReader> reader_;
  std::uint64_t bytes_done_ = 0;
  std::uint64_t bytes_total_ = 0;
};

}  // namespace streamobs::source

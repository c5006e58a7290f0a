// Finds the files again that an earlier process was reading, and opens each where it was left.
//
// A file is known by device and inode, whatever it is called by now, and by its first bytes: inodes
// are used again, and a file can be cut short and written anew. So a place counts only where the
// file still begins as it did then and is long enough; otherwise the file is read from its start,
// and the log says so. A file that was compressed meanwhile is known by its first bytes alone.
//
// Synchronous; belongs to a FileSet or a Follower, which opens its files here. A place is used
// once: what is opened again later (after a truncation) begins at its start.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "event/resume_state.h"
#include "source/block_reader.h"

namespace streamobs::source {

/// A file that is open for reading, from its start or from a place.
struct OpenFile {
  std::unique_ptr<BlockReader> reader;
  FileFacts facts;  ///< As of opening.
  int fd = -1;      ///< The reader's.
};

/// Says which file a place is in. A pipe cannot be gone back to: its places stay without a name.
void name_place(ResumePoint& place, const std::string& path, const FileFacts& facts);

class ResumePlaces {
 public:
  /// Of the files in one folder so many are looked at when a lost one is searched for.
  static constexpr std::size_t kSearchedMax = 10'000;

  explicit ResumePlaces(std::vector<ResumePoint> places) : places_(std::move(places)) {}

  /// There is none, or none that has not been used.
  bool empty() const { return places_.empty(); }

  /// Opens `path` at its place, or at its start. Errors name the path.
  Result<OpenFile> open(const std::string& path, const BlockReaderOptions& options,
                        BufferPool& pool);

  /// Files besides `paths` that were being read and have more to read, under the names they bear
  /// now (after a rotation): to be read first.
  std::vector<std::string> renamed(const std::vector<std::string>& paths) const;

  /// The place that was reached in a file of this name, whatever has become of it; null: none.
  const ResumePoint* last_of(const std::string& path) const;

 private:
  std::vector<ResumePoint>::const_iterator find(const std::string& path,
                                                const FileFacts& facts) const;
  std::optional<ResumePoint> take(const std::string& path, const FileHandle& file,
                                  const FileFacts& facts);
  void search(const std::string& folder, const std::vector<const ResumePoint*>& lost,
              const std::unordered_set<std::string>& known, std::vector<std::string>& found) const;
  std::vector<ResumePoint>::const_iterator find_content(const std::string& path,
                                                        const FileHandle& file) const;

  std::vector<ResumePoint> places_;
};

}  // namespace streamobs::source

#include "source/file_set.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <glob.h>
#include <sys/stat.h>
#include <unordered_set>

#include <fmt/format.h>

namespace streamobs::source {

bool has_wildcard(const std::string& path) {
  return path.find_first_of("*?[") != std::string::npos;
}

Result<std::vector<std::string>> expand_paths(const std::vector<std::string>& patterns) {
  std::vector<std::string> paths;
  std::unordered_set<std::string> seen;
  for (const std::string& pattern : patterns) {
    std::vector<std::string> matches;
    if (has_wildcard(pattern)) {
      glob_t found{};
      const int status = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
      if (status == 0) matches.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
      ::globfree(&found);
      // A file may bear a wildcard in its very name.
      struct stat ignored{};
      if (matches.empty() && ::stat(pattern.c_str(), &ignored) == 0) matches.push_back(pattern);
      if (matches.empty()) {
        return fail(ErrorCode::not_found, fmt::format("no file matches {}", pattern));
      }
      std::sort(matches.begin(), matches.end());
    } else {
      matches.push_back(pattern);
    }
    for (std::string& match : matches) {
      if (seen.insert(match).second) paths.push_back(std::move(match));
    }
  }
  return paths;
}

Result<> FileSet::open() {
  Result<std::vector<std::string>> paths = expand_paths(patterns_);
  if (!paths) return paths.error();
  paths_ = std::move(*paths);
  if (paths_.empty()) return fail(ErrorCode::invalid, "the source names no file");
  for (const std::string& path : paths_) {
    // Not by opening: that would take the place of a pipe's one reader.
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
      const ErrorCode code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::io;
      return fail(code, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    }
    if (S_ISDIR(status.st_mode)) {
      return fail(ErrorCode::invalid,
                  fmt::format("{} is a directory; name its files, as in {}/*.ndjson", path, path));
    }
    if (S_ISREG(status.st_mode)) bytes_total_ += static_cast<std::uint64_t>(status.st_size);
  }
  return {};
}

Result<BlockReader::Status> FileSet::next(CutBlock& out) {
  while (current_ < paths_.size()) {
    if (!reader_) {
      Result<std::unique_ptr<ByteStream>> stream = open_stream(paths_[current_]);
      if (!stream) return stream.error();
      reader_ = std::make_unique<BlockReader>(std::move(*stream), options_, pool_);
    }
    const Result<BlockReader::Status> status = reader_->next(out);
    if (!status) {
      // The streams name their file themselves; what the cutter complains about does not.
      Error error = status.error();
      if (error.message.find(paths_[current_]) == std::string::npos) {
        error.message = paths_[current_] + ": " + error.message;
      }
      return error;
    }
    if (*status != BlockReader::Status::end) return status;
    bytes_done_ += reader_->stream().raw_bytes();
    reader_.reset();
    ++current_;
  }
  return BlockReader::Status::end;
}

std::uint64_t FileSet::bytes_read() const {
  return bytes_done_ + (reader_ ? reader_->stream().raw_bytes() : 0);
}

}  // namespace streamobs::source

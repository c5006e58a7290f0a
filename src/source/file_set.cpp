#include "source/file_set.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <glob.h>
#include <sys/stat.h>
#include <unordered_set>

#include <fmt/format.h>

#include "base/log.h"

namespace streamobs::source {

bool has_wildcard(const std::string& path) {
  return path.find_first_of("*?[") != std::string::npos;
}

std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> matches;
  if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    matches.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  ::globfree(&found);
  // A file may bear a wildcard in its very name.
  struct stat ignored{};
  if (matches.empty() && ::stat(pattern.c_str(), &ignored) == 0) matches.push_back(pattern);
  std::sort(matches.begin(), matches.end());
  return matches;
}

std::vector<std::string> expand_paths(const std::vector<std::string>& patterns,
                                      std::vector<std::string>& unmatched) {
  std::vector<std::string> paths;
  std::unordered_set<std::string> seen;
  for (const std::string& pattern : patterns) {
    std::vector<std::string> matches = {pattern};
    if (has_wildcard(pattern)) matches = matches_of(pattern);
    if (matches.empty()) unmatched.push_back(pattern);
    for (std::string& match : matches) {
      if (seen.insert(match).second) paths.push_back(std::move(match));
    }
  }
  return paths;
}

/// Fills paths_: what was being read and bears another name now, then what the patterns say.
Result<> FileSet::find_files() {
  std::vector<std::string> unmatched;
  const std::vector<std::string> named = expand_paths(patterns_, unmatched);
  if (!places_.empty()) paths_ = places_.renamed(named);
  paths_.insert(paths_.end(), named.begin(), named.end());
  if (paths_.empty()) {
    if (unmatched.empty()) return fail(ErrorCode::invalid, "the source names no file");
    return fail(ErrorCode::not_found, fmt::format("no file matches {}", unmatched.front()));
  }
  for (const std::string& pattern : unmatched) {
    log::warn("no file matches a pattern; reading the others", {{"pattern", pattern}});
  }
  if (paths_.size() > kFilesMax) {
    return fail(ErrorCode::too_large,
                fmt::format("{} files for one source are more than the {} whose places can be "
                            "remembered; spread them over several sources",
                            paths_.size(), kFilesMax));
  }
  return {};
}

/// False: the file has gone, and is left out.
Result<bool> FileSet::look_at(const std::string& path) {
  // Not by opening: that would take the place of a pipe's one reader.
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    const int error = errno;
    if (const ResumePoint* place = places_.last_of(path); place != nullptr && error == ENOENT) {
      log::warn("a file that was being read has gone; what it had more is not read",
                {{"file", path}, {"bytes_read", place->offset}});
      return false;
    }
    const ErrorCode code = error == ENOENT ? ErrorCode::not_found : ErrorCode::io;
    return fail(code, fmt::format("cannot open {}: {}", path, std::strerror(error)));
  }
  if (S_ISDIR(status.st_mode)) {
    return fail(ErrorCode::invalid,
                fmt::format("{} is a directory; name its files, as in {}/*.ndjson", path, path));
  }
  if (S_ISREG(status.st_mode)) bytes_total_ += static_cast<std::uint64_t>(status.st_size);
  return true;
}

Result<> FileSet::open() {
  const Result<> found = find_files();
  if (!found) return found;
  std::vector<std::string> there;
  for (std::string& path : paths_) {
    const Result<bool> is_there = look_at(path);
    if (!is_there) return is_there.error();
    if (*is_there) there.push_back(std::move(path));
  }
  paths_ = std::move(there);
  return {};
}

Result<BlockReader::Status> FileSet::next(CutBlock& out) {
  while (current_ < paths_.size()) {
    if (!reader_) {
      Result<OpenFile> opened = places_.open(paths_[current_], options_, pool_);
      if (!opened) return opened.error();
      reader_ = std::move(opened->reader);
      facts_ = opened->facts;
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
    if (*status == BlockReader::Status::block) name_place(out.resume, paths_[current_], facts_);
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

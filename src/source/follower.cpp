#include "source/follower.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <glob.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "base/log.h"
#include "source/file_set.h"

namespace streamobs::source {
namespace {

struct Seen {
  FileIdentity identity;
  std::uint64_t size = 0;
  bool unlinked = false;
  bool regular = true;
};

Seen seen_of(const struct stat& status) {
  return {{status.st_dev, status.st_ino},
          static_cast<std::uint64_t>(status.st_size),
          status.st_nlink == 0,
          S_ISREG(status.st_mode)};
}

std::optional<Seen> look(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return seen_of(status);
}

std::optional<Seen> look(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::nullopt;
  return seen_of(status);
}

std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> matches;
  if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    matches.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  ::globfree(&found);
  std::sort(matches.begin(), matches.end());
  return matches;
}

}  // namespace

struct Follower::File {
  std::string path;
  bool from_pattern = false;
  std::unique_ptr<BlockReader> reader;  ///< Null while the file is not there or cannot be read.
  int fd = -1;                          ///< The reader's; -1 for gzip, which does not grow.
  FileIdentity identity;
  bool replaced = false;  ///< Its name is another file's now (or nobody's); one more round for it.
  bool said_missing = false;
  std::string said_error;
};

Follower::Follower(std::vector<std::string> patterns, BlockReaderOptions options, BufferPool& pool)
    : patterns_(std::move(patterns)), options_(options), pool_(pool) {}

Follower::~Follower() = default;

std::size_t Follower::files_open() const {
  const auto is_open = [](const auto& file) { return file->reader != nullptr; };
  return static_cast<std::size_t>(std::count_if(files_.begin(), files_.end(), is_open));
}

BlockReader::Status Follower::next(CutBlock& out) {
  // First the files known, from where the last block came from; then news of the directory. What a
  // look at the directory has opened is read at once, so that idle means idle.
  for (int round = 0; round < 2; ++round) {
    if (round != 0 || first_look_) look_for_files();
    for (std::size_t i = 0; i < files_.size(); ++i, ++current_) {
      if (current_ >= files_.size()) current_ = 0;
      File& file = *files_[current_];
      if (file.reader != nullptr && read(file, out)) {
        path_ = file.path;
        return BlockReader::Status::block;
      }
    }
  }
  for (const std::unique_ptr<File>& file : files_) {
    if (file->reader != nullptr) look_at_end(*file);
  }
  return BlockReader::Status::idle;
}

Follower::File* Follower::find(const std::string& path) {
  const auto has_path = [&](const auto& file) { return file->path == path; };
  const auto at = std::find_if(files_.begin(), files_.end(), has_path);
  return at == files_.end() ? nullptr : at->get();
}

void Follower::look_for_files() {
  std::set<FileIdentity> matched;
  for (const std::string& pattern : patterns_) {
    const bool is_pattern = has_wildcard(pattern);
    const std::vector<std::string> paths =
        is_pattern ? matches_of(pattern) : std::vector<std::string>{pattern};
    for (const std::string& path : paths) {
      if (const std::optional<Seen> seen = look(path)) matched.insert(seen->identity);
      look_for(path, is_pattern);
    }
  }
  std::erase_if(done_, [&](const FileIdentity& identity) { return !matched.contains(identity); });
  std::erase_if(files_, [](const auto& file) {
    return file->from_pattern && file->reader == nullptr && !look(file->path);
  });
  first_look_ = false;
}

void Follower::look_for(const std::string& path, bool from_pattern) {
  if (File* known = find(path)) {
    if (known->reader == nullptr) open(*known);
    return;
  }
  if (files_.size() >= kFilesMax) {
    if (!std::exchange(said_too_many_, true)) {
      log::warn("too many files to follow; the rest is left alone", {{"limit", kFilesMax}});
    }
    return;
  }
  if (from_pattern && !first_look_) {
    const std::optional<Seen> seen = look(path);
    if (!seen || done_.contains(seen->identity) || is_open_elsewhere(seen->identity)) return;
    if (path.ends_with(".gz")) {
      log::info("a compressed file that appeared later is not followed", {{"file", path}});
      done_.insert(seen->identity);
      return;
    }
  }
  auto file = std::make_unique<File>();
  file->path = path;
  file->from_pattern = from_pattern;
  open(*file);
  files_.push_back(std::move(file));
}

bool Follower::is_open_elsewhere(const FileIdentity& identity) const {
  return std::any_of(files_.begin(), files_.end(), [&](const auto& file) {
    return file->reader != nullptr && file->identity == identity;
  });
}

void Follower::open(File& file) {
  const std::optional<Seen> seen = look(file.path);
  if (!seen) {
    if (!std::exchange(file.said_missing, true)) {
      log::info("the file is not there yet; waiting for it", {{"file", file.path}});
    }
    return;
  }
  if (done_.contains(seen->identity) || is_open_elsewhere(seen->identity)) return;
  Result<FileHandle> handle = open_file(file.path);
  if (handle && !seen->regular) {
    handle = fail(ErrorCode::invalid, file.path + " is not a regular file");
  }
  if (!handle) {
    if (file.said_error != handle.error().message) {
      file.said_error = handle.error().message;
      log::warn("a followed file cannot be read; trying again", {{"error", file.said_error}});
    }
    return;
  }
  const std::optional<Seen> opened = look(handle->get());
  if (!opened) return;
  const bool is_gzip = file.path.ends_with(".gz");
  file.identity = opened->identity;
  file.fd = is_gzip ? -1 : handle->get();
  file.said_missing = false;
  file.said_error.clear();
  file.replaced = false;
  BlockReaderOptions options = options_;
  options.growing = !is_gzip;
  std::unique_ptr<ByteStream> stream = std::make_unique<FileStream>(std::move(*handle), file.path);
  if (is_gzip) stream = std::make_unique<GzipStream>(std::move(stream), file.path);
  file.reader = std::make_unique<BlockReader>(std::move(stream), options, pool_);
}

/// True when it has filled `out`.
bool Follower::read(File& file, CutBlock& out) {
  const std::uint64_t before = file.reader->stream().raw_bytes();
  const Result<BlockReader::Status> status = file.reader->next(out);
  bytes_read_ += file.reader->stream().raw_bytes() - before;
  if (!status) {
    log::error("reading a followed file failed; what follows in it is not read",
               {{"file", file.path}, {"error", status.error().message}});
    finish(file);
    return false;
  }
  if (*status == BlockReader::Status::end) finish(file);
  return *status == BlockReader::Status::block;
}

/// The reader has nothing more for now: has the file been cut short, or has its name gone over?
void Follower::look_at_end(File& file) {
  if (file.fd < 0) return;
  const std::optional<Seen> ours = look(file.fd);
  const std::optional<Seen> named = look(file.path);
  if (ours && ours->size < file.reader->stream().raw_bytes()) {
    log::warn("a followed file was truncated; reading it from its start",
              {{"file", file.path}, {"bytes_read", file.reader->stream().raw_bytes()}});
    close(file);
    open(file);
    return;
  }
  const bool has_successor = named && named->identity != file.identity;
  const bool is_gone = !named && ours && ours->unlinked;
  if (!has_successor && !is_gone) {
    file.replaced = false;
  } else if (!std::exchange(file.replaced, true)) {
    // Its writer may not have noticed yet: look once more before leaving it.
  } else {
    file.reader->input_is_complete();
    file.fd = -1;  // From now on it ends like a file that does not grow.
  }
}

void Follower::finish(File& file) {
  done_.insert(file.identity);
  close(file);
}

void Follower::close(File& file) {
  file.reader.reset();
  file.fd = -1;
}

}  // namespace streamobs::source

#include "source/follower.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"
#include "source/file_set.h"

namespace streamobs::source {

struct Follower::File {
  std::string path;
  bool from_pattern = false;
  bool from_before = false;  ///< Renamed since an earlier process read it; gone once it is read.
  std::unique_ptr<BlockReader> reader;  ///< Null while the file is not there or cannot be read.
  int fd = -1;                          ///< The reader's; -1 for gzip, which does not grow.
  FileFacts facts;                      ///< As of opening.
  bool replaced = false;  ///< Its name is another file's now (or nobody's); one more round for it.
  bool said_missing = false;
  std::string said_error;
};

Follower::Follower(std::vector<std::string> patterns, BlockReaderOptions options, BufferPool& pool,
                   std::vector<ResumePoint> places)
    : patterns_(std::move(patterns)), options_(options), pool_(pool), places_(std::move(places)) {}

Follower::~Follower() = default;

std::size_t Follower::files_open() const {
  const auto is_open = [](const auto& file) { return file->reader != nullptr; };
  return static_cast<std::size_t>(std::count_if(files_.begin(), files_.end(), is_open));
}

BlockReader::Status Follower::next(CutBlock& out) {
  // First the files known, from where the last block came from; then news of the directory. What a
  // look at the directory has opened is read at once, so that idle means idle.
  for (int round = 0; round < 2; ++round) {
    if (first_look_) take_up_renamed();
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

/// Rotated away while nobody was reading: what is left in them comes first.
void Follower::take_up_renamed() {
  if (places_.empty()) return;
  std::vector<std::string> unmatched;
  for (const std::string& path : places_.renamed(expand_paths(patterns_, unmatched))) {
    if (files_.size() >= kFilesMax) return;
    auto file = std::make_unique<File>();
    file->path = path;
    file->from_before = true;
    open(*file);
    files_.push_back(std::move(file));
  }
}

void Follower::look_for_files() {
  std::set<FileIdentity> matched;
  for (const std::string& pattern : patterns_) {
    const bool is_pattern = has_wildcard(pattern);
    const std::vector<std::string> paths =
        is_pattern ? matches_of(pattern) : std::vector<std::string>{pattern};
    if (paths.empty() && first_look_) {
      log::warn("no file matches a pattern yet; waiting for one", {{"pattern", pattern}});
    }
    for (const std::string& path : paths) {
      if (const std::optional<FileFacts> facts = facts_of(path)) matched.insert(facts->identity);
      look_for(path, is_pattern);
    }
  }
  std::erase_if(done_, [&](const FileIdentity& identity) { return !matched.contains(identity); });
  std::erase_if(files_, [](const auto& file) {
    if (file->reader != nullptr) return false;
    return file->from_before || (file->from_pattern && !facts_of(file->path));
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
    const std::optional<FileFacts> facts = facts_of(path);
    if (!facts || done_.contains(facts->identity) || is_open_elsewhere(facts->identity)) return;
    if (is_gzip(path)) {
      log::info("a compressed file that appeared later is not followed", {{"file", path}});
      done_.insert(facts->identity);
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
    return file->reader != nullptr && file->facts.identity == identity;
  });
}

void Follower::open(File& file) {
  const std::optional<FileFacts> facts = facts_of(file.path);
  if (!facts) {
    if (!std::exchange(file.said_missing, true)) {
      log::info("the file is not there yet; waiting for it", {{"file", file.path}});
    }
    return;
  }
  if (done_.contains(facts->identity) || is_open_elsewhere(facts->identity)) return;
  BlockReaderOptions options = options_;
  options.growing = !is_gzip(file.path);
  Result<OpenFile> opened = places_.open(file.path, options, pool_);
  if (opened && !opened->facts.regular) {
    opened = fail(ErrorCode::invalid, file.path + " is not a regular file");
  }
  if (!opened) {
    if (file.said_error != opened.error().message) {
      file.said_error = opened.error().message;
      log::warn("a followed file cannot be read; trying again", {{"error", file.said_error}});
    }
    return;
  }
  file.reader = std::move(opened->reader);
  file.facts = opened->facts;
  file.fd = is_gzip(file.path) ? -1 : opened->fd;
  file.said_missing = false;
  file.said_error.clear();
  file.replaced = false;
}

/// True when it has filled `out`.
bool Follower::read(File& file, CutBlock& out) {
  const std::uint64_t before = file.reader->stream().raw_bytes();
  Result<BlockReader::Status> status = file.reader->next(out);
  while (status && file.reader->catching_up()) status = file.reader->next(out);
  bytes_read_ += file.reader->stream().raw_bytes() - before;
  if (!status) {
    log::error("reading a followed file failed; what follows in it is not read",
               {{"file", file.path}, {"error", status.error().message}});
    finish(file);
    return false;
  }
  if (*status == BlockReader::Status::end) finish(file);
  if (*status == BlockReader::Status::block) name_place(out.resume, file.path, file.facts);
  return *status == BlockReader::Status::block;
}

/// The reader has nothing more for now: has the file been cut short, or has its name gone over?
void Follower::look_at_end(File& file) {
  if (file.fd < 0) return;
  const std::optional<FileFacts> ours = facts_of(file.fd);
  const std::optional<FileFacts> named = facts_of(file.path);
  if (ours && ours->size < file.reader->stream().raw_bytes()) {
    log::warn("a followed file was truncated; reading it from its start",
              {{"file", file.path}, {"bytes_read", file.reader->stream().raw_bytes()}});
    close(file);
    open(file);
    return;
  }
  const bool has_successor = file.from_before || (named && named->identity != file.facts.identity);
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
  done_.insert(file.facts.identity);
  close(file);
}

void Follower::close(File& file) {
  file.reader.reset();
  file.fd = -1;
}

}  // namespace streamobs::source

#include "source/resume_places.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace streamobs::source {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// In the form in which the source's own patterns would have given it.
std::string join(const std::string& like, const std::string& name) {
  const std::size_t slash = like.rfind('/');
  return slash == std::string::npos ? name : like.substr(0, slash + 1) + name;
}

/// The first `count` (uncompressed) bytes of a file, fewer if it has no more or cannot be read.
std::string head_of(const std::string& path, const FileHandle& file, std::uint64_t count) {
  const std::unique_ptr<ByteStream> stream = make_stream(file.duplicate(), true, path);
  std::string head(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    const auto read = stream->read(head.data() + have, count - have, false);
    if (!read || read->bytes == 0) break;
    have += read->bytes;
  }
  head.resize(have);
  return head;
}

FileIdentity identity_of(const ResumePoint& place) {
  return {static_cast<dev_t>(place.device), static_cast<ino_t>(place.inode)};
}

/// Fewer bytes at a file's beginning might be those of another one as well.
constexpr std::uint64_t kTellingBytes = 128;

bool has_telling_head(const ResumePoint& place) {
  return place.offset >= kTellingBytes && place.head_digest != 0;
}

/// Whether the file goes on from `place`; if not, what has become of it.
const char* what_is_wrong(const ResumePoint& place, const std::string& path, const FileHandle& file,
                          const FileFacts& facts) {
  if (!is_gzip(path) && facts.size < place.offset) return "it is shorter now";
  const std::uint64_t count = std::min(place.offset, ResumePoint::kHeadBytes);
  const std::string head = head_of(path, file, count);
  if (head.size() < count) return "it is shorter now";
  if (place.head_digest != 0 && digest_of_head(head) != place.head_digest) {
    return "it begins with something else now";
  }
  return nullptr;
}

}  // namespace

void name_place(ResumePoint& place, const std::string& path, const FileFacts& facts) {
  if (!facts.regular) return;
  place.file = path;
  place.device = facts.identity.device;
  place.inode = facts.identity.inode;
}

const ResumePoint* ResumePlaces::last_of(const std::string& path) const {
  const auto same = [&path](const ResumePoint& place) { return place.file == path; };
  const auto found = std::find_if(places_.rbegin(), places_.rend(), same);
  return found == places_.rend() ? nullptr : &*found;
}

/// The place of this very file, which may no longer hold.
std::vector<ResumePoint>::const_iterator ResumePlaces::find(const std::string& path,
                                                            const FileFacts& facts) const {
  const auto same_file = [&](const ResumePoint& known) {
    return identity_of(known) == facts.identity;
  };
  const auto place = std::find_if(places_.begin(), places_.end(), same_file);
  if (place != places_.end()) return place;
  // Devices may be numbered otherwise after a restart of the machine.
  return std::find_if(places_.begin(), places_.end(), [&](const ResumePoint& known) {
    return known.file == path && known.inode == facts.identity.inode && known.head_digest != 0;
  });
}

/// The place at which to go on in this file; what is found is used up, whether it holds or not.
std::optional<ResumePoint> ResumePlaces::take(const std::string& path, const FileHandle& file,
                                              const FileFacts& facts) {
  const auto place = find(path, facts);
  if (place != places_.end()) {
    ResumePoint taken = *place;
    places_.erase(place);
    const char* const wrong = what_is_wrong(taken, path, file, facts);
    if (wrong == nullptr) return taken;
    log::warn("a file is not what it was when it was last read; reading it from its start",
              {{"file", path}, {"what", wrong}, {"bytes_read_then", taken.offset}});
    return std::nullopt;
  }
  const auto archived = find_content(path, file);
  if (archived == places_.end()) return std::nullopt;
  ResumePoint taken = *archived;
  places_.erase(archived);
  log::info("a file has been compressed since it was last read; going on in it",
            {{"file", path}, {"was", taken.file}, {"offset", taken.offset}});
  return taken;
}

/// The place of what this gzip file holds, going by its first bytes.
std::vector<ResumePoint>::const_iterator ResumePlaces::find_content(const std::string& path,
                                                                    const FileHandle& file) const {
  if (!is_gzip(path) || std::none_of(places_.begin(), places_.end(), has_telling_head)) {
    return places_.end();
  }
  const std::string head = head_of(path, file, ResumePoint::kHeadBytes);
  return std::find_if(places_.begin(), places_.end(), [&](const ResumePoint& known) {
    const std::uint64_t count = std::min(known.offset, ResumePoint::kHeadBytes);
    return has_telling_head(known) && head.size() >= count &&
           digest_of_head(std::string_view(head).substr(0, count)) == known.head_digest;
  });
}

Result<OpenFile> ResumePlaces::open(const std::string& path, const BlockReaderOptions& options,
                                    BufferPool& pool) {
  Result<FileHandle> file = open_file(path);
  if (!file) return file.error();
  OpenFile opened;
  const std::optional<FileFacts> facts = facts_of(*file);
  if (!facts) return fail(ErrorCode::io, fmt::format("cannot open {}", path));
  opened.facts = *facts;
  opened.fd = file->get();

  ReaderStart start;
  std::optional<ResumePoint> place;
  if (facts->regular && !places_.empty()) place = take(path, *file, *facts);
  if (place) {
    start.offset = place->offset;
    start.lines = place->lines;
    start.head = head_of(path, *file, std::min(place->offset, ResumePoint::kHeadBytes));
    if (options.format == Format::csv) {
      BlockReader beginning(make_stream(file->duplicate(), true, path), options, pool);
      Result<std::shared_ptr<const std::string>> header = beginning.read_header();
      if (!header) return header.error();
      start.header = std::move(*header);
    }
  }
  opened.reader = std::make_unique<BlockReader>(make_stream(std::move(*file), facts->regular, path),
                                                options, pool, std::move(start));
  return opened;
}

std::vector<std::string> ResumePlaces::renamed(const std::vector<std::string>& paths) const {
  std::vector<FileIdentity> there;
  for (const std::string& path : paths) {
    if (const auto facts = facts_of(path)) there.push_back(facts->identity);
  }
  std::sort(there.begin(), there.end());
  std::map<std::string, std::vector<const ResumePoint*>> lost;  // By folder.
  for (const ResumePoint& place : places_) {
    if (std::binary_search(there.begin(), there.end(), identity_of(place))) continue;
    lost[folder_of(place.file)].push_back(&place);
  }
  const std::unordered_set<std::string> known(paths.begin(), paths.end());
  std::vector<std::string> found;
  for (const auto& [folder, places] : lost) search(folder, places, known, found);
  return found;
}

/// Looks for the lost ones among the files of a folder; adds those with more to read, in the order
/// in which they were read.
void ResumePlaces::search(const std::string& folder, const std::vector<const ResumePoint*>& lost,
                          const std::unordered_set<std::string>& known,
                          std::vector<std::string>& found) const {
  std::map<const ResumePoint*, std::string> found_here;
  std::error_code error;
  std::size_t searched = 0;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    if (++searched > kSearchedMax) break;
    const std::string path = join(lost.front()->file, at->path().filename().string());
    if (known.contains(path)) continue;
    const std::optional<FileFacts> facts = facts_of(path);
    if (!facts || !facts->regular) continue;
    const auto bears_inode = [&](const ResumePoint* place) {
      return facts->identity.inode == place->inode && place->head_digest != 0;
    };
    const auto place = std::find_if(lost.begin(), lost.end(), bears_inode);
    if (place == lost.end() && !is_gzip(path)) continue;
    const Result<FileHandle> file = open_file(path);
    if (!file) continue;
    if (place != lost.end()) {
      const bool has_more = is_gzip(path) || facts->size > (*place)->offset;
      const bool is_the_same = what_is_wrong(**place, path, *file, *facts) == nullptr;
      if (has_more && is_the_same) found_here.emplace(*place, path);
      continue;
    }
    const auto content = find_content(path, *file);
    // Only of what was being read last under its name: the earlier ones were read to their end.
    if (content != places_.end() && &*content == last_of(content->file)) {
      found_here.emplace(&*content, path);
    }
  }
  for (const ResumePoint* place : lost) {
    const auto at = found_here.find(place);
    if (at == found_here.end()) continue;
    log::info("a file bears another name than when it was last read; going on in it",
              {{"file", at->second}, {"was", place->file}, {"offset", place->offset}});
    found.push_back(at->second);
  }
}

}  // namespace streamobs::source

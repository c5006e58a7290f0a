#include "wal/log_copy.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "wal/checkpoint_file.h"
#include "wal/log_reader.h"
#include "wal/segment_files.h"
#include "wal/segment_reader.h"
#include "wal/segment_tail.h"

namespace streamobs::wal {

namespace {

constexpr std::uint64_t kAllBytes = ~std::uint64_t{0};

// --- Checkpoint

Result<> copy_part(FileSystem& files, const std::string& from, const std::string& to,
                   const PartEntry& entry, const OnBytes& on_bytes) {
  const auto file = files.open_for_reading(from);
  if (!file) return file.error();
  if (const auto copied = copy_file(files, **file, kAllBytes, to, on_bytes); !copied) {
    return copied.error();
  }
  const auto read_back = sum_of_file(files, to, {});
  if (!read_back) return read_back.error();
  if (*read_back == FileSum{entry.stored_bytes, entry.crc32c}) return {};
  return fail(ErrorCode::corrupt,
              fmt::format("{} is not the part that its checkpoint's manifest names", from));
}

Result<Manifest> copy_checkpoint(FileSystem& files, const std::string& from, const std::string& to,
                                 std::uint64_t generation, const OnBytes& on_bytes) {
  auto manifest = read_manifest(files, from, generation);
  if (!manifest) return manifest;
  for (std::size_t i = 0; i < manifest->parts.size(); ++i) {
    const std::string name = "/" + part_name(generation, i);
    const auto copied = copy_part(files, from + name, to + name, manifest->parts[i], on_bytes);
    if (!copied) return copied.error();
  }
  const auto written =
      files.write_file(to + "/" + manifest_name(generation), encode_manifest(*manifest));
  if (!written) return written.error();
  return manifest;
}

/// Newest first; none where there is no such directory.
Result<std::vector<std::uint64_t>> generations_in(FileSystem& files, const std::string& directory) {
  std::vector<std::uint64_t> generations;
  const auto names = files.list(directory);
  if (!names && names.error().code != ErrorCode::not_found) return names.error();
  if (!names) return generations;
  for (const std::string& name : *names) {
    const std::uint64_t generation = generation_of(name);
    if (generation != 0 && is_manifest(name)) generations.push_back(generation);
  }
  std::sort(generations.begin(), generations.end(), std::greater<>());
  return generations;
}

Result<> remove_all_in(FileSystem& files, const std::string& directory) {
  const auto names = files.list(directory);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (auto removed = files.remove(directory + "/" + name); !removed) return removed;
  }
  return {};
}

// --- Log

/// Reading is work that can be ended, and none of the bytes that are counted.
Result<> may_go_on(const OnBytes& on_bytes) {
  return on_bytes ? on_bytes(0) : Result<>();
}

/// Reads a raw segment up to the end of its last whole frame. A frame that is being written is none
/// yet: copied as it looks now, it could be taken for damage later. What a witness behind it calls
/// durable was one, though, and is damaged: cut there, the copy would have lost the witness, too.
/// `known_durable` is of the last segment only: how far another one has to reach its successor
/// tells, when the copy is read.
Result<> read_whole_frames(SegmentReader& reader, std::optional<std::uint64_t> known_durable,
                           const OnBytes& on_bytes) {
  bool looked_again = false;
  for (Frame frame;;) {
    const auto outcome = reader.next(frame);
    if (!outcome) return outcome.error();
    if (*outcome == SegmentReader::Outcome::frame) {
      looked_again = false;
      if (auto on = may_go_on(on_bytes); !on) return on;
      continue;
    }
    if (!known_durable) return {};
    const auto tail = judge_tail(reader, SegmentForm::raw, *known_durable);
    if (tail) return {};
    // It may have been finished, and the witness written, since we looked. One look settles that.
    if (looked_again) return tail.error();
    looked_again = true;
  }
}

/// Gives the newest record it was seen to hold: 0 of a sealed segment, which is not read here,
/// since it is copied whole.
Result<std::uint64_t> copy_segment(FileSystem& files, const std::string& from,
                                   const std::string& to, std::uint64_t number,
                                   std::optional<std::uint64_t> known_durable,
                                   const OnBytes& on_bytes) {
  // The raw form goes when the sealed one is complete: seen in this order, one of them is there.
  for (const SegmentForm form : {SegmentForm::sealed, SegmentForm::raw, SegmentForm::sealed}) {
    auto reader = open_segment(files, from, number, form);
    if (!reader && reader.error().code == ErrorCode::not_found) continue;
    if (!reader) return reader.error();
    std::uint64_t bytes = kAllBytes;
    std::uint64_t newest = 0;
    if (form == SegmentForm::raw) {
      auto read = read_whole_frames(**reader, known_durable, on_bytes);
      if (!read) return read.error();
      bytes = (*reader)->offset();
      newest = (*reader)->next_sequence() - 1;
    }
    const auto copied =
        copy_file(files, (*reader)->file(), bytes, to + "/" + (*reader)->name(), on_bytes);
    if (!copied) return copied.error();
    return newest;
  }
  return fail(ErrorCode::unavailable,
              fmt::format("log segment {} was removed while the log was copied", number));
}

/// Reads what recovery will read of the copy, which has to hold `newest`.
Result<LogCopy> read_back(FileSystem& files, const std::string& directory,
                          const LogCopyOptions& options, std::uint64_t newest,
                          const OnBytes& on_bytes) {
  LogReaderOptions reading;
  reading.from_sequence = options.from_sequence;
  reading.known_durable = options.known_durable;
  const auto reader = LogReader::open(files, directory, reading);
  if (!reader) return reader.error();
  for (LogEntry entry;;) {
    const auto more = (*reader)->next(entry);
    if (!more) return more.error();
    if (!*more) break;
    if (auto on = may_go_on(on_bytes); !on) return on.error();
  }
  const std::uint64_t last = (*reader)->next_sequence() - 1;
  // Behind the end of a log nothing bears witness, so damage there would pass for a torn tail.
  if (last < newest) {
    return fail(ErrorCode::corrupt,
                fmt::format("the copy of the log in {} ends with record {}, and the log was just "
                            "read up to record {}: one of the two disks does not give back what "
                            "was written to it. Try again, and elsewhere",
                            directory, last, newest));
  }
  return LogCopy{(*reader)->log_id(), (*reader)->first_sequence(), last};
}

}  // namespace

Result<CheckpointCopy> copy_newest_checkpoint(FileSystem& files, const std::string& from,
                                              const std::string& to, const OnBytes& on_bytes) {
  const auto generations = generations_in(files, from);
  if (!generations) return generations.error();
  if (auto made = files.make_directory(to); !made) return made.error();
  CheckpointCopy copy;
  for (const std::uint64_t generation : *generations) {
    const auto manifest = copy_checkpoint(files, from, to, generation, on_bytes);
    if (manifest) {
      copy.generation = generation;
      copy.log_id = manifest->log_id;
      copy.position = manifest->position;
      if (auto synced = files.sync_directory(to); !synced) return synced.error();
      return copy;
    }
    const ErrorCode code = manifest.error().code;
    if (code != ErrorCode::corrupt && code != ErrorCode::not_found) return manifest.error();
    const auto still_there = files.exists(from + "/" + manifest_name(generation));
    if (!still_there) return still_there.error();
    if (!*still_there) {
      return fail(ErrorCode::unavailable,
                  fmt::format("checkpoint {} in {} was replaced by a newer one while it was copied",
                              generation, from));
    }
    copy.passed_over.push_back(manifest.error().message);
    if (auto removed = remove_all_in(files, to); !removed) return removed.error();
  }
  return copy;
}

Result<LogCopy> copy_log(FileSystem& files, const std::string& from, const std::string& to,
                         const LogCopyOptions& options, const OnBytes& on_bytes) {
  const auto segments = read_segments(files, from, 0);
  if (!segments) return segments.error();
  if (segments->empty()) {
    return fail(ErrorCode::not_found, fmt::format("{} holds no log", from));
  }
  const std::uint64_t oldest = segments->front().header.first_sequence;
  if (options.from_sequence != 0 && options.from_sequence < oldest) {
    return fail(
        ErrorCode::unavailable,
        fmt::format("the log in {} begins with record {}, and records from {} on are needed", from,
                    oldest, options.from_sequence));
  }
  std::size_t first = 0;
  while (first + 1 < segments->size() &&
         (*segments)[first + 1].header.first_sequence <= options.from_sequence) {
    ++first;
  }
  if (auto made = files.make_directory(to); !made) return made.error();
  std::uint64_t newest = 0;
  for (std::size_t i = first; i < segments->size(); ++i) {
    std::optional<std::uint64_t> known_durable;
    if (i + 1 == segments->size()) known_durable = options.known_durable;
    const auto copied =
        copy_segment(files, from, to, (*segments)[i].number, known_durable, on_bytes);
    if (!copied) return copied.error();
    newest = std::max(newest, *copied);
  }
  if (auto synced = files.sync_directory(to); !synced) return synced.error();
  return read_back(files, to, options, newest, on_bytes);
}

}  // namespace streamobs::wal

#include "wal/segment_tail.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace streamobs::wal {

namespace {

constexpr std::size_t kWindowBytes = std::size_t{1} << 20;
constexpr std::size_t kTornFilesKept = 8;
constexpr std::string_view kTornPrefix = "torn-";

/// Notes what good frame headers in these bytes know. They begin at a multiple of the alignment.
void note_headers(std::string_view bytes, std::uint32_t origin, Rest& rest) {
  for (std::size_t i = 0; i + kFrameHeaderBytes <= bytes.size(); i += kFrameAlignment) {
    if (!has_frame_magic(bytes.data() + i)) continue;
    const auto header = decode_frame_header(bytes.data() + i, origin);
    if (!header) continue;
    rest.durable_sequence = std::max(rest.durable_sequence, header->durable_sequence);
    rest.sequence_max = std::max(rest.sequence_max, header->sequence);
  }
}

/// Removes all but the newest copies: they hold nothing that was acknowledged, and a process that
/// is killed again and again must not fill the disk with them.
Result<> forget_old_copies(FileSystem& files, const std::string& directory) {
  const auto names = files.list(directory);
  if (!names) return names.error();
  std::vector<std::string> copies;
  for (const std::string& name : *names) {
    if (name.starts_with(kTornPrefix)) copies.push_back(name);
  }
  for (std::size_t i = 0; i + kTornFilesKept < copies.size(); ++i) {
    if (auto removed = files.remove(directory + "/" + copies[i]); !removed) return removed;
  }
  return {};
}

}  // namespace

Result<Rest> examine_rest(File& file, std::uint64_t offset, std::uint32_t origin) {
  Rest rest;
  // Windows overlap by a header, so that none is missed between two.
  std::string window(kWindowBytes + kFrameHeaderBytes, '\0');
  for (std::uint64_t at = offset;; at += kWindowBytes) {
    const auto read = file.read_at(at, window);
    if (!read) return read.error();
    const std::string_view bytes(window.data(), *read);
    if (!all_zero(bytes)) {
      const std::size_t last = bytes.find_last_not_of('\0');
      rest.bytes = std::max(rest.bytes, at + last + 1 - offset);
      note_headers(bytes, origin, rest);
    }
    if (*read < window.size()) return rest;
  }
}

Error damage_at(const std::string& segment, std::uint64_t offset, std::uint64_t sequence,
                const std::string& problem) {
  return fail(ErrorCode::corrupt,
              fmt::format("log segment {} is damaged at offset {} (record {}): {}; {}", segment,
                          offset, sequence, problem, kWayOut));
}

Result<std::optional<TornTail>> judge_tail(SegmentReader& reader, SegmentForm form,
                                           std::uint64_t known_durable) {
  const std::uint64_t missing = reader.next_sequence();
  Rest rest;
  // A sealed segment was written whole; it has no tail.
  if (form == SegmentForm::raw) {
    const auto examined = examine_rest(reader.file(), reader.offset(), reader.header().origin);
    if (!examined) return examined.error();
    rest = *examined;
  } else if (!reader.problem().empty()) {
    return damage_at(reader.name(), reader.offset(), missing, reader.problem());
  }
  const std::string problem =
      reader.problem().empty() ? "zeros where a record was" : reader.problem();
  if (rest.durable_sequence >= missing) {
    return damage_at(reader.name(), reader.offset(), missing,
                     fmt::format("{}, while what follows knows records up to {} to be durable",
                                 problem, rest.durable_sequence));
  }
  if (known_durable >= missing) {
    return damage_at(reader.name(), reader.offset(), missing,
                     fmt::format("{}, while checkpoint or database have got to record {}", problem,
                                 known_durable));
  }
  if (rest.bytes == 0) return std::optional<TornTail>{};
  TornTail torn;
  torn.segment = reader.name();
  torn.offset = reader.offset();
  torn.bytes = rest.bytes;
  torn.reason = reader.problem().empty() ? "bytes behind the last record" : reader.problem();
  return std::optional<TornTail>(std::move(torn));
}

Result<> copy_bytes(File& from, std::uint64_t offset, std::uint64_t bytes, File& to,
                    std::uint64_t to_offset) {
  std::string window(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kWindowBytes)), '\0');
  for (std::uint64_t done = 0; done < bytes;) {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes - done, window.size()));
    const auto read = from.read_at(offset + done, std::span<char>(window.data(), wanted));
    if (!read) return read.error();
    if (*read < wanted) return fail(ErrorCode::io, "a file of the log became shorter while read");
    if (auto written = to.write_at(to_offset + done, std::string_view(window.data(), wanted));
        !written) {
      return written;
    }
    done += wanted;
  }
  return {};
}

Result<> save_torn(FileSystem& files, const std::string& directory, std::uint64_t number,
                   File& segment, TornTail& torn) {
  const std::string path =
      fmt::format("{}/{}{:010}-{:010}.bytes", directory, kTornPrefix, number, torn.offset);
  const std::string beside = path + ".tmp";
  {
    auto copy = files.create(beside);
    if (!copy) return copy.error();
    if (auto copied = copy_bytes(segment, torn.offset, torn.bytes, **copy, 0); !copied) {
      return copied;
    }
    if (auto synced = (*copy)->sync_data(); !synced) return synced;
  }
  if (auto renamed = files.rename(beside, path); !renamed) return renamed;
  if (auto synced = files.sync_directory(directory); !synced) return synced;
  torn.saved_as = path;
  return forget_old_copies(files, directory);
}

}  // namespace streamobs::wal

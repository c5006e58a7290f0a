#include "wal/segment_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include <fmt/format.h>

namespace streamobs::wal {

namespace {

constexpr std::string_view kPrefix = "segment-";
constexpr std::string_view kRawSuffix = ".log";
constexpr std::string_view kSealedSuffix = ".sealed";

/// The number in "segment-<number><suffix>".
std::optional<std::uint64_t> number_in(std::string_view name, std::string_view suffix) {
  if (!name.starts_with(kPrefix) || !name.ends_with(suffix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  if (name.size() <= suffix.size()) return std::nullopt;
  name.remove_suffix(suffix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace

std::string raw_name(std::uint64_t number) {
  return fmt::format("{}{:010}{}", kPrefix, number, kRawSuffix);
}

std::string sealed_name(std::uint64_t number) {
  return fmt::format("{}{:010}{}", kPrefix, number, kSealedSuffix);
}

std::string name_of(const SegmentFile& segment) {
  return segment.sealed ? sealed_name(segment.number) : raw_name(segment.number);
}

Result<std::vector<SegmentFile>> list_segments(FileSystem& files, const std::string& directory) {
  const auto names = files.list(directory);
  if (!names) {
    if (names.error().code == ErrorCode::not_found) return std::vector<SegmentFile>{};
    return names.error();
  }
  std::map<std::uint64_t, SegmentFile> found;
  for (const std::string& name : *names) {
    if (const auto raw = number_in(name, kRawSuffix)) found[*raw].raw = true;
    if (const auto sealed = number_in(name, kSealedSuffix)) found[*sealed].sealed = true;
  }
  std::vector<SegmentFile> segments;
  for (auto& [number, segment] : found) {
    segment.number = number;
    segments.push_back(segment);
  }
  return segments;
}

Result<SegmentHeader> read_segment_header(File& file, const std::string& name, std::uint64_t number,
                                          SegmentForm form) {
  std::array<char, kSegmentHeaderBytes> bytes{};
  const auto read = file.read_at(0, bytes);
  if (!read) return read.error();
  const auto header = decode_segment_header(bytes.data());
  if (*read < bytes.size() || !header || header->form != form) {
    return fail(
        ErrorCode::corrupt,
        fmt::format("log segment {} is damaged at offset 0: its header; {}", name, kWayOut));
  }
  if (header->number != number) {
    return fail(ErrorCode::corrupt,
                fmt::format("log segment {} has the content of segment {}: was it renamed? {}",
                            name, header->number, kWayOut));
  }
  if (header->version > kLogVersion) {
    return fail(ErrorCode::invalid,
                fmt::format("log segment {} has format version {}, and this streamobs knows {}: "
                            "run the newer one",
                            name, header->version, kLogVersion));
  }
  return *header;
}

Result<std::vector<SegmentFile>> read_segments(FileSystem& files, const std::string& directory,
                                               std::uint64_t expected_log_id) {
  auto segments = list_segments(files, directory);
  if (!segments) return segments;
  const SegmentFile* before = nullptr;
  for (SegmentFile& segment : *segments) {
    const std::string name = name_of(segment);
    auto file = files.open_for_reading(directory + "/" + name);
    if (!file) {
      if (file.error().code != ErrorCode::not_found) return file.error();
      return fail(
          ErrorCode::unavailable,
          fmt::format("log segment {} went away while the log was opened; try again", name));
    }
    const auto header = read_segment_header(
        **file, name, segment.number, segment.sealed ? SegmentForm::sealed : SegmentForm::raw);
    if (!header) return header.error();
    segment.header = *header;
    if (expected_log_id != 0 && header->log_id != expected_log_id) {
      return fail(
          ErrorCode::invalid,
          fmt::format("{}/{} belongs to log {:016x}, but checkpoint or database to log "
                      "{:016x}: put back what belongs together, or start with an empty data "
                      "directory",
                      directory, name, header->log_id, expected_log_id));
    }
    if (before != nullptr && header->log_id != before->header.log_id) {
      return fail(
          ErrorCode::corrupt,
          fmt::format("log segment {} belongs to log {:016x}, {} to log {:016x}; {}",
                      name_of(*before), before->header.log_id, name, header->log_id, kWayOut));
    }
    if (before != nullptr && header->first_sequence < before->header.first_sequence) {
      return fail(ErrorCode::corrupt,
                  fmt::format("log segment {} begins with record {}, {} behind it with {}; {}",
                              name_of(*before), before->header.first_sequence, name,
                              header->first_sequence, kWayOut));
    }
    before = &segment;
  }
  return segments;
}

}  // namespace streamobs::wal

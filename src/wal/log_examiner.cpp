#include "wal/log_examiner.h"

#include <algorithm>

#include <fmt/format.h>

#include "wal/segment_tail.h"

namespace streamobs::wal {

namespace {

bool is_damage(const Error& error) {
  return error.code == ErrorCode::corrupt || error.code == ErrorCode::invalid;
}

/// Reads all that can be read of one segment.
Result<> read_segment(SegmentReader& reader, SegmentForm form, SegmentReport& report,
                      const OnFrame& on_frame) {
  for (Frame frame;;) {
    const auto outcome = reader.next(frame);
    if (!outcome) return outcome.error();
    if (*outcome != SegmentReader::Outcome::frame) break;
    ++report.records;
    ++report.records_by_type[frame.header.type];
    if (on_frame) on_frame(report, frame);
  }
  report.next_sequence = reader.next_sequence();
  report.end_offset = reader.offset();
  report.sequence_max = reader.next_sequence() - 1;
  if (form == SegmentForm::raw) {
    const auto rest = examine_rest(reader.file(), reader.offset(), report.file.header.origin);
    if (!rest) return rest.error();
    report.sequence_max = std::max(report.sequence_max, rest->sequence_max);
  } else if (!reader.problem().empty()) {
    report.damage = {reader.next_sequence(), damage_at(reader.name(), reader.offset(),
                                                       reader.next_sequence(), reader.problem())
                                                 .message};
  }
  return {};
}

/// How a segment must end: where the next one begins, or in a tail that is none or torn.
Result<> judge_end(SegmentReader& reader, SegmentForm form, const SegmentFile* next,
                   std::uint64_t known_durable, SegmentReport& report) {
  if (report.damage) return {};
  if (next == nullptr) {
    auto torn = judge_tail(reader, form, known_durable);
    if (torn) {
      report.torn = *std::move(torn);
      return {};
    }
    if (!is_damage(torn.error())) return torn.error();
    report.damage = {reader.next_sequence(), torn.error().message};
    return {};
  }
  const std::uint64_t first = next->header.first_sequence;
  // 0: the next one's header cannot be read, which is that one's damage.
  if (first == 0 || first == reader.next_sequence()) return {};
  std::string problem = reader.problem();
  if (problem.empty()) {
    problem = fmt::format("it ends there, and {} begins with record {}", name_of(*next), first);
  }
  report.damage = {
      reader.next_sequence(),
      damage_at(reader.name(), reader.offset(), reader.next_sequence(), problem).message};
  return {};
}

}  // namespace

Result<std::vector<SegmentReport>> examine(FileSystem& files, const std::string& directory,
                                           std::uint64_t known_durable, const OnFrame& on_frame) {
  auto segments = list_segments(files, directory);
  if (!segments) return segments.error();
  std::vector<SegmentReport> reports(segments->size());
  std::vector<std::unique_ptr<SegmentReader>> readers(segments->size());
  for (std::size_t i = 0; i < reports.size(); ++i) {
    SegmentReport& report = reports[i];
    report.file = (*segments)[i];
    const auto bytes = files.file_size(directory + "/" + name_of(report.file));
    if (!bytes) return bytes.error();
    report.bytes = *bytes;
    const SegmentForm form = report.file.sealed ? SegmentForm::sealed : SegmentForm::raw;
    auto reader = open_segment(files, directory, report.file.number, form);
    if (reader) {
      report.header_good = true;
      report.file.header = (*reader)->header();
      readers[i] = *std::move(reader);
    } else if (is_damage(reader.error())) {
      report.damage = {0, reader.error().message};
    } else {
      return reader.error();
    }
    if (report.header_good && i > 0 && reports[i - 1].header_good &&
        reports[i - 1].file.header.log_id != report.file.header.log_id) {
      report.damage = {0, fmt::format("log segment {} belongs to another log, {:016x}; {}",
                                      name_of(report.file), report.file.header.log_id, kWayOut)};
    }
  }
  for (std::size_t i = 0; i < reports.size(); ++i) {
    if (readers[i] == nullptr) {
      if (i > 0 && reports[i - 1].header_good) {
        reports[i].damage->sequence = reports[i - 1].next_sequence;
      }
      continue;
    }
    const SegmentForm form = reports[i].file.sealed ? SegmentForm::sealed : SegmentForm::raw;
    const SegmentFile* next = i + 1 < reports.size() ? &reports[i + 1].file : nullptr;
    if (auto read = read_segment(*readers[i], form, reports[i], on_frame); !read) {
      return read.error();
    }
    auto judged = judge_end(*readers[i], form, next, known_durable, reports[i]);
    if (!judged) return judged.error();
    readers[i].reset();
  }
  return reports;
}

}  // namespace streamobs::wal

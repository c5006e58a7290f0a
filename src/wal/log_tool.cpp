#include "wal/log_tool.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "wal/log_examiner.h"
#include "wal/record.h"
#include "wal/segment_tail.h"

namespace streamobs::wal {

namespace {

using Reports = std::vector<SegmentReport>;

std::string type_name(std::uint8_t type) {
  const std::string_view name = to_text(static_cast<RecordType>(type));
  return name == "unknown" ? fmt::format("type {}", type) : std::string(name);
}

Error no_log(const std::string& directory) {
  return fail(ErrorCode::not_found, fmt::format("{} holds no log", directory));
}

std::string types_of(const SegmentReport& report) {
  std::string text;
  for (std::size_t type = 0; type < report.records_by_type.size(); ++type) {
    if (report.records_by_type[type] == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ",
                        type_name(static_cast<std::uint8_t>(type)), report.records_by_type[type]);
  }
  return text;
}

/// "record 7", "records 7 to 9", "no record".
std::string span_of(std::uint64_t first, std::uint64_t last) {
  if (last < first) return "no record";
  return first == last ? fmt::format("record {}", first)
                       : fmt::format("records {} to {}", first, last);
}

void print_segment(const SegmentReport& report, const Print& print) {
  if (report.header_good) {
    print(fmt::format("{:<28} {:<32} {:>12} bytes  {}", name_of(report.file),
                      span_of(report.file.header.first_sequence, report.next_sequence - 1),
                      report.bytes, types_of(report)));
  } else {
    print(fmt::format("{:<28} {:<32} {:>12} bytes", name_of(report.file), "?", report.bytes));
  }
  if (report.file.raw && report.file.sealed) print("  its raw form is still there as well");
  if (report.damage) print("  " + report.damage->message);
  if (report.torn) {
    print(
        fmt::format("  a torn tail of {} bytes at offset {} ({}): never acknowledged; the next "
                    "start saves it aside and cuts it",
                    report.torn->bytes, report.torn->offset, report.torn->reason));
  }
}

// --- Repair

/// What one step of a repair does.
struct Plan {
  std::size_t damaged = 0;  ///< Index of the segment.
  enum Kind : std::uint8_t {
    use_raw_form,  ///< The sealed form is damaged and the raw one is there.
    drop_history,  ///< The log begins behind the damage from now on.
    cut,           ///< The log ends before the damage from now on.
  } kind = cut;
  std::size_t keep_from = 0;  ///< drop_history: the first segment that stays.
  std::string words;
};

/// The first segment behind the damage from which on everything needed can be read.
std::optional<std::size_t> behind_damage(const Reports& reports, std::size_t damaged,
                                         std::uint64_t needed_from) {
  for (std::size_t i = reports.size() - 1; i > damaged; --i) {
    const SegmentReport& report = reports[i];
    if (!report.header_good || report.damage) return std::nullopt;
    if (report.file.header.first_sequence <= needed_from) return i;
  }
  return std::nullopt;
}

std::optional<Plan> make_plan(const Reports& reports, std::uint64_t needed_from) {
  const auto found =
      std::find_if(reports.begin(), reports.end(), [](const auto& r) { return r.damage; });
  if (found == reports.end()) return std::nullopt;
  Plan plan;
  plan.damaged = static_cast<std::size_t>(found - reports.begin());
  if (found->file.raw && found->file.sealed) {
    plan.kind = Plan::use_raw_form;
    plan.words =
        fmt::format("{} is taken out; its raw form is still there. Nothing is lost by that.",
                    name_of(found->file));
    return plan;
  }
  const std::uint64_t first_lost = found->damage->sequence;
  if (const auto keep = behind_damage(reports, plan.damaged, needed_from)) {
    plan.kind = Plan::drop_history;
    plan.keep_from = *keep;
    const std::uint64_t first = reports[*keep].file.header.first_sequence;
    plan.words = fmt::format(
        "the log is made to begin with record {}: recovery needs nothing older. "
        "Lost is history: all records before it.",
        first);
    return plan;
  }
  std::uint64_t last_lost = 0;
  for (std::size_t i = plan.damaged; i < reports.size(); ++i) {
    last_lost = std::max(last_lost, reports[i].sequence_max);
  }
  plan.words =
      first_lost == 0
          ? fmt::format(
                "the log is cut before {}. Lost are all records from its first on, "
                "{}.",
                name_of(found->file),
                last_lost == 0 ? "nobody knows how many" : fmt::format("up to {}", last_lost))
          : fmt::format("the log is cut before record {}. Lost: {}.", first_lost,
                        span_of(first_lost, std::max(first_lost, last_lost)));
  return plan;
}

class Repair {
 public:
  Repair(FileSystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}

  Result<> carry_out(const Plan& plan, const Reports& reports, const Print& print) {
    if (aside_.empty()) {
      if (auto made = make_aside(); !made) return made;
      print("what is taken out is kept in " + aside_);
    }
    const SegmentReport& damaged = reports[plan.damaged];
    if (plan.kind == Plan::use_raw_form) return move_aside(sealed_name(damaged.file.number));
    if (plan.kind == Plan::drop_history) {
      // Oldest first: at any moment the log has no gap that it did not have before.
      for (std::size_t i = 0; i < plan.keep_from; ++i) {
        if (auto moved = move_aside(reports[i].file); !moved) return moved;
      }
      return {};
    }
    // Newest first, for the same reason.
    for (std::size_t i = reports.size() - 1; i > plan.damaged; --i) {
      if (auto moved = move_aside(reports[i].file); !moved) return moved;
    }
    if (damaged.records == 0) return move_aside(damaged.file);
    return cut(damaged);
  }

 private:
  Result<> make_aside() {
    for (int i = 1;; ++i) {
      aside_ = fmt::format("{}/damaged-{}", directory_, i);
      const auto there = files_.exists(aside_);
      if (!there) return there.error();
      if (!*there) return files_.make_directory(aside_);
    }
  }

  Result<> move_aside(const std::string& name) {
    if (auto moved = files_.rename(directory_ + "/" + name, aside_ + "/" + name); !moved) {
      return moved;
    }
    if (auto synced = files_.sync_directory(aside_); !synced) return synced;
    return files_.sync_directory(directory_);
  }

  Result<> move_aside(const SegmentFile& segment) {
    if (segment.raw) {
      if (auto moved = move_aside(raw_name(segment.number)); !moved) return moved;
    }
    if (segment.sealed) return move_aside(sealed_name(segment.number));
    return {};
  }

  /// Replaces a segment by a raw one of its good records.
  Result<> cut(const SegmentReport& damaged) {
    const std::string name = name_of(damaged.file);
    const std::string good = directory_ + "/" + raw_name(damaged.file.number);
    if (auto copied = copy_aside(name); !copied) return copied;
    if (auto written = write_good(damaged, good + ".tmp"); !written) return written;
    if (auto renamed = files_.rename(good + ".tmp", good); !renamed) return renamed;
    if (auto synced = files_.sync_directory(directory_); !synced) return synced;
    if (!damaged.file.sealed) return {};
    if (auto removed = files_.remove(directory_ + "/" + name); !removed) return removed;
    return files_.sync_directory(directory_);
  }

  Result<> copy_aside(const std::string& name) {
    auto from = files_.open_for_reading(directory_ + "/" + name);
    if (!from) return from.error();
    const auto bytes = (*from)->size();
    if (!bytes) return bytes.error();
    auto to = files_.create(aside_ + "/" + name);
    if (!to) return to.error();
    if (auto copied = copy_bytes(**from, 0, *bytes, **to, 0); !copied) return copied;
    if (auto synced = (*to)->sync_data(); !synced) return synced;
    return files_.sync_directory(aside_);
  }

  Result<> write_good(const SegmentReport& damaged, const std::string& path) {
    const SegmentForm form = damaged.file.sealed ? SegmentForm::sealed : SegmentForm::raw;
    auto reader = open_segment(files_, directory_, damaged.file.number, form);
    if (!reader) return reader.error();
    auto file = files_.create(path);
    if (!file) return file.error();
    SegmentHeader header = damaged.file.header;
    header.form = SegmentForm::raw;
    std::array<char, kSegmentHeaderBytes> bytes{};
    encode(header, bytes.data());
    auto written = (*file)->write_at(0, std::string_view(bytes.data(), bytes.size()));
    for (Frame frame; written;) {
      const auto outcome = (*reader)->next(frame);
      if (!outcome) return outcome.error();
      if (*outcome != SegmentReader::Outcome::frame) break;
      written = (*file)->write_at(frame.offset, frame.bytes);
    }
    if (!written) return written;
    return (*file)->sync_data();
  }

  FileSystem& files_;
  const std::string directory_;
  std::string aside_;
};

}  // namespace

Result<> inspect(FileSystem& files, const std::string& directory, const InspectOptions& options,
                 const Print& print) {
  const auto on_frame = [&](const SegmentReport& report, const Frame& frame) {
    const FrameHeader& header = frame.header;
    if (!options.records || header.sequence < options.from_sequence ||
        header.sequence > options.to_sequence) {
      return;
    }
    print(fmt::format("record {} {} of {} bytes at offset {} of segment {}; durable then: {}",
                      header.sequence, type_name(header.type), header.payload_bytes, frame.offset,
                      report.file.number, header.durable_sequence));
  };
  const auto reports = examine(files, directory, 0, on_frame);
  if (!reports) return reports.error();
  if (reports->empty()) return no_log(directory);
  for (const SegmentReport& report : *reports) {
    if (!report.header_good) continue;
    print(fmt::format("log {:016x} in {}", report.file.header.log_id, directory));
    break;
  }
  for (const SegmentReport& report : *reports) print_segment(report, print);
  return {};
}

Result<> verify(FileSystem& files, const std::string& directory, std::uint64_t known_durable,
                const Print& print) {
  const auto reports = examine(files, directory, known_durable, {});
  if (!reports) return reports.error();
  if (reports->empty()) return no_log(directory);
  std::size_t damaged = 0;
  std::uint64_t records = 0;
  for (const SegmentReport& report : *reports) {
    records += report.records;
    if (report.damage || report.torn) print_segment(report, print);
    if (report.damage) ++damaged;
  }
  if (damaged > 0) {
    return fail(ErrorCode::corrupt,
                fmt::format("{} of {} log segments in {} are damaged; `streamobs wal repair` says "
                            "what it would do about it",
                            damaged, reports->size(), directory));
  }
  print(fmt::format("{} segments, {} records: all good", reports->size(), records));
  return {};
}

Result<> repair(FileSystem& files, const std::string& directory, const RepairOptions& options,
                const Print& print) {
  Repair repair(files, directory);
  // Each round deals with the first damage, and each takes at least one file out.
  for (bool done = false;; done = true) {
    const auto reports = examine(files, directory, 0, {});
    if (!reports) return reports.error();
    const auto plan = make_plan(*reports, options.needed_from);
    if (!plan) {
      print(done ? "repaired" : "nothing to repair");
      return {};
    }
    print((*reports)[plan->damaged].damage->message);
    print((options.yes ? "" : "it would do this: ") + plan->words);
    if (!options.yes) {
      return fail(ErrorCode::invalid, "nothing was changed; add --yes to have it done");
    }
    if (auto carried = repair.carry_out(*plan, *reports, print); !carried) return carried;
  }
}

}  // namespace streamobs::wal

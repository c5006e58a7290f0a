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

/// The segment in which recovery begins to read. What lies before it is history.
std::size_t first_needed(const Reports& reports, std::uint64_t needed_from) {
  for (std::size_t i = reports.size(); i-- > 1;) {
    if (reports[i].header_good && reports[i].file.header.first_sequence <= needed_from) return i;
  }
  return 0;
}

/// Who misses what is damaged.
std::string_view need_of(const SegmentReport& report, bool history) {
  if (!history) return "  recovery needs it: the engine may not start like this";
  if (!report.header_good) {
    return "  recovery does not need its records, but the engine starts only once it is taken out "
           "or put right";
  }
  return "  recovery does not need it: the engine starts and runs; only what reads history does "
         "(query and replay --from-log, backup --whole-log)";
}

// --- Repair

/// What one step of a repair does.
struct Plan {
  std::size_t damaged = 0;  ///< Index of the segment.
  enum Kind : std::uint8_t {
    use_raw_form,  ///< The sealed form is damaged and the raw one is there.
    drop_history,  ///< The log begins behind the damage from now on.
    cut,           ///< The log ends before the damage from now on.
    refuse,        ///< It would have to end where the engine cannot go on from.
  } kind = cut;
  std::size_t keep_from = 0;  ///< drop_history: the first segment that stays.
  std::string words;
};

/// Where the log can begin so that all damage in history is gone; 0: none is there.
std::size_t behind_history_damage(const Reports& reports, std::uint64_t needed_from) {
  std::size_t i = first_needed(reports, needed_from);
  while (i > 0 && !reports[i - 1].damage) --i;
  return i;
}

/// Cutting there would leave a log that ends before the checkpoint.
std::string why_not(const SegmentReport& damaged, const Known& known, std::uint64_t first) {
  std::string words = fmt::format(
      "the newest checkpoint is of record {}: a log that is cut at or before it is one the engine "
      "does not start with, so nothing is cut. If the engine starts, let it run: once a later "
      "segment holds all that recovery needs, repair takes out {} and what is older. If it does "
      "not: put a sound copy of that file back, or restore a backup.",
      known.checkpoint, name_of(damaged.file));
  if (first == 1) {
    words +=
        " Without either, move the checkpoint directory and the database away: then repair cuts "
        "the log here, and the next start rebuilds what lies before.";
  } else if (first != 0) {
    words += fmt::format(
        " Without either, another data directory is the only way: the log begins with record {}, "
        "and nothing can be rebuilt without the checkpoint.",
        first);
  }
  return words;
}

std::optional<Plan> make_plan(const Reports& reports, const Known& known) {
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
  plan.keep_from = behind_history_damage(reports, known.needed_from);
  if (plan.keep_from > plan.damaged) {
    plan.kind = Plan::drop_history;
    const std::uint64_t first = reports[plan.keep_from].file.header.first_sequence;
    plan.words = fmt::format(
        "the log is made to begin with record {}: recovery needs nothing older. "
        "Lost is history: all records before it.",
        first);
    return plan;
  }
  if (first_lost <= known.checkpoint && known.checkpoint > 0) {
    plan.kind = Plan::refuse;
    plan.words = why_not(*found, known, reports.front().file.header.first_sequence);
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

/// What carrying it out would leave, for all kinds whose outcome can be told beforehand.
void foresee(const Plan& plan, Reports& reports) {
  const auto at = [&](std::size_t i) { return reports.begin() + static_cast<std::ptrdiff_t>(i); };
  if (plan.kind == Plan::drop_history) {
    reports.erase(reports.begin(), at(plan.keep_from));
    return;
  }
  const std::size_t kept = plan.damaged + (reports[plan.damaged].records > 0 ? 1 : 0);
  reports.erase(at(kept), reports.end());
  if (kept > plan.damaged) reports.back().damage.reset();
}

void note_span(const Reports& reports, RepairOutcome& outcome) {
  if (reports.empty()) return;
  outcome.first_sequence = reports.front().file.header.first_sequence;
  outcome.last_sequence = reports.back().next_sequence - 1;
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

Result<> verify(FileSystem& files, const std::string& directory, const Known& known,
                const Print& print) {
  const auto reports = examine(files, directory, known.durable(), {});
  if (!reports) return reports.error();
  if (reports->empty()) return no_log(directory);
  const std::size_t needed = first_needed(*reports, known.needed_from);
  std::size_t damaged = 0;
  std::uint64_t records = 0;
  for (std::size_t i = 0; i < reports->size(); ++i) {
    const SegmentReport& report = (*reports)[i];
    records += report.records;
    if (report.damage || report.torn) print_segment(report, print);
    if (!report.damage) continue;
    print(need_of(report, i < needed));
    ++damaged;
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

Result<RepairOutcome> repair(FileSystem& files, const std::string& directory,
                             const RepairOptions& options, const Print& print) {
  Repair repair(files, directory);
  RepairOutcome outcome;
  auto reports = examine(files, directory, 0, {});
  if (!reports) return reports.error();
  // Each round deals with the first damage, and each takes at least one file out.
  while (const auto plan = make_plan(*reports, options.known)) {
    outcome.damaged = true;
    print((*reports)[plan->damaged].damage->message);
    if (plan->kind == Plan::refuse) return fail(ErrorCode::corrupt, plan->words);
    print((options.yes ? "" : "it would do this: ") + plan->words);
    if (options.yes) {
      if (auto carried = repair.carry_out(*plan, *reports, print); !carried) {
        return carried.error();
      }
      reports = examine(files, directory, 0, {});
      if (!reports) return reports.error();
    } else if (plan->kind != Plan::use_raw_form) {
      foresee(*plan, *reports);
    } else {
      print("and look at the log again then");
      break;
    }
  }
  note_span(*reports, outcome);
  return outcome;
}

}  // namespace streamobs::wal

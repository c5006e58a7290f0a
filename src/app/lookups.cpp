#include "app/lookups.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

constexpr std::uint8_t kSnapshotVersion = 1;

Error damaged() {
  return fail(ErrorCode::corrupt, "the checkpoint's look-up tables are damaged");
}

}  // namespace

Lookups::Lookups(const Plan& plan, telemetry::Registry& metrics)
    : plan_(plan), texts_(plan.lookups.size()), states_(plan.lookups.size()) {
  if (!plan.lookups.empty()) {
    LookupTables none;
    none.tables.resize(plan.lookups.size());
    now_ = std::make_shared<const LookupTables>(std::move(none));
  }
  for (std::size_t i = 0; i < plan.lookups.size(); ++i) {
    const telemetry::Labels labels = {{"lookup", plan.lookups[i]->schema.name}};
    loads_.push_back(&metrics.counter("streamobs_lookup_loads_total",
                                      "Versions of a look-up table that were taken over.", labels));
    rows_.push_back(&metrics.gauge("streamobs_lookup_rows", "Rows of a look-up table.", labels));
  }
}

void Lookups::set(std::size_t index, std::shared_ptr<const LookupTable> table, std::string text,
                  Timestamp at) {
  rows_[index]->set(table == nullptr ? 0 : static_cast<double>(table->rows()));
  LookupTables tables = *now_;
  tables.tables[index] = std::move(table);
  const std::lock_guard lock(mutex_);
  states_[index].rows = tables.tables[index] == nullptr ? 0 : tables.tables[index]->rows();
  states_[index].digest = text.empty() ? 0 : hash_bytes(text);
  states_[index].since = at;
  now_ = std::make_shared<const LookupTables>(std::move(tables));
  texts_[index] = {at, std::move(text)};
}

void Lookups::take(LookupVersion version, Timestamp at) {
  const decode::LookupPlan& lookup = *plan_.lookups[version.index];
  loads_[version.index]->add();
  log::info(has(version.index) ? "a look-up table has another version: events see it from here on"
                               : "a look-up table has been read: events see it from here on",
            {{"lookup", lookup.schema.name},
             {"file", lookup.options.path},
             {"rows", version.table->rows()}});
  if (const std::string blanks = lookup.blank_keys(*version.table); !blanks.empty()) {
    log::warn("a look-up table's keys have blanks round them",
              {{"lookup", lookup.schema.name}, {"file", lookup.options.path}, {"keys", blanks}});
  }
  if (const std::string times = lookup.idle_times(); !times.empty()) {
    log::info(
        "a look-up table has a column of times that nothing goes by: if rows hold from then on, "
        "say so with valid_from",
        {{"lookup", lookup.schema.name}, {"column", times}});
  }
  set(version.index, std::move(version.table), std::move(version.text), at);
}

void Lookups::take(const wal::LookupLoaded& record) {
  for (std::size_t i = 0; i < plan_.lookups.size(); ++i) {
    if (plan_.lookups[i]->schema.name != record.lookup) continue;
    Result<std::shared_ptr<const LookupTable>> table = plan_.lookups[i]->read(record.text);
    if (table.has_error()) {
      log::warn(
          "what the log has of a look-up table does not fit its columns of now: nothing is found "
          "in it until its file has been read",
          {{"lookup", record.lookup}, {"error", table.error().message}});
      set(i, nullptr, {}, 0);
    } else {
      set(i, std::move(*table), record.text, record.at);
    }
    return;
  }
}

void Lookups::snapshot(std::string& out) const {
  put_u8(out, kSnapshotVersion);
  put_varint(out, texts_.size());
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    put_text(out, plan_.lookups[i]->schema.name);
    put_signed(out, texts_[i].at);
    put_text(out, texts_[i].text);
  }
}

Result<> Lookups::restore(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.u8() != kSnapshotVersion) return damaged();
  std::vector<wal::LookupLoaded> versions(in.count());
  for (wal::LookupLoaded& version : versions) {
    version.lookup = in.text();
    version.at = in.signed_varint();
    version.text = in.text();
  }
  if (!in.ok() || !in.at_end()) return damaged();
  for (const wal::LookupLoaded& version : versions) {
    if (!version.text.empty()) take(version);
  }
  return {};
}

Lookups::State Lookups::state(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return states_[index];
}

LookupFiles::LookupFiles(const Plan& plan, telemetry::Registry& metrics)
    : plan_(plan), seen_(plan.lookups.size()), errors_(plan.lookups.size()) {
  for (const auto& lookup : plan.lookups) {
    failures_.push_back(&metrics.counter("streamobs_lookup_load_failures_total",
                                         "Versions of a look-up table's file that could not be "
                                         "taken over: the one before stays in force.",
                                         {{"lookup", lookup->schema.name}}));
  }
}

Result<LookupFiles::Look> LookupFiles::look(std::size_t index) const {
  const decode::LookupOptions& options = plan_.lookups[index]->options;
  struct stat found{};
  if (::stat(options.path.c_str(), &found) != 0) {
    return fail(
        errno == ENOENT ? ErrorCode::not_found : ErrorCode::io,
        fmt::format("lookup {}: {}: {}", options.name.text, options.path, std::strerror(errno)));
  }
  if (!S_ISREG(found.st_mode)) {
    return fail(ErrorCode::invalid,
                fmt::format("lookup {}: {} is no file", options.name.text, options.path));
  }
  return Look{found.st_mtim.tv_sec * std::int64_t{1'000'000'000} + found.st_mtim.tv_nsec,
              static_cast<std::uint64_t>(found.st_size), found.st_ino};
}

Result<LookupVersion> LookupFiles::read(std::size_t index) {
  const decode::LookupPlan& lookup = *plan_.lookups[index];
  const Result<Look> before = look(index);
  if (before.has_error()) return note(index, before.error());
  seen_[index] = {*before, *before};
  if (before->size > decode::LookupPlan::kMaxBytes) {
    return note(index, fail(ErrorCode::too_large,
                            fmt::format("lookup {}: {} has {} bytes, a table has at most {}",
                                        lookup.schema.name, lookup.options.path, before->size,
                                        decode::LookupPlan::kMaxBytes)));
  }
  std::ifstream file(lookup.options.path, std::ios::binary);
  LookupVersion version;
  version.index = index;
  version.text.resize(before->size);
  file.read(version.text.data(), static_cast<std::streamsize>(version.text.size()));
  if (!file) {
    return note(index, fail(ErrorCode::io, fmt::format("lookup {}: {} cannot be read",
                                                       lookup.schema.name, lookup.options.path)));
  }
  const Result<Look> after = look(index);
  if (after.has_error() || *after != *before) {
    return note(index, fail(ErrorCode::unavailable,
                            fmt::format("lookup {}: {} was replaced while it was read; it is read "
                                        "again at the next look",
                                        lookup.schema.name, lookup.options.path)));
  }
  Result<std::shared_ptr<const LookupTable>> table = lookup.read(version.text);
  if (table.has_error()) {
    return note(index, fail(table.error().code, fmt::format("lookup {}: {}", lookup.schema.name,
                                                            table.error().message)));
  }
  version.table = std::move(*table);
  return note(index, std::move(version));
}

Result<LookupVersion> LookupFiles::read_if_changed(std::size_t index) {
  const Result<Look> now = look(index);
  if (now.has_error()) {
    // Told once, until something else is there.
    if (std::exchange(seen_[index], {}) == Seen{}) return LookupVersion{};
    return note(index, now.error());
  }
  const bool settled = *now == seen_[index].last;
  seen_[index].last = *now;
  if (*now == seen_[index].read || !settled) return LookupVersion{};
  return read(index);
}

Result<LookupVersion> LookupFiles::note(std::size_t index, Result<LookupVersion> version) {
  if (version.has_error()) failures_[index]->add();
  const std::lock_guard lock(mutex_);
  if (version.has_value() && !errors_[index].empty()) {
    log::info("a look-up table's file can be taken over again",
              {{"file", plan_.lookups[index]->options.path}});
  }
  errors_[index] = version.has_error() ? version.error().message : std::string();
  return version;
}

std::string LookupFiles::error(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return errors_[index];
}

void check_lookup_files(const Plan& plan, Diagnostics& diagnostics) {
  telemetry::Registry unseen;
  LookupFiles files(plan, unseen);
  for (std::size_t i = 0; i < plan.lookups.size(); ++i) {
    const decode::LookupPlan& lookup = *plan.lookups[i];
    const Result<LookupVersion> read = files.read(i);
    if (read.has_error()) {
      diagnostics.push_back(
          {Diagnostic::Severity::error, lookup.options.name.place, read.error().message, "", ""});
    } else if (const std::string blanks = lookup.blank_keys(*read->table); !blanks.empty()) {
      diagnostics.push_back(
          {Diagnostic::Severity::warning, lookup.options.name.place,
           fmt::format("lookup {}: {}: {}", lookup.schema.name, lookup.options.path, blanks),
           "take the blanks out of the file", ""});
    }
  }
}

}  // namespace streamobs::app

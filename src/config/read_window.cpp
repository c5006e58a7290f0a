// [window.NAME] and [rule.NAME].
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "base/time_format.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

using window::NamedExpression;
using window::WindowOptions;

/// Columns that every result has, in the API, the view or the table behind it.
constexpr std::string_view kReservedColumns[] = {"window_start", "window_end", "closed", "revision",
                                                 "window",       "overflow",   "state",  "_key"};
/// Views and tables that the store has anyway, and the beginnings of others: its tables behind the
/// views are window_NAME, and sqlite_ is SQLite's own.
constexpr std::string_view kReservedViews[] = {"anomalies",        "anomaly",      "incidents",
                                               "incident",         "dead_letters", "dead_letter",
                                               "dead_letter_count"};
constexpr std::string_view kReservedPrefixes[] = {"sqlite_", "window_", "streamobs_"};

constexpr Choice<bool> kLate[] = {{"dead_letter", false}, {"update", true}};
constexpr Choice<bool> kBaselines[] = {{"all", false}, {"unflagged", true}};
constexpr Choice<Severity> kSeverities[] = {{"low", Severity::low},
                                            {"medium", Severity::medium},
                                            {"high", Severity::high},
                                            {"critical", Severity::critical}};

/// Adds a key or a metric under a name that SQL takes as it is and that no other column has.
void add_column(std::vector<NamedExpression>& out, const NamedExpression& column,
                WindowOptions& window, std::string_view what, Report& report) {
  const bool missing = window.names_missing;
  window.names_missing = true;
  const std::string name = lower(column.name.text);
  const auto same = [&](const NamedExpression& other) { return lower(other.name.text) == name; };
  if (!is_identifier(column.name.text)) {
    report.error(span_of(column.name),
                 fmt::format("{}: \"{}\" cannot name a column", what, column.name.text),
                 what == "by"
                     ? "give it a name: by = { my_key = \"" + column.expression.text + "\" }"
                     : "use letters, digits and _, and begin with a letter");
  } else if (std::find(std::begin(kReservedColumns), std::end(kReservedColumns), name) !=
             std::end(kReservedColumns)) {
    report.error(span_of(column.name),
                 fmt::format("{}: results have a column {} already", what, column.name.text),
                 "choose another name");
  } else if (std::any_of(window.by.begin(), window.by.end(), same) ||
             std::any_of(window.select.begin(), window.select.end(), same)) {
    report.error(span_of(column.name),
                 fmt::format("{}: there is a column {} already", what, column.name.text),
                 "SQL does not tell upper from lower case: choose another name");
  } else {
    out.push_back(column);
    window.names_missing = missing;
  }
}

void read_column_table(const Value& value, std::string_view what, WindowOptions& window,
                       std::vector<NamedExpression>& out, Report& report) {
  for (const Entry& entry : value.entries) {
    const auto text = expression_of(entry.value, fmt::format("{}.{}", what, entry.key), report);
    const NamedExpression column{SourceText(entry.key, report.file().place(entry.key_span)),
                                 text.value_or(SourceText())};
    add_column(out, column, window, what, report);
  }
}

/// by = ["service"] or by = { category = "product_category" }.
void read_by(const TableReader& table, WindowOptions& out) {
  const Value* by = table.find("by");
  if (by == nullptr) return;
  if (by->kind == Value::Kind::table) {
    read_column_table(*by, "by", out, out.by, table.report());
    return;
  }
  if (by->kind != Value::Kind::array) {
    out.names_missing = true;
    table.error("by", "expected a list of keys, found " + describe(*by),
                by->kind == Value::Kind::string ? fmt::format("write by = [\"{}\"]", by->text)
                                                : std::string("write by = [\"service\"]"));
    return;
  }
  for (const Value& item : by->items) {
    const auto text = expression_of(item, "by", table.report());
    if (text) {
      add_column(out.by, {*text, *text}, out, "by", table.report());
    } else {
      out.names_missing = true;
    }
  }
}

void read_select(const TableReader& table, WindowOptions& out) {
  const Value* select = table.find("select");
  if (select == nullptr || (select->kind == Value::Kind::table && select->entries.empty())) {
    out.names_missing = true;
    table.missing("select", "what is to be computed? select = { request_count = \"count(*)\" }");
    return;
  }
  if (select->kind != Value::Kind::table) {
    out.names_missing = true;
    table.error("select", "expected a table of names and expressions, found " + describe(*select),
                "write select = { request_count = \"count(*)\" }");
    return;
  }
  read_column_table(*select, "select", out, out.select, table.report());
}

/// emit_every = "2s"; "0s" or false for never.
void read_emit_every(const TableReader& table, WindowOptions& out) {
  const Value* value = table.find("emit_every");
  if (value == nullptr) return;
  if (value->kind == Value::Kind::boolean) {
    if (value->boolean) {
      table.error("emit_every", "true says nothing about how often",
                  "emit_every = \"2s\", or false");
    } else {
      out.emit_every = 0;
    }
    return;
  }
  Duration every = out.emit_every;
  table.duration("emit_every", 0, kHour, every);
  if (every != 0 && every < 10 * kMillisecond) {
    table.error("emit_every", "more often than a hundred times a second",
                "\"10ms\" or longer, or false for never");
    return;
  }
  out.emit_every = every;
}

/// Of one key, waiting for stragglers.
constexpr Duration kMaxOpenWindows = 10'000;

/// False where there is no telling the size, so that nothing can be measured by it.
bool read_size(const TableReader& table, WindowOptions& out) {
  const Value* written = table.find("size");
  if (written == nullptr) {
    table.missing("size", "how long is a window? size = \"1m\"");
    return false;
  }
  if (written->kind == Value::Kind::string) {
    out.size_text = SourceText(written->text, written->inner);
  }
  Duration size = 0;
  table.duration("size", kSecond, 366 * kDay, size);
  if (size == 0) return false;
  out.size = size;
  return true;
}

/// Where sessions end at the latest.
void read_cut(const TableReader& table, WindowOptions& out) {
  if (!table.has("cut_every")) return;
  table.duration("cut_every", kSecond, 366 * kDay, out.cut_every);
  if (out.cut_every == 0) return;
  if (out.cut_every <= out.gap) {
    table.error("cut_every", "sessions would be cut before they could end by their gap",
                "make it longer than the gap, or use size in place of both");
    out.cut_every = 0;
  } else if (window::session_pane(out.gap, out.cut_every) == 0) {
    table.error("cut_every", "it cannot be divided evenly into parts of an eighth of the gap",
                "choose a rounder one, as \"1h\" or \"1d\"");
    out.cut_every = 0;
  }
}

/// A session has no size but the gap that ends it. False where this is no session.
bool read_gap(const TableReader& table, WindowOptions& out) {
  if (!table.has("gap")) return false;
  table.duration("gap", kSecond, 31 * kDay, out.gap);
  if (out.gap == 0) out.gap = kMinute;  // Which has been told.
  out.size = out.gap;
  for (const std::string_view other : {"size", "hop", "timezone"}) {
    if (!table.has(other)) continue;
    table.error(other, fmt::format("a session has a gap and no {}", other),
                other == "size" ? "cut_every ends sessions at full hours, say; or remove gap for "
                                  "windows of one length"
                                : "remove it, or remove gap for windows of one length");
  }
  read_cut(table, out);
  return true;
}

void read_hop(const TableReader& table, WindowOptions& out) {
  const Value* written = table.find("hop");
  if (written == nullptr) return;
  if (written->kind == Value::Kind::string) {
    out.hop_text = SourceText(written->text, written->inner);
  }
  table.duration("hop", kSecond, 366 * kDay, out.hop);
}

/// late = "update" and how long it goes for; of a session neither.
void read_late(const TableReader& table, WindowOptions& out) {
  bool update = false;
  if (table.has("late") && !table.choice("late", kLate, update)) return;
  if (update && out.gap != 0) {
    table.error("late", "sessions are not corrected once they have closed",
                "one late event may join two of them, and rows would have to be taken back; "
                "allowed_lateness keeps sessions open for longer");
    return;
  }
  if (update) out.correct_for = kHour;
  if (!table.has("correct_for")) return;
  if (!update) {
    table.error("correct_for", "closed windows are corrected only with late = \"update\"",
                "add late = \"update\", or remove it");
    return;
  }
  table.duration("correct_for", kSecond, 31 * kDay, out.correct_for);
}

/// How much can be open at a time follows from the lateness, and how much is kept of what has
/// closed from correct_for: memory must stay bounded.
void check_lateness(const TableReader& table, const WindowOptions& window) {
  Duration pane = window.size;
  std::string_view unit = "windows";
  std::string_view way_out = "the size; make the windows longer";
  if (window.gap != 0) {
    pane = window::session_pane(window.gap, window.cut_every);
    unit = "eighths of the gap";
    way_out = "an eighth of the gap; make it longer";
  } else if (window.hop != 0 && window.hop != window.size) {
    pane = window.hop;
    unit = "hops";
    way_out = "the hop; make it longer";
  }
  const Duration open = window.allowed_lateness / pane;
  if (open > kMaxOpenWindows) {
    table.error("allowed_lateness",
                fmt::format("this is {} {} long: as many would be open at a time", open, unit),
                fmt::format("at most {} times {}, or wait less", kMaxOpenWindows, way_out));
    return;
  }
  const Duration kept = (window.allowed_lateness + window.correct_for) / pane;
  if (kept <= kMaxOpenWindows) return;
  table.error("correct_for",
              fmt::format("with allowed_lateness this is {} {} long: as many would be in memory at "
                          "a time",
                          kept, unit),
              fmt::format("at most {} times {}, or correct for less", kMaxOpenWindows, way_out));
}

void check_zone(const TableReader& table, WindowOptions& window) {
  if (window.timezone.empty() || window.size % kDay == 0) return;
  table.error("timezone", "only windows of whole days have a time zone",
              "remove it: windows of minutes and hours begin at full ones in UTC, which most "
              "zones share");
  window.timezone.clear();
}

constexpr Duration kKeepMax = 36'600 * kDay;

/// Windows that are as long as an hour or a day are kept for as long as hours or days are.
store::WindowKeep default_keep(Duration size) {
  store::WindowKeep keep;
  if (size >= kDay) {
    keep.raw = keep.daily;
  } else if (size >= kHour) {
    keep.raw = keep.hourly;
  }
  return keep;
}

/// What a window's rows are merged to.
struct Merged {
  std::string_view key;
  Duration step;
  std::string_view step_name;
};

bool fills(const WindowOptions& window, const Merged& merged) {
  return window.gap == 0 && window.size < merged.step && merged.step % window.size == 0;
}

/// hourly = "365d", or false for none.
void read_merged(const TableReader& table, const Merged& merged, const WindowOptions& window,
                 Duration& out) {
  const Value& value = *table.find(merged.key);
  if (value.kind == Value::Kind::boolean) {
    if (value.boolean) {
      table.error(merged.key, "true does not say for how long",
                  fmt::format("{} = \"365d\", or remove it for what it is by default", merged.key));
    }
    out = 0;
    return;
  }
  table.duration(merged.key, kHour, kKeepMax, out);
  if (fills(window, merged)) return;
  const std::string what = window.gap != 0
                               ? std::string("sessions do")
                               : fmt::format("a window of {} does", window.size_text.text);
  table.error(merged.key,
              fmt::format("{} not fill {} together with others of its kind, so its rows cannot be "
                          "merged",
                          what, merged.step_name),
              "remove it: raw says how long the rows themselves are kept");
}

/// keep = { raw = "90d", hourly = "365d", daily = "1095d" }
store::WindowKeep read_keep(const TableReader& window, const WindowOptions& out) {
  store::WindowKeep keep = default_keep(out.gap != 0 ? 0 : out.size);
  const std::pair<Merged, Duration*> coarser[] = {{{"hourly", kHour, "an hour"}, &keep.hourly},
                                                  {{"daily", kDay, "a day"}, &keep.daily}};
  for (const auto& [merged, kept] : coarser) {
    if (!fills(out, merged)) *kept = 0;
  }
  const Value* value = window.find("keep");
  if (value == nullptr) return keep;
  if (value->kind != Value::Kind::table) {
    window.error("keep", "expected how long rows are kept, found " + describe(*value),
                 "keep = { raw = \"90d\", hourly = \"365d\", daily = \"1095d\" }");
    return keep;
  }
  const TableReader table(*value, value->span, "[window.NAME.keep]", kWindowKeep, window.report());
  table.duration("raw", kHour, kKeepMax, keep.raw);
  for (const auto& [merged, kept] : coarser) {
    if (table.has(merged.key)) read_merged(table, merged, out, *kept);
  }
  table.text("archive", keep.archive);
  return keep;
}

/// A window is corrected only while its row is there, with all of its day: what is removed is
/// removed by whole days of event time, behind the newest row.
void check_kept_for_corrections(const TableReader& table, const WindowOptions& window,
                                const store::WindowKeep& keep) {
  const Duration needed = window.allowed_lateness + window.correct_for + window.size;
  if (window.correct_for == 0 || keep.raw >= needed) return;
  table.error("correct_for",
              fmt::format("rows would be corrected that are removed already: they are kept for {} "
                          "(keep.raw), and with size and allowed_lateness this reaches back {}",
                          streamobs::to_text(keep.raw), streamobs::to_text(needed)),
              fmt::format("keep = {{ raw = \"{}\" }} or longer, or correct for less",
                          streamobs::to_text(needed)));
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool check_view_name(const Entry& entry, std::string_view what, Report& report) {
  const std::string name = lower(entry.key);
  const bool reserved =
      std::find(std::begin(kReservedViews), std::end(kReservedViews), name) !=
          std::end(kReservedViews) ||
      std::any_of(std::begin(kReservedPrefixes), std::end(kReservedPrefixes),
                  [&](std::string_view prefix) { return name.starts_with(prefix); });
  if (!is_identifier(entry.key)) {
    report.error(entry.key_span, fmt::format("\"{}\" cannot name a {}", entry.key, what),
                 "its results are an SQL view of this name: use letters, digits and _, and begin "
                 "with a letter");
  } else if (reserved) {
    report.error(entry.key_span,
                 fmt::format("the database keeps the name {} for itself", entry.key),
                 fmt::format("choose another name for the {}", what));
  }
  return is_identifier(entry.key) && !reserved;
}

void read_window(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[window.{}]", entry.key),
                          kWindow, report);
  WindowOptions out;
  out.name = SourceText(entry.key, report.file().place(entry.key_span));
  check_view_name(entry, "window", report);
  table.text("from", out.from);
  const bool session = read_gap(table, out);
  if (!session && table.has("cut_every")) {
    table.error("cut_every", "only sessions are cut", "remove it, or take gap in place of size");
  }
  const bool sized = session || read_size(table, out);
  if (!session) {
    read_hop(table, out);
    read_time_zone(table, out.timezone);
  }
  out.names_missing = table.lost_names();
  read_by(table, out);
  table.expression("where", out.where);
  read_select(table, out);
  table.duration("allowed_lateness", 0, 31 * kDay, out.allowed_lateness);
  read_late(table, out);
  if (sized) {
    check_lateness(table, out);
    check_zone(table, out);
  } else {
    out.timezone.clear();
  }
  table.integer("max_keys", 1, 100'000'000, out.max_keys);
  read_emit_every(table, out);
  config.store.keep[entry.key] = read_keep(table, out);
  if (sized) check_kept_for_corrections(table, out, config.store.keep[entry.key]);
  const bool twice =
      std::any_of(config.windows.begin(), config.windows.end(),
                  [&](const WindowOptions& w) { return lower(w.name.text) == lower(entry.key); });
  if (twice) {
    report.error(entry.key_span, fmt::format("there is a window {} already", entry.key),
                 "SQL does not tell upper from lower case: choose another name");
  }
  config.windows.push_back(std::move(out));
}

void read_rule(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[rule.{}]", entry.key), kRule,
                          report);
  detect::RuleOptions out;
  out.name = label_of(entry, "rule", ": it is the anomaly_type of what it finds", report);
  table.text("on", out.on);
  if (!table.has("on")) table.missing("on", "which window's results does it judge? on = \"…\"");
  table.expression("when", out.when);
  if (!table.has("when")) {
    table.missing("when", "what is an anomaly? when = \"error_rate > 0.05\"");
  }
  table.duration("for", 0, 31 * kDay, out.hold);
  table.choice("severity", kSeverities, out.severity);
  table.text("metric", out.metric);
  table.text("description", out.description);
  table.integer("warmup", 0, 10'000, out.warmup_windows);
  table.choice("baseline_over", kBaselines, out.baseline_over_unflagged);
  table.duration("keep_firing_for", 0, 31 * kDay, out.keep_firing_for);
  config.rules.push_back(std::move(out));
}

}  // namespace streamobs::config

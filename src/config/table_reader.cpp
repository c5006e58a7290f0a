#include "config/table_reader.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/time_format.h"
#include "base/wording.h"

namespace streamobs::config {

namespace {

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

/// 8388608 → "8MiB", 1000 → "1000B".
std::string bytes_text(std::size_t bytes) {
  constexpr std::string_view kUnits[] = {"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit].empty() ? "B" : kUnits[unit]);
}

/// "8MiB", "64KB", "512": whole numbers only; KB is 1000 bytes, KiB 1024.
std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::uint64_t bytes;
  };
  static constexpr Unit kUnits[] = {{"", 1},
                                    {"b", 1},
                                    {"kb", 1'000},
                                    {"mb", 1'000'000},
                                    {"gb", 1'000'000'000},
                                    {"tb", 1'000'000'000'000},
                                    {"kib", 1 << 10},
                                    {"mib", 1 << 20},
                                    {"gib", 1 << 30},
                                    {"tib", std::uint64_t{1} << 40}};
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  std::string unit;
  for (const char c : text.substr(static_cast<std::size_t>(end - text.data()))) {
    if (c == ' ' && unit.empty()) continue;
    unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  for (const Unit& u : kUnits) {
    std::uint64_t bytes = 0;
    if (unit == u.name && !__builtin_mul_overflow(count, u.bytes, &bytes)) return bytes;
  }
  return std::nullopt;
}

bool sounds_unlimited(const Value& value) {
  if (value.kind == Value::Kind::integer) return value.integer <= 0;
  return value.text == "unlimited" || value.text == "none" || value.text == "infinite";
}

}  // namespace

TableReader::TableReader(const Value& table, Span at, std::string title, const Section& section,
                         Report& report)
    : table_(table), at_(at), title_(std::move(title)), section_(section), report_(report) {
  for (const Entry& entry : table_.entries) {
    if (std::find(section.keys.begin(), section.keys.end(), entry.key) != section.keys.end()) {
      continue;
    }
    const std::string message = fmt::format("unknown key \"{}\" {} {}", entry.key,
                                            &section == &kTopLevel ? "at" : "in", title_);
    const std::string hint = unknown_key_hint(section, entry.key);
    // A misspelt `token` may have the secret itself on its line.
    if (&section == &kHttp && hint.find("\"token\"") != std::string::npos) {
      report_.error_without_excerpt(entry.key_span, message, hint);
    } else {
      report_.error(entry.key_span, message, hint);
    }
    const std::string_view meant = key_meant(section, entry.key);
    if (!meant.empty()) {
      slips_.push_back({&entry, meant});
    } else if (entry.value.kind == Value::Kind::table || entry.value.kind == Value::Kind::array) {
      lost_names_ = true;
    }
  }
}

std::string_view TableReader::key_of(const Entry& entry) const {
  const auto key = std::find(section_.keys.begin(), section_.keys.end(), entry.key);
  if (key != section_.keys.end()) return *key;
  const auto slip =
      std::find_if(slips_.begin(), slips_.end(), [&](const Slip& s) { return s.entry == &entry; });
  return slip == slips_.end() ? std::string_view() : slip->key;
}

const Value* TableReader::find(std::string_view key) const {
  if (std::find(section_.keys.begin(), section_.keys.end(), key) == section_.keys.end()) {
    throw std::logic_error(fmt::format("{} is not a key of {}", key, section_.name));
  }
  if (const Value* value = table_.find(key)) return value;
  const auto slip =
      std::find_if(slips_.begin(), slips_.end(), [&](const Slip& s) { return s.key == key; });
  return slip == slips_.end() ? nullptr : &slip->entry->value;
}

const Value* TableReader::of_kind(std::string_view key, Value::Kind kind, std::string_view expected,
                                  std::string_view hint) const {
  const Value* value = find(key);
  if (value == nullptr || value->kind == kind) return value;
  report_.error(value->span,
                fmt::format("{}: expected {}, found {}", key, expected, describe(*value)),
                std::string(hint));
  return nullptr;
}

void TableReader::text(std::string_view key, SourceText& out) const {
  const Value* value = find(key);
  if (value == nullptr) return;
  if (auto text = text_of(*value, key, report_)) out = std::move(*text);
}

void TableReader::text(std::string_view key, std::string& out) const {
  SourceText text;
  this->text(key, text);
  if (!text.empty()) out = std::move(text.text);
}

void TableReader::expression(std::string_view key, SourceText& out) const {
  const Value* value = find(key);
  if (value == nullptr) return;
  if (auto text = expression_of(*value, key, report_)) out = std::move(*text);
}

void TableReader::texts(std::string_view key, std::vector<SourceText>& out) const {
  const Value* list =
      of_kind(key, Value::Kind::array, "a list", fmt::format("write {} = [\"…\"]", key));
  if (list == nullptr) return;
  for (const Value& item : list->items) {
    if (auto text = text_of(item, key, report_)) out.push_back(std::move(*text));
  }
}

void TableReader::flag(std::string_view key, bool& out) const {
  const Value* value = find(key);
  const bool quoted = value != nullptr && (value->text == "true" || value->text == "false");
  value = of_kind(key, Value::Kind::boolean, "true or false",
                  quoted ? fmt::format("without quotes: {} = {}", key, value->text) : "");
  if (value != nullptr) out = value->boolean;
}

bool TableReader::read_integer(std::string_view key, std::int64_t least, std::int64_t most,
                               std::int64_t& out) const {
  const Value* value = find(key);
  if (value == nullptr) return false;
  const bool quoted =
      !value->text.empty() && value->text.find_first_not_of("0123456789") == std::string::npos;
  value = of_kind(key, Value::Kind::integer, "a whole number",
                  quoted ? fmt::format("without quotes: {} = {}", key, value->text)
                         : fmt::format("from {} to {}", least, most));
  if (value == nullptr) return false;
  if (value->integer < least || value->integer > most) {
    error(key, fmt::format("{} is out of range", value->integer),
          fmt::format("from {} to {}", least, most));
    return false;
  }
  out = value->integer;
  return true;
}

void TableReader::number(std::string_view key, double least, double most, double& out) const {
  const Value* value = find(key);
  if (value == nullptr) return;
  double n = 0;
  if (value->kind == Value::Kind::integer) {
    n = static_cast<double>(value->integer);
  } else if (value->kind == Value::Kind::floating) {
    n = value->floating;
  } else {
    error(key, "expected a number, found " + describe(*value),
          fmt::format("from {} to {}, without quotes", least, most));
    return;
  }
  if (!(n >= least && n <= most)) {  // Also true for NaN.
    error(key, fmt::format("{} is out of range", n), fmt::format("from {} to {}", least, most));
    return;
  }
  out = n;
}

void TableReader::duration(std::string_view key, Duration least, Duration most,
                           Duration& out) const {
  const Value* value = find(key);
  if (value == nullptr) return;
  if (value->kind == Value::Kind::integer || value->kind == Value::Kind::floating) {
    error(key, "a duration needs a unit",
          fmt::format("{} = \"{}s\" if you mean seconds; units are ms, s, m, h, d, w", key,
                      value->kind == Value::Kind::integer ? fmt::format("{}", value->integer)
                                                          : std::string("1m30")));
    return;
  }
  const Value* string = of_kind(key, Value::Kind::string, "a duration such as \"10s\"", "");
  if (string == nullptr) return;
  const Result<Duration> parsed = parse_duration(string->text);
  if (!parsed) {
    error(key, fmt::format("\"{}\" is not a duration", string->text),
          "whole numbers with units, the largest first: \"500ms\", \"10s\", \"1h30m\", \"7d\"");
    return;
  }
  if (*parsed < least || *parsed > most) {
    error(key, fmt::format("\"{}\" is too {}", string->text, *parsed < least ? "short" : "long"),
          fmt::format("from {} to {}", least == 0 ? std::string("0s") : to_text(least),
                      to_text(most)));
    return;
  }
  out = *parsed;
}

void TableReader::bytes(std::string_view key, std::size_t least, std::size_t most,
                        std::size_t& out) const {
  const Value* value = find(key);
  if (value == nullptr) return;
  const std::string range = fmt::format("from {} to {}", bytes_text(least), bytes_text(most));
  if (sounds_unlimited(*value)) {
    error(key, "there must be a limit", range);
    return;
  }
  std::optional<std::uint64_t> parsed;
  if (value->kind == Value::Kind::integer) parsed = static_cast<std::uint64_t>(value->integer);
  if (value->kind == Value::Kind::string) parsed = parse_bytes(value->text);
  if (!parsed) {
    error(key, "expected a number of bytes, found " + describe(*value),
          "a whole number, or a text such as \"64KB\" or \"8MiB\"");
    return;
  }
  if (*parsed < least || *parsed > most) {
    error(key, fmt::format("{} is out of range", describe(*value)), range);
    return;
  }
  out = static_cast<std::size_t>(*parsed);
}

std::optional<std::size_t> TableReader::read_choice(
    std::string_view key, const std::vector<std::string_view>& words) const {
  const Value* value = of_kind(key, Value::Kind::string, "one of " + listed(words), "");
  if (value == nullptr) return std::nullopt;
  const auto found = std::find(words.begin(), words.end(), value->text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  error(key, fmt::format("\"{}\" is none of {}", value->text, listed(words)),
        did_you_mean(value->text, words, ""));
  return std::nullopt;
}

void TableReader::missing(std::string_view key, std::string hint) const {
  report_.error(at_, fmt::format("{} has no {}", title_, key), std::move(hint));
}

void TableReader::error(std::string_view key, std::string_view message, std::string hint) const {
  const Value* value = find(key);
  report_.error(value != nullptr ? value->span : at_, fmt::format("{}: {}", key, message),
                std::move(hint));
}

std::optional<SourceText> text_of(const Value& value, std::string_view what, Report& report) {
  if (value.kind != Value::Kind::string) {
    report.error(value.span,
                 fmt::format("{}: expected a text in quotes, found {}", what, describe(value)));
    return std::nullopt;
  }
  if (is_blank(value.text)) {
    report.error(value.span, fmt::format("{}: the text is empty", what),
                 "write something, or leave the key out");
    return std::nullopt;
  }
  return SourceText(value.text, value.inner);
}

std::optional<SourceText> expression_of(const Value& value, std::string_view what, Report& report) {
  if (value.kind == Value::Kind::string) return text_of(value, what, report);
  report.error(
      value.span,
      fmt::format("{}: expected an expression in quotes, found {}", what, describe(value)),
      fmt::format("put it in quotes: {} = \"…\"",
                  what.substr(what.find('.') == std::string_view::npos ? 0 : what.find('.') + 1)));
  return std::nullopt;
}

bool is_identifier(std::string_view name) {
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) return false;
  return is_label(name) && name.find('-') == std::string_view::npos;
}

bool is_label(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

SourceText label_of(const Entry& entry, std::string_view what, std::string_view why,
                    Report& report) {
  if (!is_label(entry.key)) {
    report.error(entry.key_span, fmt::format("\"{}\" cannot name a {}", entry.key, what),
                 fmt::format("use letters, digits, _ and -{}", why));
  }
  return SourceText(entry.key, report.file().place(entry.key_span));
}

Span span_of(const SourceText& text) {
  const auto length =
      static_cast<std::uint32_t>(std::count_if(text.text.begin(), text.text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
      }));
  return {text.place.line, text.place.column, std::max(length, 1u), text.place.file};
}

}  // namespace streamobs::config

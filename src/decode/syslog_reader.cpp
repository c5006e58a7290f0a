#include "decode/syslog_reader.h"

#include <algorithm>

#include "decode/options.h"
#include "decode/text_scan.h"
#include "event/dead_letter.h"

namespace streamobs::decode {

namespace {

constexpr unsigned kPriorityMax = 191;
constexpr std::string_view kNumbers[] = {"0",  "1",  "2",  "3",  "4",  "5",  "6",  "7",
                                         "8",  "9",  "10", "11", "12", "13", "14", "15",
                                         "16", "17", "18", "19", "20", "21", "22", "23"};

bool take(std::string_view& line, char c) {
  if (line.empty() || line.front() != c) return false;
  line.remove_prefix(1);
  return true;
}

/// What stands up to the next blank; the blank is taken too.
std::string_view take_word(std::string_view& line) {
  const std::size_t size = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, size);
  line.remove_prefix(std::min(size + 1, line.size()));
  return word;
}

std::string_view without_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

/// "Jan  9 12:34:56", with a fraction or without; 0 where the line does not begin with one.
std::size_t size_of_bsd_time(std::string_view line) {
  constexpr std::string_view kForm = "Aaa d1 11:11:11";
  if (line.size() < kForm.size()) return 0;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const char c = line[i];
    bool fits = c == kForm[i];
    if (kForm[i] == 'A') fits = c >= 'A' && c <= 'Z';
    if (kForm[i] == 'a') fits = c >= 'a' && c <= 'z';
    if (kForm[i] == '1') fits = is_digit(c);
    if (kForm[i] == 'd') fits = is_digit(c) || c == ' ';
    if (!fits) return 0;
  }
  std::size_t size = kForm.size();
  if (size + 1 < line.size() && line[size] == '.' && is_digit(line[size + 1])) {
    for (++size; size < line.size() && is_digit(line[size]);) ++size;
  }
  return size == line.size() || line[size] == ' ' || line[size] == ':' ? size : 0;
}

/// "2026-01-09T…": the word that begins so.
std::size_t size_of_iso_time(std::string_view line) {
  if (line.size() < 19 || line[4] != '-' || line[7] != '-' || line[10] != 'T') return 0;
  const std::size_t size = std::min(line.find(' '), line.size());
  return std::all_of(line.begin(), line.begin() + 4, [](char c) { return is_digit(c); }) ? size : 0;
}

}  // namespace

SyslogReader::SyslogReader(const FieldIndex& index, BatchWriter& writer, EventCollector& collector)
    : LineReader(index, writer, collector), wants_structured_data_(index.find("sd").prefix) {
  for (std::size_t part = 0; part < kParts; ++part) slots_[part] = slot_of(kSyslogFields[part]);
}

bool SyslogReader::read_parts(std::string_view line) {
  if (line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
  const bool has_priority = line.starts_with('<');
  if (has_priority && !read_priority(line)) {
    return fault(reason::not_a_record, "expected <0> to <191> at the start of the line");
  }
  if (has_priority && line.starts_with("1 ")) return read_rfc5424(line.substr(2));
  read_rfc3164(line);
  return true;
}

bool SyslogReader::read_priority(std::string_view& line) {
  const std::size_t close = line.find('>');
  if (close == std::string_view::npos || close < 2 || close > 4) return false;
  const std::string_view digits = line.substr(1, close - 1);
  unsigned value = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value > kPriorityMax) return false;
  set_part(priority, digits);
  set(slots_[facility], kNumbers[value / 8], false);
  set(slots_[severity], kNumbers[value % 8], false);
  line.remove_prefix(close + 1);
  return true;
}

bool SyslogReader::read_rfc5424(std::string_view line) {
  for (const Part part : {timestamp, hostname, app_name, proc_id, msg_id}) {
    const std::string_view word = take_word(line);
    if (word.empty()) {
      return fault(reason::not_a_record,
                   "RFC 5424: expected <priority>1 time host app process id [data] message");
    }
    set_part(part, word == "-" ? std::string_view() : word);
  }
  if (!take(line, '-')) {
    if (line.empty() || line.front() != '[') {
      return fault(reason::not_a_record,
                   "RFC 5424: expected - or [ID NAME=\"value\"] behind the id");
    }
    if (!read_structured_data(line)) {
      return fault(reason::not_a_record,
                   "RFC 5424: the structured data is not [ID NAME=\"value\"]");
    }
  }
  if (!line.empty() && !take(line, ' ')) {
    return fault(reason::not_a_record, "RFC 5424: expected a blank in front of the message");
  }
  if (line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
  set_part(message, line);
  return true;
}

bool SyslogReader::read_structured_data(std::string_view& line) {
  while (take(line, '[')) {
    const std::size_t size = line.find_first_of(" ]\"=");
    if (size == std::string_view::npos || size == 0) return false;
    path_.assign("sd.").append(line.substr(0, size)).append(".");
    line.remove_prefix(size);
    while (take(line, ' ')) {
      if (!read_parameter(line)) return false;
    }
    if (!take(line, ']')) return false;
  }
  return true;
}

/// NAME="value", in which \" \\ and \] are taken back.
bool SyslogReader::read_parameter(std::string_view& line) {
  const std::size_t equals = line.find_first_of(" ]\"=");
  if (equals == std::string_view::npos || equals == 0 || line[equals] != '=') return false;
  const std::string_view name = line.substr(0, equals);
  line.remove_prefix(equals + 1);
  if (!take(line, '"')) return false;
  std::size_t size = 0;
  bool escaped = false;
  const auto is_escape = [](char c) { return c == '"' || c == '\\' || c == ']'; };
  for (; size < line.size() && line[size] != '"'; ++size) {
    if (line[size] != '\\' || size + 1 == line.size() || !is_escape(line[size + 1])) continue;
    ++size;
    escaped = true;
  }
  if (size >= line.size()) return false;
  std::string_view value = line.substr(0, size);
  line.remove_prefix(size + 1);
  if (!wants_structured_data_) return true;
  const std::size_t id_size = path_.size();
  const std::uint32_t slot = slot_of(path_.append(name));
  path_.resize(id_size);
  if (slot == FieldIndex::kNone) return true;
  if (escaped) {
    char* const plain = room_for(value);
    char* out = plain;
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (value[i] == '\\' && i + 1 < value.size() && is_escape(value[i + 1])) ++i;
      *out++ = value[i];
    }
    value = {plain, static_cast<std::size_t>(out - plain)};
  }
  set(slot, value);
  return true;
}

void SyslogReader::read_rfc3164(std::string_view line) {
  std::size_t time_size = size_of_bsd_time(line);
  if (time_size == 0) time_size = size_of_iso_time(line);
  if (time_size == 0) {
    set_part(message, line);
    return;
  }
  set_part(timestamp, line.substr(0, time_size));
  line.remove_prefix(time_size);
  take(line, ':');
  line = without_blanks(line);

  // host tag[pid]: text, or without the host.
  std::string_view rest = line;
  const std::string_view first = take_word(rest);
  if (!first.ends_with(':')) {
    set_part(hostname, first);
    line = without_blanks(rest);
  }
  rest = line;
  std::string_view tag = take_word(rest);
  const std::size_t pid_end = tag.find("]:");
  if (pid_end != std::string_view::npos) {
    const std::size_t pid = tag.find('[');
    if (pid != std::string_view::npos && pid != 0 && pid < pid_end) {
      set_part(app_name, tag.substr(0, pid));
      set_part(proc_id, tag.substr(pid + 1, pid_end - pid - 1));
      line.remove_prefix(pid_end + 2);
      line = without_blanks(line);
    }
  } else if (tag.ends_with(':') && tag.size() > 1) {
    set_part(app_name, tag.substr(0, tag.size() - 1));
    line = without_blanks(rest);
  }
  set_part(message, line);
}

}  // namespace streamobs::decode

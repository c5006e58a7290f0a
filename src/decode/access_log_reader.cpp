#include "decode/access_log_reader.h"

#include <algorithm>

#include "decode/options.h"
#include "event/dead_letter.h"

namespace streamobs::decode {

namespace {

bool take(std::string_view& line, char c) {
  if (line.empty() || line.front() != c) return false;
  line.remove_prefix(1);
  return true;
}

}  // namespace

AccessLogReader::AccessLogReader(const FieldIndex& index, BatchWriter& writer,
                                 EventCollector& collector)
    : LineReader(index, writer, collector) {
  for (std::size_t part = 0; part < kParts; ++part) slots_[part] = slot_of(kAccessLogFields[part]);
}

bool AccessLogReader::read_parts(std::string_view line) {
  if (read_all(line)) return true;
  return fault(reason::not_a_record,
               "expected: addr ident user [time] \"request\" status bytes \"referer\" "
               "\"user agent\"");
}

bool AccessLogReader::read_all(std::string_view line) {
  if (!word(line, remote_addr) || !take(line, ' ') || !word(line, ident) || !take(line, ' ') ||
      !word(line, remote_user) || !take(line, ' ') || !bracketed(line, time_local) ||
      !take(line, ' ') || !quoted(line, request) || !take(line, ' ') || !word(line, status) ||
      !take(line, ' ') || !word(line, bytes)) {
    return false;
  }
  if (line.empty()) return true;  // The common format.
  if (!take(line, ' ') || !quoted(line, referer) || !take(line, ' ') || !quoted(line, user_agent)) {
    return false;
  }
  return line.empty() || line.front() == ' ';
}

bool AccessLogReader::word(std::string_view& line, Part part) {
  const std::size_t size = std::min(line.find(' '), line.size());
  if (size == 0) return false;
  set_part(part, line.substr(0, size));
  line.remove_prefix(size);
  return true;
}

bool AccessLogReader::bracketed(std::string_view& line, Part part) {
  const std::size_t size = line.find(']');
  if (!take(line, '[') || size == std::string_view::npos) return false;
  set_part(part, line.substr(0, size - 1));
  line.remove_prefix(size);
  return true;
}

bool AccessLogReader::quoted(std::string_view& line, Part part) {
  if (!take(line, '"')) return false;
  std::size_t size = 0;
  bool escaped = false;
  for (; size < line.size() && line[size] != '"'; ++size) {
    if (line[size] != '\\' || size + 1 == line.size()) continue;
    ++size;
    escaped |= line[size] == '"' || line[size] == '\\';
  }
  // Loggers cut long lines: a user agent may lack its end.
  if (size >= line.size() && part != user_agent) return false;
  std::string_view text = line.substr(0, size);
  line.remove_prefix(std::min(size + 1, line.size()));
  if (escaped) {
    char* const plain = room_for(text);
    char* out = plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) {
        ++i;
      }
      *out++ = text[i];
    }
    text = {plain, static_cast<std::size_t>(out - plain)};
  }
  set_part(part, text);
  if (part == request) split_request(text);
  return true;
}

/// "GET /path HTTP/1.1": the path is what stands between the first blank and the last.
void AccessLogReader::split_request(std::string_view text) {
  const std::size_t first = text.find(' ');
  const std::size_t last = text.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last == first) return;
  if (!text.substr(last + 1).starts_with("HTTP/")) return;
  set_part(method, text.substr(0, first));
  set_part(path, text.substr(first + 1, last - first - 1));
  set_part(protocol, text.substr(last + 1));
}

}  // namespace streamobs::decode

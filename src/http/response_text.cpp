#include "http/response_text.h"

#include <charconv>
#include <cstdint>
#include <ctime>

namespace streamobs::http {

namespace {

void append_number(std::string& out, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

/// "Date: Tue, 09 Jan 2024 12:34:00 GMT", formatted once a second and thread.
std::string_view date_header(Timestamp now) {
  static thread_local std::int64_t cached_second = -1;
  static thread_local char text[48];
  static thread_local std::size_t size = 0;
  const std::int64_t second = now / kSecond;
  if (second != cached_second) {
    cached_second = second;
    const std::time_t time = static_cast<std::time_t>(second);
    std::tm utc{};
    gmtime_r(&time, &utc);
    size = std::strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
  }
  return {text, size};
}

}  // namespace

void append_status_line(std::string& out, int status, Timestamp now) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::uint64_t>(status));
  out += ' ';
  out += reason_phrase(status);
  out += "\r\n";
  out += date_header(now);
}

std::string_view body_of(const Response& response) {
  return response.fixed_body.data() != nullptr ? response.fixed_body
                                               : std::string_view(response.body);
}

bool has_content(const Response& response) {
  return response.status != 204 && response.status != 304;
}

void append_head(std::string& out, const Response& response, bool for_pages, Timestamp now) {
  append_status_line(out, response.status, now);
  if (has_content(response)) {
    out += "Content-Type: ";
    out += response.content_type;
    out += "\r\nContent-Length: ";
    append_number(out, body_of(response).size());
    out += "\r\n";
  }
  out += "Cache-Control: ";
  out += response.cache_control;
  out += "\r\nX-Content-Type-Options: nosniff\r\n";
  if (for_pages) out += kPageHeaders;
  for (const auto& [name, value] : response.headers) {
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
  }
}

}  // namespace streamobs::http

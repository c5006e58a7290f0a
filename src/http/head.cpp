#include "http/head.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <boost/asio/buffer.hpp>
#include <fmt/format.h>

#include "http/beast_parser.h"

namespace streamobs::http {

namespace {

constexpr std::string_view kTokenPunctuation = "!#$%&'*+-.^_`|~";

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (const char c : kTokenPunctuation) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kToken = make_token_table();

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Control bytes that may stand nowhere in a head; CR, LF and tab are looked at in their places.
constexpr std::array<bool, 256> make_control_table() {
  std::array<bool, 256> table{};
  for (int c = 0; c < 0x20; ++c) table[c] = c != '\t';
  table[0x7f] = true;
  return table;
}
constexpr std::array<bool, 256> kControl = make_control_table();

/// What Beast is too friendly about: lone CR or LF, NUL and other control bytes, folded lines.
std::optional<Refusal> check_bytes(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (!kControl[static_cast<unsigned char>(c)]) continue;
    if (c != '\r' || i + 1 == bytes.size() || bytes[i + 1] != '\n') {
      return Refusal{400,
                     "a control byte in the head: lines end with CR LF, and there is no other"};
    }
    ++i;
    if (i + 1 < bytes.size() && (bytes[i + 1] == ' ' || bytes[i + 1] == '\t')) {
      return Refusal{400, "a header line begins with white space: folded lines are not taken"};
    }
  }
  return std::nullopt;
}

class HeadParser final : public BeastRequestParser {
 public:
  explicit HeadParser(Head& head) : head_(head) {}

 private:
  void on_request_impl(boost::beast::http::verb, Text method, Text target, int version,
                       BeastError&) override {
    head_.method = to_std(method);
    head_.target = to_std(target);
    head_.http_1_1 = version == 11;
  }
  void on_field_impl(boost::beast::http::field, Text name, Text value, BeastError&) override {
    head_.fields.push_back({to_std(name), to_std(value)});
  }

  Head& head_;
};

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Fields that decide where the request ends, or whom it is for: exactly one of each, and plain.
std::optional<Refusal> check_framing(Head& head) {
  int hosts = 0;
  int lengths = 0;
  int codings = 0;
  for (const HeaderField& field : head.fields) {
    if (equals_ignoring_case(field.name, "host")) {
      ++hosts;
      head.host = field.value;
    } else if (equals_ignoring_case(field.name, "content-length")) {
      ++lengths;
      if (!all_digits(field.value) || field.value.size() > 18) {
        return Refusal{400, "Content-Length is not one whole number"};
      }
      for (const char c : field.value) {
        head.content_length = head.content_length * 10 + static_cast<std::uint64_t>(c - '0');
      }
    } else if (equals_ignoring_case(field.name, "transfer-encoding")) {
      ++codings;
      if (!equals_ignoring_case(field.value, "chunked")) {
        return Refusal{400, "Transfer-Encoding: only chunked is taken"};
      }
      head.chunked = true;
    } else if (equals_ignoring_case(field.name, "expect")) {
      if (!equals_ignoring_case(field.value, "100-continue")) {
        return Refusal{417, "Expect: only 100-continue is known"};
      }
      head.expect_continue = head.http_1_1;
    }
  }
  if (hosts != 1) {
    return Refusal{400, hosts == 0 ? "the Host field is missing" : "more than one Host field"};
  }
  if (lengths > 1) return Refusal{400, "more than one Content-Length"};
  if (codings > 1) return Refusal{400, "more than one Transfer-Encoding"};
  if (codings != 0 && lengths != 0) {
    return Refusal{400, "both Transfer-Encoding and Content-Length"};
  }
  if (codings != 0 && !head.http_1_1) {
    return Refusal{400, "HTTP/1.0 knows no Transfer-Encoding"};
  }
  return std::nullopt;
}

}  // namespace

Refusal too_large(std::string_view what, std::size_t bytes_max, std::string_view key) {
  return {413,
          fmt::format("the body {} than the {} bytes that [http] {} allows; send less at a time",
                      what, bytes_max, key)};
}

bool is_token_char(char c) {
  return kToken[static_cast<unsigned char>(c)];
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::optional<std::string_view> Head::find(std::string_view name) const {
  for (const HeaderField& field : fields) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return std::nullopt;
}

void Head::clear() {
  std::vector<HeaderField> kept = std::move(fields);
  kept.clear();
  *this = Head();
  fields = std::move(kept);
}

HeadScanner::State HeadScanner::scan(std::string_view bytes) {
  if (!bytes.empty() && !is_token_char(bytes.front())) return State::broken;
  while (position_ < bytes.size()) {
    const void* found = std::memchr(bytes.data() + position_, '\n', bytes.size() - position_);
    if (found == nullptr) {
      position_ = bytes.size();
      return State::incomplete;
    }
    const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
    if (at == line_start_ || bytes[at - 1] != '\r') return State::broken;
    position_ = at + 1;
    const bool empty_line = at - line_start_ == 1;
    line_start_ = position_;
    if (empty_line) return State::complete;
  }
  return State::incomplete;
}

std::optional<Refusal> parse_head(std::string_view bytes, Head& head) {
  head.clear();
  if (auto refusal = check_bytes(bytes)) return refusal;

  HeadParser parser(head);
  parser.header_limit(static_cast<std::uint32_t>(bytes.size() + 1));
  parser.body_limit(boost::none);
  BeastError error;
  parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (error || !parser.is_header_done()) {
    return Refusal{400, "not a request of HTTP/1.1: " +
                            (error ? error.message() : std::string("it ends too early"))};
  }
  head.keep_alive = parser.keep_alive();
  return check_framing(head);
}

}  // namespace streamobs::http

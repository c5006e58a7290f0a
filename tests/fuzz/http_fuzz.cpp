// The HTTP layer as far as it is synchronous: the head scanner, the head parser, targets,
// authorities, chunked bodies. No input may crash or hang it, and what our checks accept must hold:
//
// - however the bytes are cut, the scanner finds the same end;
// - what parse_head() takes, a plain Beast parser takes too, and reads the same from it;
// - a target that is taken decodes to UTF-8 without control bytes;
// - a chunked body is the same in one piece and byte by byte.
//
// The first byte of the input says which of them it is for.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <boost/asio/buffer.hpp>

#include "base/block_buffer.h"
#include "http/beast_parser.h"
#include "http/chunked.h"
#include "http/guard.h"
#include "http/head.h"
#include "http/target.h"

namespace {

using namespace streamobs;        // NOLINT
using namespace streamobs::http;  // NOLINT

void require(bool holds) {
  if (!holds) std::abort();
}

/// What a plain Beast parser makes of a head.
class Plain final : public BeastRequestParser {
 public:
  std::string method;
  std::string target;
  std::size_t fields = 0;

 private:
  void on_request_impl(boost::beast::http::verb, Text m, Text t, int, BeastError&) override {
    method = to_std(m);
    target = to_std(t);
  }
  void on_field_impl(boost::beast::http::field, Text, Text, BeastError&) override { ++fields; }
};

void check_head(std::string_view bytes) {
  HeadScanner whole;
  const HeadScanner::State state = whole.scan(bytes);
  HeadScanner pieces;
  HeadScanner::State last = HeadScanner::State::incomplete;
  for (std::size_t have = 1; have <= bytes.size() && last == HeadScanner::State::incomplete;
       ++have) {
    last = pieces.scan(bytes.substr(0, have));
  }
  require(last == state);
  if (state == HeadScanner::State::complete) {
    require(whole.length() == pieces.length() && whole.length() <= bytes.size());
    bytes = bytes.substr(0, whole.length());
  }
  Head head;
  const auto refusal = parse_head(bytes, head);
  if (refusal) {
    require(refusal->status >= 400 && refusal->status < 500);
    return;
  }
  Plain plain;
  plain.header_limit(static_cast<std::uint32_t>(bytes.size() + 1));
  plain.body_limit(boost::none);
  BeastError error;
  plain.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  require(!error && plain.is_header_done());
  require(plain.method == head.method && plain.target == head.target);
  require(plain.fields == head.fields.size());
  require(plain.chunked() == head.chunked && plain.keep_alive() == head.keep_alive);
  require(plain.content_length().value_or(0) == head.content_length);
  require(head.http_1_1 || !head.chunked);
  for (const HeaderField& field : head.fields) {
    require(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    require(std::all_of(field.name.begin(), field.name.end(), is_token_char));
  }
  Target target;
  (void)parse_target(head.target, head.host, target);
}

bool is_clean(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void check_target(std::string_view text) {
  Target target;
  if (parse_target(text, "localhost:8080", target)) return;
  require(target.query.size() <= kQueryParametersMax);
  for (const std::string_view segment : target.segments) require(is_clean(segment));
  for (const auto& [name, value] : target.query) require(is_clean(name) && is_clean(value));
  require(target.storage.size() <= text.size());
}

struct Decoded {
  bool refused = false;
  bool done = false;
  std::size_t eaten = 0;
  std::string body;
};

/// Feeds at most `step` more bytes at a time, as a connection does with what it has read.
Decoded decode(std::string_view bytes, std::size_t step) {
  BlockBuffer out;
  ChunkedDecoder decoder(out, 1 << 16);
  Decoded result;
  std::size_t have = 0;
  while (!decoder.done() && have < bytes.size()) {
    have = std::min(bytes.size(), have + step);
    std::size_t eaten = 0;
    if (decoder.feed(bytes.substr(result.eaten, have - result.eaten), eaten)) {
      result.refused = true;
      return result;
    }
    result.eaten += eaten;
    require(result.eaten <= have);
  }
  result.done = decoder.done();
  result.body = std::string(out.view());
  return result;
}

void check_chunked(std::string_view bytes) {
  const Decoded whole = decode(bytes, bytes.size() + 1);
  const Decoded pieces = decode(bytes, 1);
  require(whole.done == pieces.done);
  if (whole.done) require(whole.eaten == pieces.eaten && whole.body == pieces.body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      check_head(bytes);
      break;
    case 1:
      check_target(bytes);
      break;
    case 2:
      check_chunked(bytes);
      break;
    default:
      if (const auto authority = parse_authority(bytes)) {
        require(authority->host.size() + authority->port.size() <= bytes.size());
        require(!authority->host.empty() && is_clean(bytes));
      }
  }
  return 0;
}

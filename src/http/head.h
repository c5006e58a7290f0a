// The head of a request: found in the bytes of a connection, checked strictly, parsed by Beast.
//
// Beast lets through what makes two parsers disagree about where a request ends (obs-fold, several
// Content-Length, unknown codings …). So the raw bytes are checked before Beast sees them, and its
// fields after. Everything here is synchronous and knows no socket: the fuzzer drives it directly.
// A Head looks into the bytes it was parsed from and must not outlive them. One connection, one
// strand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace streamobs::http {

/// Why a request is not served: the status, and words for the person at the other end.
struct Refusal {
  int status = 400;
  std::string detail;
};

/// 413: `what` ("is longer", "inflates to more") than the key of [http] allows.
Refusal too_large(std::string_view what, std::size_t bytes_max, std::string_view key);

struct HeaderField {
  std::string_view name;   ///< As received.
  std::string_view value;  ///< Without the white space around it.
};

struct Head {
  std::string_view method;
  std::string_view target;
  std::string_view host;  ///< The one Host field.
  bool http_1_1 = true;
  bool keep_alive = true;
  bool expect_continue = false;
  bool chunked = false;
  std::uint64_t content_length = 0;
  std::vector<HeaderField> fields;

  /// The first field of that name (case does not matter), or nothing.
  std::optional<std::string_view> find(std::string_view name) const;
  /// Forgets everything but the memory of `fields`.
  void clear();
  bool has_body() const { return chunked || content_length != 0; }
};

/// Looks for the end of a head in bytes that arrive piece by piece.
class HeadScanner {
 public:
  enum class State { incomplete, complete, broken };

  /// `bytes` is all there is of the request so far; only what is new since the last call is read.
  /// Broken: a line does not end with CRLF, or the first byte cannot begin a request.
  State scan(std::string_view bytes);
  /// Length of the head with its empty line, once complete.
  std::size_t length() const { return position_; }
  void reset() { *this = HeadScanner(); }

 private:
  std::size_t position_ = 0;    ///< Up to here it has been scanned.
  std::size_t line_start_ = 0;  ///< Of the line that position_ stands in.
};

/// Parses and checks a whole head, from the request line to the empty line.
std::optional<Refusal> parse_head(std::string_view bytes, Head& head);

/// True where both are the same but for ASCII case.
bool equals_ignoring_case(std::string_view a, std::string_view b);
/// The bytes of a token of RFC 9110: names of methods and fields.
bool is_token_char(char c);

}  // namespace streamobs::http

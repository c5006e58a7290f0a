#include "decode/json_reader.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/json_text.h"
#include "base/short_text.h"
#include "decode/number_text.h"
#include "decode/text_scan.h"
#include "event/dead_letter.h"

namespace streamobs::decode {

namespace {

constexpr std::size_t kPadding = ShortText::kMax;

}  // namespace

bool is_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

namespace {

/// Whether there is no character at `p`.
bool starts_bad_utf8(const char* p, const char* end) {
  const auto first = static_cast<unsigned char>(*p);
  if (first < 0x80) return false;
  const std::ptrdiff_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return !is_utf8({p, static_cast<std::size_t>(std::min(size, end - p))});
}

}  // namespace

bool JsonReader::Key::operator==(const Key& other) const {
  return size == other.size && low == other.low && high == other.high &&
         (size <= 16 || std::memcmp(text, other.text, size) == 0);
}

bool JsonReader::Key::operator<(const Key& other) const {
  if (size != other.size) return size < other.size;
  if (low != other.low) return low < other.low;
  if (high != other.high) return high < other.high;
  return std::memcmp(text, other.text, size) < 0;
}

/// Bytes that are no text are told as such wherever they stand, not only in strings.
const char* JsonReader::fail(std::string_view reason, const char* at, std::string_view what) {
  if (reason == reason::not_json && at < end_ && starts_bad_utf8(at, end_)) {
    reason = reason::bad_utf8;
    what = "invalid UTF-8";
  }
  refusal_.reason = reason;
  refusal_.detail.clear();
  fmt::format_to(std::back_inserter(refusal_.detail), "{} at byte {}", what, at - begin_);
  return nullptr;
}

const char* JsonReader::read_event(const char* p, const char* end, Token* tokens) {
  begin_ = p;
  end_ = end;
  tokens_ = tokens;
  for (std::size_t i = 0; i < index_.slots(); ++i) tokens[i].kind = Token::Kind::absent;
  keys_.clear();
  key_text_.clear();
  path_.clear();
  if (p == end || *p != '{') return fail(reason::not_json, p, "expected an object");
  return object(p, 1, Search::yes);
}

const char* JsonReader::read_value(const char* p, const char* end, int depth, Token& token) {
  begin_ = p;
  end_ = end;
  keys_.clear();
  key_text_.clear();
  return value(p, depth, token, Search::no);
}

const char* JsonReader::object(const char* p, int depth, Search search) {
  if (depth > kMaxDepth) return fail(reason::too_deep, p, "nested deeper than 32");
  const std::size_t base = keys_.size();
  p = skip_space(p + 1, end_);
  if (p < end_ && *p == '}') return p + 1;
  for (;;) {
    if (p == end_ || *p != '"') return fail(reason::not_json, p, "expected a key in quotes");
    const char* const key_begin = p;
    Token key;
    p = string(p + 1, key);
    if (p == nullptr) return nullptr;
    if (key.escaped) {
      char* const plain = key_text_.allocate(key.text.size() + kPadding);
      key.text = {plain, unescape_json(key.text, plain)};
    }
    if (!add_key(base, key.text)) {
      return fail(reason::duplicate_key, key_begin,
                  fmt::format("the key \"{}\" is there twice", key.text.substr(0, 64)));
    }
    p = skip_space(p, end_);
    if (p == end_ || *p != ':') return fail(reason::not_json, p, "expected ':' after a key");
    p = skip_space(p + 1, end_);
    p = member(p, depth, key.text, search);
    if (p == nullptr) return nullptr;
    p = skip_space(p, end_);
    if (p == end_) return fail(reason::not_json, p, "the object is not closed");
    if (*p == '}') break;
    if (*p != ',') return fail(reason::not_json, p, "expected ',' or '}'");
    p = skip_space(p + 1, end_);
  }
  if (keys_.size() - base > kFewKeys && !check_many_keys(base)) {
    return fail(reason::duplicate_key, p, "a key is there twice in the object that ends");
  }
  keys_.resize(base);
  return p + 1;
}

/// The value of `key`; where a path leads here or on below, it is kept or searched.
const char* JsonReader::member(const char* p, int depth, std::string_view key, Search search) {
  Token token;
  if (search == Search::no) return value(p, depth + 1, token, Search::no);

  const std::size_t parent = path_.size();
  std::string_view path = key;
  if (parent != 0) {
    path_ += '.';
    path_ += key;
    path_.append(kPadding, '\0');
    path = std::string_view(path_).substr(0, path_.size() - kPadding);
  }
  const FieldIndex::Match match = index_.find_padded(path);
  if (match.prefix && p < end_ && *p == '{') {
    const std::size_t size = path.size();
    if (parent == 0) path_ = path;
    path_.resize(size);
    p = value(p, depth + 1, token, Search::yes);
  } else {
    p = value(p, depth + 1, token, Search::no);
  }
  path_.resize(parent);
  if (p == nullptr || match.slot == FieldIndex::kNone) return p;
  Token& place = tokens_[match.slot];
  if (place.kind != Token::Kind::absent) {
    return fail(reason::duplicate_key, p,
                fmt::format("{} is there twice, nested and with dots", index_.path(match.slot)));
  }
  place = token;
  return p;
}

const char* JsonReader::value(const char* p, int depth, Token& token, Search search) {
  if (p == end_) return fail(reason::not_json, p, "expected a value");
  const char* const begin = p;
  switch (*p) {
    case '"':
      return string(p + 1, token);
    case '{':
      token.kind = Token::Kind::object;
      p = object(p, depth, search);
      break;
    case '[':
      token.kind = Token::Kind::array;
      p = array(p, depth);
      break;
    case 't':
      token.kind = Token::Kind::boolean;
      p = word(p, "true");
      break;
    case 'f':
      token.kind = Token::Kind::boolean;
      p = word(p, "false");
      break;
    case 'n':
      token.kind = Token::Kind::null;
      p = word(p, "null");
      break;
    default:
      token.kind = Token::Kind::number;
      if (*p != '-' && !is_digit(*p)) return fail(reason::not_json, p, "expected a value");
      p = scan_json_number(p, end_);
      if (p == nullptr) return fail(reason::not_json, begin, "a number that is not JSON's");
  }
  if (p != nullptr) token.text = {begin, static_cast<std::size_t>(p - begin)};
  return p;
}

const char* JsonReader::array(const char* p, int depth) {
  if (depth > kMaxDepth) return fail(reason::too_deep, p, "nested deeper than 32");
  p = skip_space(p + 1, end_);
  if (p < end_ && *p == ']') return p + 1;
  for (;;) {
    Token token;
    p = value(p, depth + 1, token, Search::no);
    if (p == nullptr) return nullptr;
    p = skip_space(p, end_);
    if (p == end_) return fail(reason::not_json, p, "the array is not closed");
    if (*p == ']') return p + 1;
    if (*p != ',') return fail(reason::not_json, p, "expected ',' or ']'");
    p = skip_space(p + 1, end_);
  }
}

const char* JsonReader::word(const char* p, std::string_view text) {
  if (std::string_view(p, static_cast<std::size_t>(end_ - p)).substr(0, text.size()) != text) {
    return fail(reason::not_json, p, "expected a value");
  }
  return p + text.size();
}

/// `p` stands behind the opening quote; returns what is behind the closing one.
const char* JsonReader::string(const char* p, Token& token) {
  const char* const begin = p;
  bool non_ascii = false;
  token.kind = Token::Kind::string;
  token.escaped = false;
  for (;;) {
    p = scan_string(p, non_ascii);
    if (p >= end_) return fail(reason::not_json, end_, "a string is not closed");
    if (*p == '"') break;
    if (*p != '\\') return fail(reason::not_json, p, "a control character in a string");
    token.escaped = true;
    p = escape(p);
    if (p == nullptr) return nullptr;
  }
  token.text = {begin, static_cast<std::size_t>(p - begin)};
  if (non_ascii && !is_utf8(token.text)) {
    return fail(reason::bad_utf8, begin, "invalid UTF-8 in the string");
  }
  return p + 1;
}

/// `p` stands at a backslash; returns what is behind the escape.
const char* JsonReader::escape(const char* p) {
  const char* const begin = p++;
  if (p < end_ && std::strchr("\"\\/bfnrt", *p) != nullptr && *p != '\0') return p + 1;
  if (p == end_ || *p != 'u') return fail(reason::not_json, begin, "an unknown escape");
  const int code = read_hex4(p + 1, end_);
  if (code < 0) return fail(reason::not_json, begin, "an escape without four hexadecimal digits");
  p += 5;
  if (is_low_surrogate(code)) return fail(reason::bad_utf8, begin, "a lone surrogate");
  if (!is_high_surrogate(code)) return p;
  if (end_ - p < 6 || p[0] != '\\' || p[1] != 'u' || !is_low_surrogate(read_hex4(p + 2, end_))) {
    return fail(reason::bad_utf8, begin, "a lone surrogate");
  }
  return p + 6;
}

/// False if the object whose keys start at `base` has `text` already. With many keys the question
/// is put off until the object ends.
bool JsonReader::add_key(std::size_t base, std::string_view text) {
  // The first eight bytes and the last; of a text shorter than that, those there are.
  const std::uint64_t few =
      ~std::uint64_t{0} >> (8 * (8 - std::min<std::size_t>(text.size(), 8)) & 63);
  Key key{0, 0, text.data(), text.size()};
  if (text.size() >= 8) {
    key.low = load_word(text.data());
    key.high = load_word(text.data() + text.size() - 8);
  } else if (!text.empty()) {
    key.low = load_word(text.data()) & few;
  }
  if (keys_.size() - base < kFewKeys) {
    for (std::size_t i = base; i < keys_.size(); ++i) {
      if (keys_[i] == key) return false;
    }
  }
  keys_.push_back(key);
  return true;
}

bool JsonReader::check_many_keys(std::size_t base) {
  const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(base);
  std::sort(begin, keys_.end());
  return std::adjacent_find(begin, keys_.end()) == keys_.end();
}

}  // namespace streamobs::decode

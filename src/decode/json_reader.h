// The plain JSON reader: one event, validated completely (RFC 8259), its values found by path.
//
// It is strict in every respect, also about fields nobody declared: UTF-8, escapes, lone
// surrogates, numbers, duplicate keys at any level, nesting. A decoder owns one and uses it on its
// strand; it keeps scratch memory between events. The shapes of shapes.h are a short cut past it
// and accept nothing that it would not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "decode/field_index.h"
#include "decode/token.h"
#include "event/event_batch.h"

namespace streamobs::decode {

class JsonReader {
 public:
  /// Objects and arrays within one another at most, the event itself included.
  static constexpr int kMaxDepth = 32;

  /// `index` and `refusal` outlive the reader.
  JsonReader(const FieldIndex& index, Refusal& refusal) : index_(index), refusal_(refusal) {}

  /// Reads the object that starts at `p` and fills the tokens of its slots (the others stay
  /// absent). Returns where it ends; on a mistake fills the refusal and returns null. `end` bounds
  /// the text; ShortText::kMax bytes behind it are readable and the first of them is a control
  /// character.
  const char* read_event(const char* p, const char* end, Token* tokens);

  /// Reads any value, which stands `depth` deep, into `token`, without looking for fields.
  const char* read_value(const char* p, const char* end, int depth, Token& token);

  static const char* skip_space(const char* p, const char* end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) ++p;
    return p;
  }

 private:
  struct Key {
    std::uint64_t low, high;  ///< The first and the last eight bytes.
    const char* text;
    std::size_t size;
    bool operator==(const Key& other) const;
    bool operator<(const Key& other) const;
  };
  enum class Search : bool { no, yes };

  const char* value(const char* p, int depth, Token& token, Search search);
  const char* object(const char* p, int depth, Search search);
  const char* array(const char* p, int depth);
  const char* string(const char* p, Token& token);
  const char* escape(const char* p);
  const char* word(const char* p, std::string_view text);
  const char* member(const char* p, int depth, std::string_view key, Search search);
  bool add_key(std::size_t base, std::string_view key);
  bool check_many_keys(std::size_t base);
  const char* fail(std::string_view reason, const char* at, std::string_view what);

  static constexpr std::size_t kFewKeys = 24;  ///< Up to here each is compared with each.

  const FieldIndex& index_;
  Refusal& refusal_;
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  Token* tokens_ = nullptr;
  std::vector<Key> keys_;  ///< Of the objects being read, the outermost first.
  TextArena key_text_;     ///< Keys that had escapes.
  std::string path_;       ///< Of the object being read, where some path goes on below it.
};

/// True if `text` is UTF-8.
bool is_utf8(std::string_view text);

}  // namespace streamobs::decode

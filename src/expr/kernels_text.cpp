// Text functions. Results are views into the arguments where that is possible, else into the
// evaluator's arena; see Scratch for the bounds.
#include <algorithm>
#include <cstring>
#include <limits>

#include "expr/kernel_loops.h"
#include "expr/kernels.h"
#include "expr/utf8.h"

namespace streamobs::expr::kernels {
namespace {

using Int = std::int64_t;
using Text = std::string_view;
constexpr Int kMost = std::numeric_limits<Int>::max();

char lower_char(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
char upper_char(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}

/// Calls g(row) for each row that is not NULL; other rows become "".
template <class G>
void for_texts(Frame& f, G g) {
  for (std::size_t i = 0; i < f.rows; ++i) {
    if (f.is_null(i)) {
      f.strings[i] = {};
    } else {
      f.strings[i] = g(i);
    }
  }
}

/// Room for a result; null where it is too long, and the row has become NULL.
char* allocate(Frame& f, std::size_t row, std::size_t size) {
  char* const out = f.scratch->allocate(size);
  if (out == nullptr) f.set_overflow(row);
  return out;
}

char* append(char* out, Text text) {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

/// LIKE by the classic two-pointer walk: on a mismatch the last % takes one character more.
template <bool kFold>
bool like_match(Text text, Text pattern) {
  const auto same = [](char a, char b) { return kFold ? lower_char(a) == lower_char(b) : a == b; };
  constexpr std::size_t kNone = Text::npos;
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t retry_pattern = kNone;
  std::size_t retry_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      retry_pattern = ++p;
      retry_text = t;
      continue;
    }
    if (p < pattern.size() && pattern[p] == '_') {
      t = next_character(text, t);
      ++p;
      continue;
    }
    // A backslash takes the next character as it is; at the very end it stands for itself.
    const std::size_t literal =
        p < pattern.size() && pattern[p] == '\\' && p + 1 < pattern.size() ? p + 1 : p;
    if (literal < pattern.size() && same(text[t], pattern[literal])) {
      ++t;
      p = literal + 1;
      continue;
    }
    if (retry_pattern == kNone) return false;
    p = retry_pattern;
    t = retry_text = next_character(text, retry_text);
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

/// A pattern without wildcards but for a % at either end is a plain search.
struct PlainPattern {
  explicit PlainPattern(Text pattern) {
    if (pattern.find_first_of("_\\") != Text::npos) return;
    open_begin = pattern.starts_with('%');
    if (open_begin) pattern.remove_prefix(1);
    open_end = pattern.ends_with('%');
    if (open_end) pattern.remove_suffix(1);
    usable = pattern.find('%') == Text::npos;
    needle = pattern;
    // A lone "%" has been taken off the front, and matches everything.
    if (open_begin && needle.empty()) open_end = true;
  }
  bool matches(Text text) const {
    if (open_begin && open_end) {
      return needle.empty() ||
             (text.size() >= needle.size() &&
              memmem(text.data(), text.size(), needle.data(), needle.size()) != nullptr);
    }
    if (open_begin) return text.ends_with(needle);
    if (open_end) return text.starts_with(needle);
    return text == needle;
  }
  bool usable = false;
  bool open_begin = false;
  bool open_end = false;
  Text needle;
};

template <bool kFold>
void like_rows(Frame& f) {
  const Cells<Text> text(f.args[0]);
  const Cells<Text> pattern(f.args[1]);
  if (!kFold && pattern.stride == 0) {
    const PlainPattern plain(pattern[0]);
    if (plain.usable) {
      for (std::size_t i = 0; i < f.rows; ++i) f.bools[i] = plain.matches(text[i]);
      return;
    }
  }
  for (std::size_t i = 0; i < f.rows; ++i) f.bools[i] = like_match<kFold>(text[i], pattern[i]);
}

template <class Change>
void change_letters(Frame& f, Change change) {
  const Cells<Text> text(f.args[0]);
  for_texts(f, [&](std::size_t i) -> Text {
    const Text in = text[i];
    if (std::none_of(in.begin(), in.end(), [&](char c) { return change(c) != c; })) return in;
    char* const out = allocate(f, i, in.size());
    if (out == nullptr) return {};
    std::transform(in.begin(), in.end(), out, change);
    return {out, in.size()};
  });
}

/// True where the character at `at` of `text` is among `characters`.
bool is_among(Text character, Text characters) {
  for (std::size_t at = 0; at < characters.size();) {
    const std::size_t end = next_character(characters, at);
    if (characters.substr(at, end - at) == character) return true;
    at = end;
  }
  return false;
}

Text trim_text(Text text, Text characters, bool front, bool back) {
  while (front && !text.empty()) {
    const std::size_t end = next_character(text, 0);
    if (!is_among(text.substr(0, end), characters)) break;
    text.remove_prefix(end);
  }
  while (back && !text.empty()) {
    std::size_t begin = text.size() - 1;
    while (begin > 0 && continues_character(text[begin])) --begin;
    if (!is_among(text.substr(begin), characters)) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

void trim_rows(Frame& f, bool front, bool back) {
  const Cells<Text> text(f.args[0]);
  const Cells<Text> characters(f.args[1]);
  for_texts(f, [&](std::size_t i) { return trim_text(text[i], characters[i], front, back); });
}

/// Characters [from, end) counted from 0.
Text character_range(Text text, Int from, Int end) {
  if (end <= from) return {};
  const std::size_t begin_byte = character_offset(text, from);
  const Text rest = text.substr(begin_byte);
  return rest.substr(0, character_offset(rest, end - from));
}

}  // namespace

void like(Frame& f) {
  like_rows<false>(f);
}
void ilike(Frame& f) {
  like_rows<true>(f);
}

void concat(Frame& f) {
  const Cells<Text> x(f.args[0]);
  const Cells<Text> y(f.args[1]);
  for_texts(f, [&](std::size_t i) -> Text {
    const std::size_t size = x[i].size() + y[i].size();
    char* const out = allocate(f, i, size);
    if (out == nullptr) return {};
    append(append(out, x[i]), y[i]);
    return {out, size};
  });
}

void concat_skipping(Frame& f) {
  for (std::size_t i = 0; i < f.rows; ++i) {
    std::size_t size = 0;
    for (const ColumnView& arg : f.args) size += arg.is_null(i) ? 0 : arg.string_at(i).size();
    char* const out = allocate(f, i, size);
    f.strings[i] = {};
    if (out == nullptr) continue;
    char* end = out;
    for (const ColumnView& arg : f.args) {
      if (!arg.is_null(i)) end = append(end, arg.string_at(i));
    }
    f.strings[i] = {out, size};
  }
}

void lower(Frame& f) {
  change_letters(f, lower_char);
}
void upper(Frame& f) {
  change_letters(f, upper_char);
}

void length(Frame& f) {
  map_one<Int, Text>(f, [](Text text) { return count_characters(text); });
}
void octet_length(Frame& f) {
  map_one<Int, Text>(f, [](Text text) { return static_cast<Int>(text.size()); });
}

void trim_both(Frame& f) {
  trim_rows(f, true, true);
}
void trim_left(Frame& f) {
  trim_rows(f, true, false);
}
void trim_right(Frame& f) {
  trim_rows(f, false, true);
}

void substring(Frame& f) {
  const Cells<Text> text(f.args[0]);
  const Cells<Int> from(f.args[1]);
  const bool bounded = f.args.size() > 2;
  const Cells<Int> length(f.args[bounded ? 2 : 1]);
  for_texts(f, [&](std::size_t i) -> Text {
    // From 1, and the range may start before the text: substring('hello', -1, 3) is 'h'.
    const Int begin = std::max<Int>(from[i], 1) - 1;
    if (!bounded) return text[i].substr(character_offset(text[i], begin));
    if (length[i] < 0) {
      f.set_null(i);  // An error in PostgreSQL.
      return {};
    }
    const __int128 end = static_cast<__int128>(from[i]) - 1 + length[i];
    return character_range(text[i], begin, static_cast<Int>(std::clamp<__int128>(end, 0, kMost)));
  });
}

void left(Frame& f) {
  const Cells<Text> text(f.args[0]);
  const Cells<Int> count(f.args[1]);
  for_texts(f, [&](std::size_t i) -> Text {
    // A negative count: all but the last so many.
    const Int end = count[i] >= 0 ? count[i] : count_characters(text[i]) + count[i];
    return character_range(text[i], 0, end);
  });
}

void right(Frame& f) {
  const Cells<Text> text(f.args[0]);
  const Cells<Int> count(f.args[1]);
  for_texts(f, [&](std::size_t i) -> Text {
    const Int size = count_characters(text[i]);
    // A negative count: all but the first so many. The least integer has no opposite.
    const Int skip =
        count[i] >= 0 ? size - std::min(count[i], size) : (count[i] < -size ? size : -count[i]);
    return text[i].substr(character_offset(text[i], skip));
  });
}

void strpos(Frame& f) {
  const Cells<Text> text(f.args[0]);
  const Cells<Text> wanted(f.args[1]);
  for (std::size_t i = 0; i < f.rows; ++i) {
    const std::size_t at = text[i].find(wanted[i]);
    f.ints[i] = at == Text::npos ? 0 : count_characters(text[i].substr(0, at)) + 1;
  }
}

void starts_with(Frame& f) {
  const Cells<Text> text(f.args[0]);
  const Cells<Text> prefix(f.args[1]);
  for (std::size_t i = 0; i < f.rows; ++i) f.bools[i] = text[i].starts_with(prefix[i]);
}

void replace(Frame& f) {
  const Cells<Text> text(f.args[0]);
  const Cells<Text> from(f.args[1]);
  const Cells<Text> to(f.args[2]);
  for_texts(f, [&](std::size_t i) -> Text {
    const Text in = text[i];
    if (from[i].empty()) return in;
    std::size_t hits = 0;
    for (std::size_t at = in.find(from[i]); at != Text::npos;
         at = in.find(from[i], at + from[i].size())) {
      ++hits;
    }
    if (hits == 0) return in;
    const std::size_t size = in.size() - hits * from[i].size() + hits * to[i].size();
    char* const out = allocate(f, i, size);
    if (out == nullptr) return {};
    char* end = out;
    std::size_t done = 0;
    for (std::size_t at = in.find(from[i]); at != Text::npos; at = in.find(from[i], done)) {
      end = append(end, in.substr(done, at - done));
      end = append(end, to[i]);
      done = at + from[i].size();
    }
    append(end, in.substr(done));
    return {out, size};
  });
}

void split_part(Frame& f) {
  const Cells<Text> text(f.args[0]);
  const Cells<Text> separator(f.args[1]);
  const Cells<Int> number(f.args[2]);
  for_texts(f, [&](std::size_t i) -> Text {
    const Text in = text[i];
    const Text cut = separator[i];
    Int wanted = number[i];
    if (wanted == 0) {
      f.set_null(i);  // An error in PostgreSQL.
      return {};
    }
    if (cut.empty()) return wanted == 1 || wanted == -1 ? in : Text{};
    if (wanted < 0) {
      Int parts = 1;
      for (std::size_t at = in.find(cut); at != Text::npos; at = in.find(cut, at + cut.size())) {
        ++parts;
      }
      if (wanted < -parts) return {};
      wanted += parts + 1;
    }
    std::size_t begin = 0;
    for (; wanted > 1; --wanted) {
      const std::size_t at = in.find(cut, begin);
      if (at == Text::npos) return {};
      begin = at + cut.size();
    }
    return in.substr(begin, in.find(cut, begin) - begin);
  });
}

}  // namespace streamobs::expr::kernels

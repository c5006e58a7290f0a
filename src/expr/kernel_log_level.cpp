// log_level(x): one name for each level, whoever wrote it.
#include <algorithm>
#include <array>

#include "expr/kernel_loops.h"
#include "expr/kernels.h"

namespace streamobs::expr::kernels {
namespace {

struct Spelling {
  std::string_view word;  ///< In capital letters.
  std::string_view level;
};

/// Words of loggers (log4j, Python, Go, .NET, Android, java.util.logging), of syslog, and syslog's
/// numbers. Sorted by the word.
constexpr std::array kSpellings = std::to_array<Spelling>({
    {"0", "CRITICAL"},
    {"1", "CRITICAL"},
    {"2", "CRITICAL"},
    {"3", "ERROR"},
    {"4", "WARN"},
    {"5", "INFO"},
    {"6", "INFO"},
    {"7", "DEBUG"},
    {"A", "CRITICAL"},
    {"ALERT", "CRITICAL"},
    {"C", "CRITICAL"},
    {"CRIT", "CRITICAL"},
    {"CRITICAL", "CRITICAL"},
    {"D", "DEBUG"},
    {"DBG", "DEBUG"},
    {"DEBUG", "DEBUG"},
    {"E", "ERROR"},
    {"EMERG", "CRITICAL"},
    {"EMERGENCY", "CRITICAL"},
    {"ERR", "ERROR"},
    {"ERROR", "ERROR"},
    {"F", "CRITICAL"},
    {"FATAL", "CRITICAL"},
    {"FINE", "DEBUG"},
    {"FINER", "TRACE"},
    {"FINEST", "TRACE"},
    {"FTL", "CRITICAL"},
    {"I", "INFO"},
    {"INF", "INFO"},
    {"INFO", "INFO"},
    {"INFORMATION", "INFO"},
    {"INFORMATIONAL", "INFO"},
    {"N", "INFO"},
    {"NOTICE", "INFO"},
    {"PANIC", "CRITICAL"},
    {"SEVERE", "ERROR"},
    {"T", "TRACE"},
    {"TRACE", "TRACE"},
    {"TRC", "TRACE"},
    {"V", "TRACE"},
    {"VERBOSE", "TRACE"},
    {"VRB", "TRACE"},
    {"W", "WARN"},
    {"WARN", "WARN"},
    {"WARNING", "WARN"},
    {"WRN", "WARN"},
});
constexpr bool by_word(const Spelling& a, const Spelling& b) {
  return a.word < b.word;
}
static_assert(std::is_sorted(kSpellings.begin(), kSpellings.end(), by_word));
constexpr std::size_t kLongest = 13;  // "INFORMATIONAL"

/// Empty where the word is none of them.
std::string_view level_of(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.size() > kLongest) return {};
  std::array<char, kLongest> capitals{};
  std::transform(text.begin(), text.end(), capitals.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  const Spelling wanted{{capitals.data(), text.size()}, {}};
  const auto* const found = std::lower_bound(kSpellings.begin(), kSpellings.end(), wanted, by_word);
  return found != kSpellings.end() && found->word == wanted.word ? found->level
                                                                 : std::string_view();
}

}  // namespace

void log_level(Frame& f) {
  const Cells<std::string_view> text(f.args[0]);
  for (std::size_t i = 0; i < f.rows; ++i) {
    f.strings[i] = {};
    if (f.is_null(i)) continue;
    f.strings[i] = level_of(text[i]);
    if (f.strings[i].empty()) f.set_null(i);
  }
}

}  // namespace streamobs::expr::kernels

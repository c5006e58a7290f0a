// A message as the miner of templates looks at it: words between blanks, in which what varies from
// event to event is masked.
//
//   "Accepted password for alice from 10.0.0.7 port 4711 ssh2"
//   "Accepted password for alice from <*>      port <*>  <*>"
//
// One set of rules for every system: letters and digits that stand together and have a digit among
// them are masked, with a sign in front, and together with further such that only punctuation
// (- . : / _ + , @ % #) keeps apart: numbers, times, addresses with ports, hexadecimal ids, UUIDs.
// A word that is a path of two parts or more ("/var/log/x") is masked whole.
//
// Pure; reused from message to message, so that it allocates nothing once it has grown.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace streamobs::window {

inline constexpr std::string_view kWildcard = "<*>";

class TemplateText {
 public:
  /// What comes behind stands as one wildcard.
  static constexpr std::size_t kMaxWords = 128;
  static constexpr std::size_t kMaxBytes = 2048;
  /// Of all words of a message together: at most every second byte of it becomes a wildcard.
  static constexpr std::size_t kMaskedBytesMax = kMaxBytes * 2 + 2 * kWildcard.size();

  /// Good until the next call.
  const std::vector<std::string_view>& split(std::string_view message);

 private:
  void mask(std::string_view word);

  std::string text_;
  std::vector<std::size_t> ends_;
  std::vector<std::string_view> words_;
};

}  // namespace streamobs::window

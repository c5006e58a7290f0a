// A pattern with named parts that cuts a line: {time} [{level}] {service}: {message}
//
//   {name}    a part: what stands up to the first place where the text behind it in the pattern
//             comes; the last part takes the rest of the line, up to the pattern's last text
//   {_}       a part that is of no interest
//   {+name}   directly behind {name}: goes on with it, with what stands between them
//   {{ }}     braces as themselves
//   a blank   one or more blanks or tabs; everything else stands for itself
//
// There is no going back: a line is looked at once from the left, so that a line costs its length
// times at most the length of the pattern's longest text, whatever stands in it. A pattern fits a
// whole line. Made from the config, never changed; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace streamobs {

class LinePattern {
 public:
  static constexpr std::size_t kMaxBytes = 1024;
  static constexpr std::size_t kMaxParts = 64;

  struct Fault {
    std::size_t at = 0;  ///< Which byte of the pattern.
    std::string message;
    std::string hint;
  };
  /// None where it is wrong, and the fault says why.
  static std::optional<LinePattern> parse(std::string_view text, Fault& fault);

  /// Of the named parts, each once, in the order of the pattern.
  const std::vector<std::string>& names() const { return names_; }

  /// What the named parts are in `line`, in the order of names(); false where it does not fit.
  /// `parts` has as many elements.
  bool cut(std::string_view line, std::string_view* parts) const;

 private:
  static constexpr std::size_t kNoName = ~std::size_t{0};
  struct Part {
    std::size_t name = kNoName;  ///< Index of names_; kNoName: of no interest.
    bool goes_on = false;
    std::string behind;  ///< The text up to the next part or the end of the line; ' ' is a run.
  };
  friend class PatternParser;

  std::string start_;  ///< The text in front of the first part.
  std::vector<Part> parts_;
  std::vector<std::string> names_;
};

}  // namespace streamobs

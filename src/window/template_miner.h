// Which template a message follows: "user <*> signed in" for everything of that kind.
//
// Messages are compared within groups of the same number of words and the same first two words, as
// in Drain (He et al., ICWS 2017): one joins the template that shares the most words with it, if
// these are at least three fifths of all, and the words in which they differ become wildcards
// there. Else it is the first of a new template. A template keeps its number for as long as it
// lives; its text may lose words to wildcards. What varies is masked beforehand (template_text.h).
//
// What a message's template is follows from the messages before it, in their order, and from
// nothing else. At most `templates_max` are kept; when one more comes, the one used longest ago
// goes, and is new when it comes again. Synchronous, one strand (that of the log's order), lives as
// long as the engine; its state is part of the checkpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace streamobs::window {

class TemplateMiner {
 public:
  /// Templates of one group; a message costs as many comparisons at most.
  static constexpr std::size_t kGroupMax = 1000;
  /// Different first words of a number of words, and second words behind one first word: further
  /// ones share a group, so that words that are never the same twice do not have one each.
  static constexpr std::size_t kFirstWordsMax = 100;
  static constexpr std::size_t kSecondWordsMax = 24;

  explicit TemplateMiner(std::size_t templates_max);
  ~TemplateMiner();
  TemplateMiner(TemplateMiner&&) noexcept;
  TemplateMiner& operator=(TemplateMiner&&) noexcept;

  struct Found {
    std::uint64_t id = 0;  ///< 1, 2, 3 … in the order of their first messages; 0: no words.
    bool is_new = false;
    std::string_view text;  ///< Good until the next call.
  };
  Found add(std::string_view message);

  std::size_t templates() const;
  std::uint64_t forgotten() const;  ///< Templates that had to go, since this one was made.
  std::size_t bytes() const;        ///< Memory held, about.

  /// Appends the state; the same state gives the same bytes.
  void snapshot(std::string& out) const;
  /// Takes over a snapshot, before the first message. Where there are more templates than may be,
  /// those used longest ago are left out. Refuses (corrupt) what is none, and is then as it was.
  Result<> restore(std::string_view snapshot);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::window

// Results by dictionary entry: what a DictionaryPart computed for each entry seen so far.
//
// One cache for each part of a program, within one evaluator (one strand). Entries of a dictionary
// never change and ids are never reused, so a table only grows; a dictionary is known by its serial
// number, since another one may come to stand at its address. Bounded: kMaxTables dictionaries of
// at most Dictionary::kMaxEntries entries each; the oldest table makes room for a new one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/pod_vector.h"
#include "event/column.h"

namespace streamobs::expr {

/// The results of one step, by entry: index 0 is for NULL, id + 1 for the entry of that id.
struct EntryResults {
  PodVector<std::uint8_t> nulls;
  bool any_null = false;  ///< Among the real entries.
  PodVector<std::uint8_t> bools;
  PodVector<std::int64_t> ints;
  PodVector<double> floats;
  PodVector<Dictionary::Id> ids;  ///< Of texts: into the evaluator's derived dictionary.
};

struct EntryTable {
  std::uint64_t serial = 0;  ///< Of the dictionary; 0: unused.
  std::size_t entries = 0;   ///< How many ids have results.
  /// A derived text did not fit into its dictionary: rows are computed one by one from then on.
  bool unusable = false;
  std::vector<EntryResults> results;  ///< By index in DictionaryPart::frontier.
};

class DictionaryCache {
 public:
  static constexpr std::size_t kMaxTables = 8;

  /// The table of the dictionary with this serial, empty if it is new.
  EntryTable& table(std::uint64_t serial, std::size_t frontier) {
    for (EntryTable& known : tables_) {
      if (known.serial == serial) return known;
    }
    EntryTable& fresh = tables_[next_++ % kMaxTables];
    fresh = EntryTable();
    fresh.serial = serial;
    fresh.results.resize(frontier);
    return fresh;
  }

 private:
  std::array<EntryTable, kMaxTables> tables_;
  std::size_t next_ = 0;
};

}  // namespace streamobs::expr

// The ids that a column's short strings have in its dictionary, by their bytes between the quotes:
// a string that was read before needs neither be validated nor looked up again.
//
// A cache in front of a Dictionary: a direct-mapped table, where the latest of two strings in one
// place stays; but as long as there are few strings, hashes are tried until each has its own place.
// Only strings without escapes are put in, so that the bytes up to the first quote are
// the string. Part of the shapes, on a decoder's strand; bounded by kMaxSlots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/short_text.h"
#include "event/dictionary.h"

namespace streamobs::decode {

class TextIds {
 public:
  /// One byte less than a ShortText holds: a string and its closing quote are seen at once.
  static constexpr std::size_t kMaxText = ShortText::kMax - 1;

  struct alignas(64) Slot {                     ///< In one line of the cache.
    ShortText text = ShortText::of_hash(0, 0);  ///< What no text has, while it is free.
    Dictionary::Id id = Dictionary::kNone;
  };
  /// A look at the table as it is now.
  class View {
   public:
    /// The id of the string of `size` bytes at `p`, from where ShortText::kMax bytes can be read;
    /// kNone if it is not known.
    Dictionary::Id find(const char* p, std::size_t size) const {
      const ShortText text = ShortText::from_padded(p, size);
      const Slot& found = slots_[place_of(text)];
      return found.text == text ? found.id : Dictionary::kNone;
    }
    /// Where the text stands if it is known, whose 32 bytes, zeros behind them, fold to these: the
    /// first 8 xor the last 8, and the two between.
    const Slot& slot(std::uint64_t outer, std::uint64_t inner) const {
      return slots_[place_of(outer, inner)];
    }

   private:
    friend class TextIds;
    std::size_t place_of(const ShortText& text) const {
      return place_of(text.low[0] ^ text.high[1], text.low[1] ^ text.high[0]);
    }
    /// Multiply-shift hashing (Dietzfelbinger et al., 1997).
    std::size_t place_of(std::uint64_t outer, std::uint64_t inner) const {
      return (outer * outer_factor_ + inner * inner_factor_) >> shift_;
    }

    const Slot* slots_ = kFree;
    unsigned shift_ = 63;
    std::uint64_t outer_factor_ = 0xff51afd7ed558ccdULL;
    std::uint64_t inner_factor_ = 0xc4ceb9fe1a85ec53ULL;
  };

  /// Good until the next put().
  const View& view() const { return view_; }
  /// `dictionary_size`: how many strings there are to be expected.
  void put(const char* p, std::size_t size, Dictionary::Id id, std::size_t dictionary_size);

 private:
  static constexpr std::size_t kFirstSlots = 1 << 11;
  static constexpr std::size_t kMaxSlots = 1 << 14;
  static constexpr int kMaxTries = 16;
  static const Slot kFree[2];
  void clear(std::size_t slots);

  std::vector<Slot> slots_;
  View view_;
  int tries_ = 0;  ///< Of hashes, at this size.
};

}  // namespace streamobs::decode

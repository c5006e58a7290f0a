#include "decode/text_ids.h"

#include <bit>

#include "base/hash.h"

namespace streamobs::decode {

const TextIds::Slot TextIds::kFree[2];

void TextIds::clear(std::size_t slots) {
  slots_.assign(slots, Slot{});
  view_.slots_ = slots_.data();
  view_.shift_ = 64 - static_cast<unsigned>(std::countr_zero(slots));
}

void TextIds::put(const char* p, std::size_t size, Dictionary::Id id, std::size_t dictionary_size) {
  if (slots_.empty()) {
    clear(kFirstSlots);
  } else if (dictionary_size * 8 > slots_.size() && slots_.size() < kMaxSlots) {
    clear(slots_.size() * 2);
    tries_ = 0;
  }
  const ShortText text = ShortText::from_padded(p, size);
  const Slot& slot = slots_[view_.place_of(text)];
  if (slot.id != Dictionary::kNone && !(slot.text == text) && tries_ < kMaxTries) {
    ++tries_;
    view_.outer_factor_ = hash_word(view_.outer_factor_) | 1;
    view_.inner_factor_ = hash_word(view_.inner_factor_) | 1;
    clear(slots_.size());
  }
  slots_[view_.place_of(text)] = {text, id};
}

}  // namespace streamobs::decode

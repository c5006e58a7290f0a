// Finds the group of each row of a slice, adding groups as new keys come.
//
// Dictionary-encoded keys go straight from ids to groups; all others are written as bytes, hashed,
// and looked up with the memory fetched ahead. One lane's scratch memory; used on its strand.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "event/event_batch.h"
#include "expr/program.h"
#include "window/admission_impl.h"
#include "window/instance.h"

namespace streamobs::window {

class KeyResolver {
 public:
  static constexpr std::size_t kMaxRows = expr::Evaluator::kMaxRows;

  KeyResolver(Admission::Impl& admission, std::size_t lane);

  /// Dictionaries that `batch` owns may be trusted while it is being processed.
  void begin(const EventBatch& batch) { batch_ = &batch; }
  /// Writes to `slots` the group in `instance.table` of each of `rows`. `columns` are the keys.
  void resolve(WindowInstance& instance, std::span<const ColumnView> columns,
               std::span<const std::uint16_t> rows, std::uint32_t* slots);

 private:
  bool prepare_direct(DirectMap& map, std::span<const ColumnView> columns, std::size_t rows);
  std::shared_ptr<const Dictionary> owner_of(const Dictionary* dictionary) const;
  void resolve_direct(WindowInstance& instance, std::span<const ColumnView> columns,
                      std::span<const std::uint16_t> rows, std::uint32_t* slots);
  void encode(std::span<const ColumnView> columns, std::span<const std::uint16_t> rows);
  void encode_text(const ColumnView& column, std::span<const std::uint16_t> rows);
  std::uint32_t find_or_admit(WindowInstance& instance, const GroupKey& key, std::uint32_t hash);
  std::uint32_t admit(WindowInstance& instance, const GroupKey& key, std::uint32_t hash);

  Admission::Impl& admission_;
  std::size_t lane_;
  const EventBatch* batch_ = nullptr;
  std::string bytes_;  ///< Keys of the slice, one after the other.
  std::array<std::uint32_t, kMaxRows + 1> ends_;
  std::array<GroupKey, kMaxRows> keys_;
  std::array<std::uint32_t, kMaxRows> hashes_;
};

}  // namespace streamobs::window

// Appends to a segment in whole blocks, so that the bytes go past the page cache: a sync then has
// nothing to write back, and takes two thirds of the time and of the processor.
//
// The last block, as long as it is not full, is kept and written again with what comes next: the
// same bytes over the same bytes, so nothing that is on disk can be lost by it. Belongs to a Log,
// is used by its writing thread only, lives as long as it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/file_system.h"
#include "base/result.h"

namespace streamobs::wal {

class BlockWriter {
 public:
  BlockWriter();

  /// From now on appends go behind `head`, with which the file begins; shorter than a block.
  void begin(std::string_view head);

  /// Writes the pieces one behind the other, and zeros up to the end of their last block, but never
  /// beyond `capacity`. After a failure nobody knows what is in the file: begin() another.
  Result<> append(File& file, std::span<const std::string_view> pieces, std::uint64_t capacity);

  /// Where the next append goes.
  std::uint64_t offset() const { return at_ + staged_; }

 private:
  static constexpr std::size_t kStageBytes = std::size_t{1} << 20;

  struct Free {
    void operator()(char* bytes) const;
  };
  std::unique_ptr<char[], Free> stage_;  ///< Aligned to a block; pages never used take no memory.
  std::uint64_t at_ = 0;                 ///< Where the stage goes in the file, at a block's start.
  std::size_t staged_ = 0;
};

}  // namespace streamobs::wal

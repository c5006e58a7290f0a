#include "wal/block_writer.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

namespace streamobs::wal {

namespace {

constexpr std::align_val_t kAlignment{File::kBlockBytes};

}  // namespace

void BlockWriter::Free::operator()(char* bytes) const {
  ::operator delete[](bytes, kAlignment);
}

BlockWriter::BlockWriter()
    : stage_(static_cast<char*>(::operator new[](kStageBytes, kAlignment))) {}

void BlockWriter::begin(std::string_view head) {
  assert(head.size() < File::kBlockBytes);
  std::memcpy(stage_.get(), head.data(), head.size());
  at_ = 0;
  staged_ = head.size();
}

Result<> BlockWriter::append(File& file, std::span<const std::string_view> pieces,
                             std::uint64_t capacity) {
  for (std::string_view piece : pieces) {
    while (!piece.empty()) {
      const std::size_t count = std::min(piece.size(), kStageBytes - staged_);
      std::memcpy(stage_.get() + staged_, piece.data(), count);
      piece.remove_prefix(count);
      staged_ += count;
      if (staged_ < kStageBytes) continue;
      if (auto written = file.write_blocks(at_, {stage_.get(), staged_}); !written) return written;
      at_ += staged_;
      staged_ = 0;
    }
  }
  const std::size_t full = staged_ / File::kBlockBytes * File::kBlockBytes;
  const std::size_t rest = staged_ - full;
  std::size_t end = staged_;
  if (rest != 0) end = std::min<std::uint64_t>(full + File::kBlockBytes, capacity - at_);
  std::memset(stage_.get() + staged_, 0, end - staged_);
  if (end != 0) {
    if (auto written = file.write_blocks(at_, {stage_.get(), end}); !written) return written;
  }
  std::memmove(stage_.get(), stage_.get() + full, rest);
  at_ += full;
  staged_ = rest;
  return {};
}

}  // namespace streamobs::wal

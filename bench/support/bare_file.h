// The least that making bytes durable costs: pwrite + fdatasync into space that is there already.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "base/posix_file_system.h"

namespace streamobs::bench {

/// What a batch looks like once it is encoded: about half noise, half repetition.
inline std::string encoded_noise(std::size_t bytes) {
  std::mt19937_64 random(42);
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    text[i] = static_cast<char>(i % 16 < 6 ? random() : (i / 16) % 7);
  }
  return text;
}

/// A file of 64 MiB that is written from beginning to end and from the beginning again.
class BareFile {
 public:
  /// `written`: its space has been written before, not only allocated, which is what syncs fastest.
  BareFile(const std::string& path, bool written) {
    file_ = posix_file_system().create(path).value();
    file_->allocate(kFileBytes).value();
    if (written) {
      const std::string zeros(std::size_t{1} << 20, '\0');
      for (std::uint64_t at = 0; at < kFileBytes; at += zeros.size()) {
        file_->write_at(at, zeros).value();
      }
    }
    file_->sync_data().value();
  }
  /// Durable when it returns.
  void write(std::string_view bytes) {
    if (offset_ + bytes.size() > kFileBytes) offset_ = 0;
    file_->write_at(offset_, bytes).value();
    file_->sync_data().value();
    offset_ += bytes.size();
  }

 private:
  static constexpr std::uint64_t kFileBytes = std::uint64_t{64} << 20;
  std::unique_ptr<File> file_;
  std::uint64_t offset_ = 0;
};

}  // namespace streamobs::bench

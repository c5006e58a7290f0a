#include "base/file_copy.h"

#include <algorithm>
#include <memory>
#include <span>
#include <string_view>

#include "base/crc32c.h"

namespace streamobs {

namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

/// Reads a file from its beginning, block by block, and hands each to `take`.
template <class Take>
Result<FileSum> read_blocks(File& file, std::uint64_t bytes_max, const OnBytes& on_bytes,
                            Take&& take) {
  std::string block(kBlockBytes, '\0');
  FileSum sum;
  while (sum.bytes < bytes_max) {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(kBlockBytes, bytes_max - sum.bytes));
    const Result<std::size_t> read = file.read_at(sum.bytes, std::span<char>(block.data(), wanted));
    if (read.has_error()) return read.error();
    const std::string_view bytes(block.data(), *read);
    if (const Result<> taken = take(sum.bytes, bytes); taken.has_error()) return taken.error();
    sum.crc32c = crc32c(bytes, sum.crc32c);
    sum.bytes += bytes.size();
    if (on_bytes) {
      if (const Result<> told = on_bytes(bytes.size()); told.has_error()) return told.error();
    }
    if (*read < wanted) break;
  }
  return sum;
}

}  // namespace

Result<FileSum> sum_of_file(FileSystem& files, const std::string& path, const OnBytes& on_bytes) {
  const Result<std::unique_ptr<File>> file = files.open_for_reading(path);
  if (file.has_error()) return file.error();
  const auto take = [](std::uint64_t, std::string_view) { return Result<>(); };
  return read_blocks(**file, ~std::uint64_t{0}, on_bytes, take);
}

Result<FileSum> copy_file(FileSystem& files, File& from, std::uint64_t bytes_max,
                          const std::string& to, const OnBytes& on_bytes) {
  const Result<std::unique_ptr<File>> copy = files.create(to);
  if (copy.has_error()) return copy.error();
  const auto take = [&copy](std::uint64_t offset, std::string_view bytes) {
    return (*copy)->write_at(offset, bytes);
  };
  const Result<FileSum> sum = read_blocks(from, bytes_max, on_bytes, take);
  if (sum.has_error()) return sum;
  if (const Result<> synced = (*copy)->sync_data(); synced.has_error()) return synced.error();
  return sum;
}

}  // namespace streamobs

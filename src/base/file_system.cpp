#include "base/file_system.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace streamobs {

namespace {

/// Nobody writes to it: it is no constant only so that it takes neither memory nor room in the
/// program.
alignas(File::kBlockBytes) std::array<char, std::size_t{1} << 20> zeros{};

}  // namespace

Result<> File::write_zeros(std::uint64_t offset, std::uint64_t bytes) {
  for (std::uint64_t done = 0; done < bytes; done += zeros.size()) {
    const auto length = std::min<std::uint64_t>(zeros.size(), bytes - done);
    auto written = write_blocks(offset + done, std::span<const char>(zeros.data(), length));
    if (!written) return written;
  }
  return {};
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> FileSystem::read_file(const std::string& path, std::uint64_t bytes_max) {
  auto file = open_for_reading(path);
  if (!file) return file.error();
  const auto size = (*file)->size();
  if (!size) return size.error();
  if (*size > bytes_max) {
    return fail(ErrorCode::too_large,
                fmt::format("{}: {} bytes, more than the {} expected", path, *size, bytes_max));
  }
  std::string bytes(*size, '\0');
  const auto read = (*file)->read_at(0, bytes);
  if (!read) return read.error();
  bytes.resize(*read);
  return bytes;
}

Result<> FileSystem::write_file(const std::string& path, std::string_view bytes) {
  const std::string beside = path + ".tmp";
  {
    auto file = create(beside);
    if (!file) return file.error();
    if (auto written = (*file)->write_at(0, bytes); !written) return written;
    if (auto synced = (*file)->sync_data(); !synced) return synced;
  }
  if (auto renamed = rename(beside, path); !renamed) return renamed;
  return sync_directory(directory_of(path));
}

}  // namespace streamobs

#include "app/replay_watch.h"

#include <span>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

constexpr std::uint32_t kMagic = 0x57504552;  // "REPW"
constexpr std::size_t kBytes = 4 + 8 + 4 + 4;

}  // namespace

ReplayWatch::ReplayWatch(FileSystem& files, const std::string& data_dir)
    : files_(files), path_(data_dir + "/replaying") {
  const Result<std::unique_ptr<File>> file = files_.open_for_reading(path_);
  if (file.has_error()) return;
  careful_ = true;
  char bytes[kBytes];
  const Result<std::size_t> read = (*file)->read_at(0, std::span<char>(bytes, kBytes));
  if (read.has_error() || *read != kBytes) return;
  ByteReader in(std::string_view(bytes, kBytes));
  const std::uint32_t magic = in.u32();
  Suspect last;
  last.position = in.u64();
  last.tries = in.u32();
  if (magic != kMagic || in.u32() != crc32c({bytes, kBytes - 4}) || last.position == 0) return;
  suspect_ = last;
}

bool ReplayWatch::begin() {
  if (file_ != nullptr) return careful_;  // Of an earlier stretch; the mark is still there.
  Result<std::unique_ptr<File>> file = files_.create(path_);
  if (file.has_error()) {
    log::warn("a replay that brings the process down could not be told from others",
              {{"error", file.error().message}});
    return careful_;
  }
  file_ = std::move(*file);
  // Until it has come further, what the last one ended at remains under suspicion.
  write(suspect_.value_or(Suspect{}));
  return careful_;
}

void ReplayWatch::touch(std::uint64_t position) {
  Suspect at{position, 1};
  if (suspect_ && suspect_->position == position) at.tries = suspect_->tries + 1;
  write(at);
}

void ReplayWatch::write(const Suspect& at) {
  if (file_ == nullptr) return;
  std::string bytes;
  put_u32(bytes, kMagic);
  put_u64(bytes, at.position);
  put_u32(bytes, at.tries);
  put_u32(bytes, crc32c(bytes));
  if (file_->write_at(0, bytes).has_error()) file_.reset();
}

void ReplayWatch::end() {
  file_.reset();
  careful_ = false;
  suspect_.reset();
  const Result<bool> there = files_.exists(path_);
  if (there.has_value() && *there) (void)files_.remove(path_);
}

}  // namespace streamobs::app

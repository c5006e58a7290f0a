#include "app/replay_watch.h"

#include <span>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

constexpr std::uint32_t kMagic = 0x57504552;  // "REPW"
constexpr std::size_t kBytes = 4 + 8 + 8 + 4 + 4;

}  // namespace

ReplayWatch::ReplayWatch(FileSystem& files, const std::string& data_dir)
    : files_(files), path_(data_dir + "/replaying") {
  const Result<std::unique_ptr<File>> file = files_.open_for_reading(path_);
  if (file.has_error()) return;
  // Of a note that cannot be read only that there is one is known.
  doubt_ = Doubt{0, ~std::uint64_t{0}, 0};
  char bytes[kBytes];
  const Result<std::size_t> read = (*file)->read_at(0, std::span<char>(bytes, kBytes));
  if (read.has_error() || *read != kBytes) return;
  ByteReader in(std::string_view(bytes, kBytes));
  const std::uint32_t magic = in.u32();
  Doubt last;
  last.from = in.u64();
  last.to = in.u64();
  last.tries = in.u32();
  if (magic == kMagic && in.u32() == crc32c({bytes, kBytes - 4})) doubt_ = last;
}

void ReplayWatch::begin() {
  if (file_ != nullptr) return;  // Of an earlier stretch; the note is still there.
  Result<std::unique_ptr<File>> file = files_.create(path_);
  if (file.has_error()) {
    log::warn("a replay that brings the process down could not be told from others",
              {{"error", file.error().message}});
    return;
  }
  file_ = std::move(*file);
  // Until it comes to something, what the last one ended at remains in doubt.
  write(doubt_.value_or(Doubt{0, 0, 0}));
}

void ReplayWatch::come_to(std::uint64_t from, std::uint64_t to) {
  write({from, to, 0});
}

void ReplayWatch::come_to(std::uint64_t position) {
  const bool again = doubt_ && doubt_->from == position && doubt_->to == position;
  write({position, position, again ? doubt_->tries + 1 : 1});
}

void ReplayWatch::write(const Doubt& at) {
  if (file_ == nullptr || pardoned_.load()) return;
  std::string bytes;
  put_u32(bytes, kMagic);
  put_u64(bytes, at.from);
  put_u64(bytes, at.to);
  put_u32(bytes, at.tries);
  put_u32(bytes, crc32c(bytes));
  if (file_->write_at(0, bytes).has_error()) file_.reset();
}

void ReplayWatch::pardon() {
  // What is still written goes into a file without a name.
  if (!pardoned_.exchange(true)) (void)files_.remove(path_);
}

void ReplayWatch::end() {
  file_.reset();
  doubt_.reset();
  const Result<bool> there = files_.exists(path_);
  if (there.has_value() && *there) (void)files_.remove(path_);
}

}  // namespace streamobs::app

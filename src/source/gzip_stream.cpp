#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <zlib.h>

#include "source/byte_stream.h"

namespace streamobs::source {
namespace {
constexpr std::size_t kInputBytes = 256 << 10;
constexpr int kGzipOnly = 15 + 16;  ///< The largest window, and no other header than gzip's.
}  // namespace

struct GzipStream::Inflater {
  Inflater() {
    std::memset(&z, 0, sizeof z);
    if (::inflateInit2(&z, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { ::inflateEnd(&z); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream z;
};

GzipStream::GzipStream(std::unique_ptr<ByteStream> compressed, std::string path)
    : compressed_(std::move(compressed)),
      path_(std::move(path)),
      inflater_(std::make_unique<Inflater>()),
      input_(kInputBytes) {}

GzipStream::~GzipStream() = default;

Error GzipStream::damaged(const char* what) const {
  return fail(ErrorCode::corrupt, fmt::format("{}: {} (near byte {} of the compressed file)", path_,
                                              what, compressed_->raw_bytes()));
}

/// True when there is input. False: none yet, or none any more (then input_ended_).
Result<bool> GzipStream::refill(bool may_wait) {
  z_stream& z = inflater_->z;
  if (z.avail_in == 0 && !input_ended_) {
    const Result<Read> read = compressed_->read(input_.data(), input_.size(), may_wait);
    if (!read) return read.error();
    z.next_in = reinterpret_cast<Bytef*>(input_.data());
    z.avail_in = static_cast<uInt>(read->bytes);
    input_ended_ = read->at_end;
  }
  return z.avail_in != 0;
}

Result<ByteStream::Read> GzipStream::read(char* to, std::size_t max, bool may_wait) {
  z_stream& z = inflater_->z;
  z.next_out = reinterpret_cast<Bytef*>(to);
  z.avail_out = static_cast<uInt>(std::min<std::size_t>(max, 1 << 30));
  const uInt wanted = z.avail_out;
  while (z.avail_out == wanted) {
    const Result<bool> more = refill(may_wait);
    if (!more) return more.error();
    if (!*more) {
      if (!input_ended_) return Read{};
      if (between_members_ && any_member_) return Read{0, true};
      return damaged(any_member_ || !between_members_
                         ? "the gzip data ends in the middle: is the file cut short?"
                         : "the file is empty, not gzip");
    }
    if (between_members_) {
      // gzip pads with zero bytes on tapes; anything else must be another member.
      while (any_member_ && z.avail_in != 0 && *z.next_in == 0) {
        ++z.next_in;
        --z.avail_in;
      }
      if (z.avail_in == 0) continue;
      ::inflateReset(&z);
      between_members_ = false;
    }
    const int status = ::inflate(&z, Z_NO_FLUSH);
    if (status == Z_STREAM_END) {
      between_members_ = true;
      any_member_ = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      return damaged(
          any_member_ ? "there is something else than gzip behind a gzip member, or it is damaged"
                      : "not gzip, or damaged");
    }
  }
  return Read{wanted - z.avail_out, false};
}

}  // namespace streamobs::source

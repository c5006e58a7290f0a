#include "http/gzip.h"

#include <algorithm>
#include <new>

#include <zlib.h>

namespace streamobs::http {

namespace {

/// zlib's stream, made once for each thread.
class Inflater {
 public:
  Inflater() {
    constexpr int kGzipOnly = 15 + 16;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream& reset() {
    inflateReset(&stream_);
    return stream_;
  }

 private:
  z_stream stream_{};
};

}  // namespace

std::optional<Refusal> inflate_gzip(std::string_view bytes, std::size_t bytes_max,
                                    BlockBuffer& out) {
  static thread_local Inflater inflater;
  z_stream& stream = inflater.reset();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::size_t written = 0;
  out.resize(std::min(bytes_max, std::max<std::size_t>(bytes.size() * 4, 4096)));
  while (true) {
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream.avail_out = static_cast<uInt>(out.size() - written);
    const int status = inflate(&stream, Z_NO_FLUSH);
    written = out.size() - stream.avail_out;
    if (status == Z_STREAM_END) {
      if (stream.avail_in == 0) break;
      inflateReset(&stream);  // A further member may follow.
      continue;
    }
    if (status != Z_OK && status != Z_BUF_ERROR) {
      return Refusal{400, "the gzip body is damaged"};
    }
    if (stream.avail_out != 0) return Refusal{400, "the gzip body is cut short"};
    if (out.size() >= bytes_max) {
      // Full to the brim: only the end of the stream may still come.
      Bytef one = 0;
      stream.next_out = &one;
      stream.avail_out = 1;
      const int last = inflate(&stream, Z_NO_FLUSH);
      if (last == Z_STREAM_END && stream.avail_out == 1 && stream.avail_in == 0) break;
      if (stream.avail_out == 0) {
        return too_large("inflates to more", bytes_max, "inflated_bytes_max");
      }
      return Refusal{400, "the gzip body is damaged or cut short"};
    }
    out.resize(std::min(bytes_max, out.size() * 2));
  }
  out.resize(written);
  return std::nullopt;
}

}  // namespace streamobs::http

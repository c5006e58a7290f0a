#include "wal/text_codec.h"

#include <cstring>
#include <lz4.h>

namespace streamobs::wal {

namespace {

// How a long text is written. Frozen.
constexpr std::uint8_t kPlain = 0;
constexpr std::uint8_t kLz4 = 1;

/// Shorter text is not worth the attempt.
constexpr std::size_t kCompressMin = 1024;
/// Of longer text a piece is tried first: what does not repeat (ids) costs little then.
constexpr std::size_t kTryFirst = 32 << 10;
constexpr std::size_t kTriedBytes = 8 << 10;
/// LZ4 cannot make more out of a byte; what claims to be more is damaged.
constexpr std::size_t kExpansionMax = 255;

bool pays(std::size_t compressed, std::size_t size) {
  return compressed != 0 && compressed <= size - size / 8;
}

}  // namespace

std::size_t TextEncoder::compress(std::string_view text) {
  if (!lz4_state_)
    lz4_state_ = std::make_unique<char[]>(static_cast<std::size_t>(LZ4_sizeofState()));
  const auto bound = static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(text.size())));
  compressed_.resize(bound);
  const int size =
      LZ4_compress_fast_extState(lz4_state_.get(), text.data(), compressed_.data(),
                                 static_cast<int>(text.size()), static_cast<int>(bound), 1);
  return static_cast<std::size_t>(size);
}

void TextEncoder::put_long(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  if (text.empty()) return;
  bool try_it = text.size() >= kCompressMin && text.size() <= LZ4_MAX_INPUT_SIZE;
  if (try_it && text.size() > kTryFirst) {
    const std::string_view piece = text.substr(text.size() / 2, kTriedBytes);
    try_it = pays(compress(piece), piece.size());
  }
  const std::size_t compressed = try_it ? compress(text) : 0;
  if (pays(compressed, text.size())) {
    put_u8(out, kLz4);
    put_text(out, {compressed_.data(), compressed});
  } else {
    put_u8(out, kPlain);
    out += text;
  }
}

void TextEncoder::put(std::string& out, const std::string_view* texts, std::size_t size) {
  if (size == 0) return;
  lengths_.resize(size);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < size; ++i) {
    lengths_[i] = static_cast<std::int64_t>(texts[i].size());
    bytes += texts[i].size();
  }
  joined_.resize(bytes);
  char* to = joined_.data();
  for (std::size_t i = 0; i < size; ++i) {
    if (!texts[i].empty()) std::memcpy(to, texts[i].data(), texts[i].size());
    to += texts[i].size();
  }
  integers_.put(out, lengths_.data(), size);
  put_long(out, {joined_.data(), bytes});
}

bool TextDecoder::get_long(ByteReader& in, TextArena& arena, std::string_view& text) {
  const std::uint64_t size = in.varint();
  text = {};
  if (size == 0) return in.ok();
  const std::uint8_t form = in.u8();
  if (!in.ok()) return false;
  if (form == kPlain) {
    const std::string_view bytes = in.text(static_cast<std::size_t>(size));
    if (!in.ok()) return false;
    text = arena.keep(bytes);
    return true;
  }
  if (form != kLz4) return false;
  const std::string_view bytes = in.text();
  if (!in.ok() || size > LZ4_MAX_INPUT_SIZE || size / kExpansionMax > bytes.size()) return false;
  char* const to = arena.allocate(static_cast<std::size_t>(size));
  const int made =
      LZ4_decompress_safe(bytes.data(), to, static_cast<int>(bytes.size()), static_cast<int>(size));
  if (made < 0 || static_cast<std::uint64_t>(made) != size) return false;
  text = {to, static_cast<std::size_t>(size)};
  return true;
}

bool TextDecoder::get(ByteReader& in, std::size_t size, TextArena& arena, std::string_view* texts) {
  if (size == 0) return true;
  lengths_.resize(size);
  std::string_view joined;
  if (!integers_.get(in, size, lengths_.data()) || !get_long(in, arena, joined)) return false;
  std::size_t at = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const auto length = static_cast<std::uint64_t>(lengths_[i]);
    if (length > joined.size() - at) return false;
    texts[i] = joined.substr(at, static_cast<std::size_t>(length));
    at += static_cast<std::size_t>(length);
  }
  return at == joined.size();
}

}  // namespace streamobs::wal

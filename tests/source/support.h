// Helpers of the sources' tests: a scratch folder, streams in memory, gzip.
#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <zlib.h>

#include "source/block_reader.h"

namespace streamobs::source::test {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "streamobs-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::string& path, std::string_view text, bool append = false) {
  std::ofstream out(path, std::ios::binary | (append ? std::ios::app : std::ios::trunc));
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}
inline void append_file(const std::string& path, std::string_view text) {
  write_file(path, text, true);
}
inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// One gzip member.
inline std::string gzip(std::string_view text) {
  z_stream z{};
  ::deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(::deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  ::deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  ::deflateEnd(&z);
  return out;
}

/// Gives its text in pieces of random size, with pauses in between.
class ChoppyStream final : public ByteStream {
 public:
  ChoppyStream(std::string text, std::size_t piece_max, unsigned seed)
      : text_(std::move(text)), piece_max_(piece_max), random_(seed) {}
  Result<Read> read(char* to, std::size_t max, bool) override {
    if (position_ == text_.size()) return Read{0, true};
    const std::size_t bytes =
        std::min({max, text_.size() - position_, random_() % (piece_max_ + 1)});
    std::memcpy(to, text_.data() + position_, bytes);
    position_ += bytes;
    return Read{bytes, false};
  }
  std::uint64_t raw_bytes() const override { return position_; }

 private:
  std::string text_;
  std::size_t position_ = 0;
  std::size_t piece_max_;
  std::mt19937 random_;
};

struct Piece {
  std::string text;
  std::string header;
  std::uint64_t offset = 0;
  std::uint64_t first_line = 0;
  bool oversized = false;
};

inline Piece to_piece(const CutBlock& cut) {
  return {std::string(cut.bytes->view()), cut.header ? *cut.header : "", cut.offset, cut.first_line,
          cut.oversized};
}

/// Everything up to the end; `error` gets what ended it otherwise.
template <class Reader>
std::vector<Piece> read_all(Reader& reader, std::string* error = nullptr) {
  std::vector<Piece> pieces;
  while (true) {
    CutBlock cut;
    const Result<BlockReader::Status> status = reader.next(cut);
    if (!status) {
      if (error != nullptr) *error = status.error().message;
      break;
    }
    if (*status == BlockReader::Status::end) break;
    if (*status == BlockReader::Status::block) pieces.push_back(to_piece(cut));
  }
  return pieces;
}

inline std::string joined(const std::vector<Piece>& pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

}  // namespace streamobs::source::test

#include "wal/segment_sealer.h"

#include <array>
#include <memory>
#include <zstd.h>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "wal/segment_reader.h"
#include "wal/segment_tail.h"

namespace streamobs::wal {

namespace {

/// Batches are packed already: what higher levels would still save is not worth their CPU time.
constexpr int kCompressionLevel = -1;

struct Contents {
  std::uint64_t raw_bytes = kSegmentHeaderBytes;
  std::uint32_t crc = 0;  ///< Over all frames' bytes.
  bool operator==(const Contents&) const = default;
};

/// Hands each frame to `take` (Result<>(const Frame&)). `corrupt` unless the segment ends with the
/// record before end_sequence; `unavailable` once `pace` says so.
template <class Take>
Result<Contents> read_all(SegmentReader& reader, std::uint64_t end_sequence,
                          Pace& pace, Take&& take) {
  Contents contents;
  for (Frame frame;;) {
    if (!pace.go_on()) {
      return fail(ErrorCode::unavailable, "sealing was broken off: the process ends");
    }
    const auto outcome = reader.next(frame);
    if (!outcome) return outcome.error();
    if (*outcome != SegmentReader::Outcome::frame) break;
    contents.raw_bytes += frame.bytes.size();
    contents.crc = crc32c(frame.bytes, contents.crc);
    if (auto taken = take(frame); !taken) return taken.error();
  }
  if (reader.next_sequence() != end_sequence) {
    return damage_at(reader.name(), reader.offset(), reader.next_sequence(),
                     reader.problem().empty() ? "the segment ends too early" : reader.problem());
  }
  return contents;
}

/// Reads a sealed segment's file, every byte of it.
Result<Contents> check(FileSystem& files, const std::string& directory, const std::string& name,
                       std::uint64_t number, std::uint64_t end_sequence,
                       Pace& pace) {
  auto reader = open_segment_file(files, directory, name, number, SegmentForm::sealed);
  if (!reader) return reader.error();
  auto contents = read_all(**reader, end_sequence, pace, [](const Frame&) { return Result<>{}; });
  if (contents && !(*reader)->problem().empty()) {
    return damage_at((*reader)->name(), (*reader)->offset(), end_sequence, (*reader)->problem());
  }
  return contents;
}

/// Writes chunks and the end mark.
class SealedWriter {
 public:
  SealedWriter(File& file, const SegmentHeader& header)
      : file_(file), origin_(header.origin), context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
    chunk_.first_sequence = header.first_sequence;
    chunk_.raw_offset = kSegmentHeaderBytes;
    end_.last_sequence = header.first_sequence - 1;
    end_.raw_bytes = kSegmentHeaderBytes;
  }

  Result<> begin(SegmentHeader header) {
    header.form = SegmentForm::sealed;
    std::array<char, kSegmentHeaderBytes> bytes{};
    encode(header, bytes.data());
    end_.file_bytes = bytes.size();
    return file_.write_at(0, std::string_view(bytes.data(), bytes.size()));
  }

  Result<> add(const Frame& frame) {
    frames_.append(frame.bytes);
    ++chunk_.records;
    end_.last_sequence = frame.header.sequence;
    if (frames_.size() < kChunkBytes) return {};
    return flush();
  }

  Result<> finish() {
    if (auto flushed = flush(); !flushed) return flushed;
    std::array<char, kSealedEndBytes> bytes{};
    encode(end_, origin_, bytes.data());
    return file_.write_at(end_.file_bytes, std::string_view(bytes.data(), bytes.size()));
  }

 private:
  Result<> flush() {
    if (chunk_.records == 0) return {};
    compressed_.resize(ZSTD_compressBound(frames_.size()));
    const std::size_t size =
        ZSTD_compressCCtx(context_.get(), compressed_.data(), compressed_.size(), frames_.data(),
                          frames_.size(), kCompressionLevel);
    if (ZSTD_isError(size) != 0) {
      return fail(ErrorCode::internal,
                  fmt::format("zstd cannot compress a chunk: {}", ZSTD_getErrorName(size)));
    }
    const std::string_view compressed(compressed_.data(), size);
    chunk_.raw_bytes = static_cast<std::uint32_t>(frames_.size());
    chunk_.compressed_bytes = static_cast<std::uint32_t>(size);
    chunk_.crc = crc32c(compressed);
    std::array<char, kChunkHeaderBytes> header{};
    encode(chunk_, origin_, header.data());
    const std::array<std::string_view, 2> pieces = {std::string_view(header.data(), header.size()),
                                                    compressed};
    if (auto written = file_.write_at(end_.file_bytes, pieces); !written) return written;
    // All of it at the end would be a long write that the log's commits stand behind.
    if (auto synced = file_.sync_data(); !synced) return synced;
    end_.file_bytes += header.size() + size;
    end_.raw_bytes += frames_.size();
    end_.records += chunk_.records;
    ++end_.chunks;
    chunk_ = ChunkHeader{.first_sequence = end_.last_sequence + 1, .raw_offset = end_.raw_bytes};
    frames_.clear();
    return {};
  }

  File& file_;
  std::uint32_t origin_;
  std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context_;
  ChunkHeader chunk_;
  SealedEnd end_;
  std::string frames_;
  std::string compressed_;
};

Result<Contents> write_sealed(FileSystem& files, const std::string& path, SegmentReader& raw,
                              std::uint64_t end_sequence, Pace& pace) {
  auto file = files.create(path);
  if (!file) return file.error();
  SealedWriter writer(**file, raw.header());
  if (auto begun = writer.begin(raw.header()); !begun) return begun.error();
  auto contents = read_all(raw, end_sequence, pace,
                           [&writer](const Frame& frame) { return writer.add(frame); });
  if (!contents) return contents;
  if (auto finished = writer.finish(); !finished) return finished.error();
  if (auto synced = (*file)->sync_data(); !synced) return synced.error();
  return contents;
}

/// Makes the sealed form from the raw one, checked and durable.
Result<> make_sealed(FileSystem& files, const std::string& directory, std::uint64_t number,
                     std::uint64_t end_sequence, Pace& pace) {
  const std::string name = sealed_name(number);
  const std::string unfinished = name + ".tmp";
  auto raw = open_segment(files, directory, number, SegmentForm::raw);
  if (!raw) return raw.error();
  const auto written = write_sealed(files, directory + "/" + unfinished, **raw, end_sequence, pace);
  if (!written) return written.error();
  const auto read_back = check(files, directory, unfinished, number, end_sequence, pace);
  if (!read_back) return read_back.error();
  if (*read_back != *written) {
    return damage_at(unfinished, 0, end_sequence, "read back, it is not what was written");
  }
  auto renamed = files.rename(directory + "/" + unfinished, directory + "/" + name);
  if (!renamed) return renamed;
  return files.sync_directory(directory);
}

}  // namespace

Result<SealedSegment> seal_segment(FileSystem& files, const std::string& directory,
                                   std::uint64_t number, std::uint64_t end_sequence,
                                   Pace& pace) {
  const std::string raw_path = directory + "/" + raw_name(number);
  const std::string sealed_path = directory + "/" + sealed_name(number);
  const auto there = files.exists(sealed_path);
  if (!there) return there.error();
  if (!*there) {
    if (auto made = make_sealed(files, directory, number, end_sequence, pace); !made) {
      (void)files.remove(sealed_path + ".tmp");  // If this fails, the next start does it.
      return made.error();
    }
  } else {
    const auto good = check(files, directory, sealed_name(number), number, end_sequence, pace);
    if (!good) return good.error();
  }
  SealedSegment sealed;
  const auto raw_bytes = files.file_size(raw_path);
  if (!raw_bytes) return raw_bytes.error();
  const auto sealed_bytes = files.file_size(sealed_path);
  if (!sealed_bytes) return sealed_bytes.error();
  sealed.raw_bytes = *raw_bytes;
  sealed.sealed_bytes = *sealed_bytes;
  if (auto removed = files.remove(raw_path); !removed) return removed.error();
  return sealed;
}

}  // namespace streamobs::wal

// The payloads of log records and the files of a checkpoint: any bytes decode or are refused, and
// what decodes can be written and read again as the same.
//
// The first byte chooses what the rest is taken for. Checksums are made to fit, for the disk's rot
// is not what is looked for here.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../support/recording_file_system.h"
#include "../wal/batch_support.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "wal/batch_codec.h"
#include "wal/checkpoint_file.h"
#include "wal/record.h"

using namespace streamobs;
using namespace streamobs::wal;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void batch(std::string_view bytes) {
  static StreamSchema schema = wal::test::all_kinds();
  static BatchEncoder encoder;
  // One claims the fingerprint of the schema, so that the rest is looked at at all.
  std::string fitting(bytes);
  constexpr std::size_t kFingerprintAt = 3;
  if (fitting.size() >= kFingerprintAt + 8) {
    std::string fingerprint;
    put_u64(fingerprint, schema_fingerprint(schema));
    fitting.replace(kFingerprintAt, 8, fingerprint);
  }
  (void)read_batch_head(fitting);
  BatchDecoder decoder(5000);
  EventBatch once;
  if (!decoder.decode(fitting, schema, once)) {
    check(once.rows == 0);
    return;
  }
  EncodedBatch encoded;
  encoder.encode(once, encoded);
  EventBatch twice;
  check(decoder.decode(encoded.bytes, schema, twice).has_value());
  check(wal::test::difference(once, twice).empty());
}

void control(std::uint8_t type, std::string_view bytes) {
  const auto once = decode_control(static_cast<RecordType>(type), bytes);
  if (!once) return;
  std::string written;
  encode(*once, written);
  const auto twice = decode_control(type_of(*once), written);
  check(twice.has_value() && *twice == *once);
}

void manifest(std::string_view bytes) {
  std::string fitting(bytes);
  put_u32(fitting, crc32c(fitting));
  const auto once = decode_manifest(fitting);
  if (!once) return;
  const auto twice = decode_manifest(encode_manifest(*once));
  check(twice.has_value() && *twice == *once);
}

void part(std::string_view bytes) {
  streamobs::test::RecordingFileSystem disk;
  auto file = disk.create("/part");
  check(file.has_value() && (*file)->write_at(0, bytes).has_value());
  PartEntry entry;
  entry.bytes = bytes.size() * 3;
  entry.stored_bytes = bytes.size();
  entry.crc32c = crc32c(bytes);
  (void)read_part(disk, "/part", 1, 0, entry);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 8) {
    case 0:
      manifest(bytes);
      break;
    case 1:
      part(bytes);
      break;
    case 2:
    case 3:
      control(data[0] % 8 == 2 ? 1 : 3, bytes);
      break;
    case 4:
      control(data[0] % 16 < 8 ? 4 : data[0] < 128 ? 5 : 8, bytes);
      break;
    default:
      batch(bytes);
      break;
  }
  return 0;
}

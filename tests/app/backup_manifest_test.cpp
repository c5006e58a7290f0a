#include "app/backup_manifest.h"

#include <string>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "support/catch.h"

namespace {

using namespace streamobs;       // NOLINT
using namespace streamobs::app;  // NOLINT

BackupManifest some_manifest() {
  BackupManifest manifest;
  manifest.made_at = 1'700'000'000 * kSecond + 5;
  manifest.version = "1.2.3";
  manifest.log_id = 0x1234567890abcdef;
  manifest.checkpoint_position = 100;
  manifest.database_position = 120;
  manifest.first_record = 90;
  manifest.last_record = 130;
  manifest.files = {{"checkpoint/1.manifest", {100, 0xdeadbeef}},
                    {"streamobs.db", {std::uint64_t{1} << 40, 1}},
                    {"wal/segment-0000000001.log", {0, 0}}};
  return manifest;
}

}  // namespace

TEST_CASE("a backup's manifest comes back as it was, or as an error", "[app]") {
  const BackupManifest manifest = some_manifest();
  const std::string bytes = encode(manifest);
  CHECK(decode_backup_manifest(bytes).value() == manifest);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    CHECK(decode_backup_manifest(bytes.substr(0, i)).error().code == ErrorCode::corrupt);
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    CHECK(decode_backup_manifest(changed).error().code == ErrorCode::corrupt);
  }
  // With a checksum that is right, no path leads out of the directory, and none comes twice.
  for (const char* path : {"", "/etc/passwd", "../x", "wal/../x", "wal/", "wal", "wal/.", "lock",
                           "wal/a/b", "checkpoint/..", "streamobs.db-wal"}) {
    BackupManifest hostile = manifest;
    hostile.files = {{path, {}}};
    CHECK(decode_backup_manifest(encode(hostile)).error().code == ErrorCode::corrupt);
  }
  BackupManifest twice = manifest;
  twice.files.push_back(twice.files.back());
  CHECK(decode_backup_manifest(encode(twice)).error().code == ErrorCode::corrupt);

  std::string newer = bytes.substr(0, bytes.size() - 4);
  newer[8] = 2;
  put_u32(newer, crc32c(newer));
  CHECK(decode_backup_manifest(newer).error().code == ErrorCode::invalid);
}

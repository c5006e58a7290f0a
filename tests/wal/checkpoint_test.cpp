#include "wal/checkpoint.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "support/catch.h"
#include "support/faulty_file_system.h"
#include "support/recording_file_system.h"
#include "wal/checkpoint_file.h"

namespace {

using namespace streamobs;  // NOLINT
using namespace streamobs::wal;
using streamobs::test::FaultyFileSystem;
using streamobs::test::RecordingFileSystem;

constexpr const char* kDirectory = "/data/checkpoint";
constexpr std::uint64_t kLogId = 0x1234'5678'9abc'def0;

/// A state of the engine, different for each position, some of its parts larger than a chunk.
CheckpointParts state_at(std::uint64_t position, std::size_t large = 3000) {
  std::mt19937_64 random(position);
  CheckpointParts state;
  state.position = position;
  state.parts["sequencer"] = fmt::format("position {}", position);
  state.parts["empty"] = "";
  std::string& windows = state.parts["windows/requests"];
  while (windows.size() < large) windows += fmt::format("key-{} {}\n", random() % 100, position);
  std::string& noise = state.parts["detect"];
  for (std::size_t i = 0; i < large / 10; ++i) noise += static_cast<char>(random());
  return state;
}

bool same(const CheckpointParts& a, const CheckpointParts& b) {
  return a.position == b.position && a.parts == b.parts;
}

CheckpointStore opened(FileSystem& files) {
  auto store = CheckpointStore::open(files, kDirectory);
  REQUIRE(store.has_value());
  return *std::move(store);
}

/// The position that is loaded, its content checked; nothing if there is none.
std::optional<std::uint64_t> loaded_position(CheckpointStore& store, std::uint64_t log_begins,
                                             std::size_t large = 3000) {
  auto loaded = store.load_newest(log_begins);
  REQUIRE(loaded.has_value());
  if (!loaded->has_value()) return std::nullopt;
  CHECK((*loaded)->log_id == kLogId);
  CHECK(same((*loaded)->state, state_at((*loaded)->state.position, large)));
  return (*loaded)->state.position;
}

std::size_t manifests(const RecordingFileSystem& disk) {
  const auto paths = disk.paths();
  return static_cast<std::size_t>(
      std::count_if(paths.begin(), paths.end(),
                    [](const std::string& path) { return path.ends_with(".manifest"); }));
}

/// True if every manifest has its parts beside it, whatever else is damaged.
bool parts_are_there(RecordingFileSystem& disk) {
  for (const std::string& path : disk.paths()) {
    if (!is_manifest(path)) continue;
    const auto manifest = decode_manifest(disk.bytes_of(path));
    if (manifest.has_error()) return false;
    for (std::size_t i = 0; i < manifest->parts.size(); ++i) {
      const std::string part = part_name(manifest->generation, i);
      if (!*disk.exists(std::string(kDirectory) + "/" + part)) return false;
    }
  }
  return true;
}

/// A disk with checkpoints at 10, 20, …
RecordingFileSystem& with_checkpoints(RecordingFileSystem& disk, std::uint64_t count) {
  CheckpointStore store = opened(disk);
  for (std::uint64_t i = 1; i <= count; ++i) {
    REQUIRE(store.save(state_at(10 * i), kLogId).has_value());
  }
  return disk;
}

TEST_CASE("an empty directory has no checkpoint, and the log must begin at 1") {
  RecordingFileSystem disk;
  CheckpointStore store = opened(disk);
  CHECK(store.newest_position() == 0);
  CHECK(store.oldest_position() == 0);
  CHECK(loaded_position(store, 1) == std::nullopt);
  const auto loaded = store.load_newest(2);
  REQUIRE(loaded.has_error());
  CHECK(loaded.error().code == ErrorCode::corrupt);
  CHECK(loaded.error().message.find(kDirectory) != std::string::npos);
}

TEST_CASE("the newest checkpoint comes back, part by part") {
  RecordingFileSystem disk;
  CheckpointStore store = opened(disk);
  REQUIRE(store.save(state_at(10), kLogId).has_value());
  CHECK(loaded_position(store, 1) == 10);
  CHECK(store.newest_position() == 10);
  CHECK(store.oldest_position() == 0);  // The log has to reach back to the older of two.
  REQUIRE(store.save(state_at(20), kLogId).has_value());
  CHECK(store.oldest_position() == 10);
  CheckpointStore again = opened(disk);
  CHECK(again.newest_position() == 20);
  CHECK(again.oldest_position() == 10);
  CHECK(again.newest_bytes() == store.newest_bytes());
  CHECK(again.newest_bytes() > 300);
  CHECK(loaded_position(again, 11) == 20);
  REQUIRE(again.load_newest(1).value().has_value());
  CHECK(again.passed_over().empty());
}

TEST_CASE("parts of many chunks come back, and repeating ones are compressed") {
  RecordingFileSystem disk;
  CheckpointStore store = opened(disk);
  constexpr std::size_t kLarge = 5'000'000;
  REQUIRE(store.save(state_at(1, kLarge), kLogId).has_value());
  CHECK(loaded_position(store, 1, kLarge) == 1);
  CHECK(store.newest_bytes() < kLarge / 2);
}

TEST_CASE("two checkpoints are kept") {
  RecordingFileSystem disk;
  with_checkpoints(disk, 5);
  CHECK(manifests(disk) == 2);
  std::set<std::uint64_t> generations;
  for (const std::string& path : disk.paths()) {
    generations.insert(generation_of(path.substr(std::string(kDirectory).size() + 1)));
  }
  CHECK(generations.size() == 2);
  CHECK(disk.paths().size() == 2 * 5);  // A manifest and four parts each.
  // The log is needed back to the older one.
  CHECK(opened(disk).oldest_position() == 40);
  CHECK(opened(disk).newest_position() == 50);
}

TEST_CASE("the same state gives the same bytes") {
  RecordingFileSystem one;
  RecordingFileSystem two;
  with_checkpoints(one, 2);
  with_checkpoints(two, 2);
  REQUIRE(one.paths() == two.paths());
  for (const std::string& path : one.paths()) CHECK(one.bytes_of(path) == two.bytes_of(path));
}

TEST_CASE("several checkpoints may be of one position") {
  RecordingFileSystem disk;
  CheckpointStore store = opened(disk);
  for (int i = 0; i < 3; ++i) REQUIRE(store.save(state_at(7), kLogId).has_value());
  CheckpointStore again = opened(disk);
  CHECK(loaded_position(again, 8) == 7);
  CHECK(again.oldest_position() == 7);
  CHECK(manifests(disk) == 2);
}

TEST_CASE("the manifest is frozen") {
  Manifest manifest;
  manifest.generation = 2;
  manifest.log_id = 3;
  manifest.position = 4;
  manifest.parts = {{"a", 300, 5, 0x01020304}};
  const std::string bytes = encode_manifest(manifest);
  const std::string_view content(
      "SOBSCKPT\x01\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0"
      "\x01\x01"
      "a\xac\x02\x05\x04\x03\x02\x01",
      8 + 4 + 24 + 1 + 2 + 2 + 1 + 4);
  CHECK(bytes.substr(0, bytes.size() - 4) == content);
  CHECK(*decode_manifest(bytes) == manifest);
  CHECK(manifest_name(2) == "00000000000000000002.manifest");
  CHECK(part_name(2, 0) == "00000000000000000002.0000.part");
  CHECK(generation_of("00000000000000000002.0000.part") == 2);
  CHECK(generation_of("00000000000000000002.manifest.tmp") == 2);
  CHECK(generation_of("0000000000000000000x.manifest") == 0);
  CHECK(generation_of("2.manifest") == 0);
  CHECK(generation_of("00000000000000000002.txt") == 0);
}

TEST_CASE("a checkpoint that is damaged or incomplete gives way to the one before it") {
  RecordingFileSystem disk;
  with_checkpoints(disk, 2);
  for (const std::string& path : disk.paths()) {
    const bool newest = path.find("/" + std::string(19, '0') + "2.") != std::string::npos;
    for (const bool missing : {true, false}) {
      auto spoilt = disk.after_kill();
      INFO(path << (missing ? " missing" : " damaged"));
      if (missing) {
        REQUIRE(spoilt->remove(path).has_value());
      } else {
        spoilt->bytes_of(path).back() ^= 1;
      }
      CheckpointStore store = opened(*spoilt);
      CHECK(loaded_position(store, 1) == (newest ? 10 : 20));
      // From a damaged one nothing can be recovered, so the log must be kept until there are two.
      if (newest) {
        CHECK(store.newest_position() == 10);
        CHECK(store.oldest_position() == 0);
      }
      REQUIRE(store.save(state_at(30), kLogId).has_value());
      CHECK(loaded_position(store, 11) == 30);
      if (newest) CHECK(store.oldest_position() == 10);
    }
  }
}

TEST_CASE("what was passed over is named") {
  RecordingFileSystem disk;
  with_checkpoints(disk, 2);
  const std::string part = std::string(kDirectory) + "/" + part_name(2, 0);
  disk.bytes_of(part)[30] ^= 4;
  CheckpointStore store = opened(disk);
  auto loaded = store.load_newest(1);
  REQUIRE(loaded.has_value());
  REQUIRE(loaded->has_value());
  REQUIRE(store.passed_over().size() == 1);
  CHECK(store.passed_over()[0].find(part) != std::string::npos);
  // The older one is of no use if the log does not reach back to it.
  CheckpointStore fresh = opened(disk);
  const auto none = fresh.load_newest(12);
  REQUIRE(none.has_error());
  CHECK(none.error().code == ErrorCode::corrupt);
  CHECK(none.error().message.find(part) != std::string::npos);
  CHECK(none.error().message.find(manifest_name(1)) != std::string::npos);
  // With both of them damaged, all of the log will do.
  disk.bytes_of(std::string(kDirectory) + "/" + manifest_name(1))[3] ^= 1;
  CheckpointStore both = opened(disk);
  CHECK(loaded_position(both, 1) == std::nullopt);
  CHECK(both.passed_over().size() == 2);
  CHECK(both.load_newest(2).has_error());
}

TEST_CASE("for a database the newest that is not ahead of it, and else the oldest of use") {
  // Every place of the database, every beginning of the log, and which of the two is damaged.
  for (const std::uint64_t damaged : {0, 40, 50}) {
    RecordingFileSystem copy;
    with_checkpoints(copy, 5);
    if (damaged != 0) {
      copy.bytes_of(std::string(kDirectory) + "/" + part_name(damaged / 10, 0))[30] ^= 4;
    }
    for (std::uint64_t applied = 30; applied <= 60; ++applied) {
      for (std::uint64_t begins = 1; begins <= 60; ++begins) {
        INFO("damaged " << damaged << ", applied " << applied << ", log from " << begins);
        std::optional<std::uint64_t> behind;
        std::optional<std::uint64_t> oldest;
        for (const std::uint64_t position : {50, 40}) {
          if (position == damaged || position + 1 < begins) continue;
          if (position <= applied && !behind) behind = position;
          oldest = position;
        }
        CheckpointStore store = opened(copy);
        const auto loaded = store.load_for(applied, begins);
        if (!oldest && begins > 1) {
          CHECK(loaded.has_error());
          continue;
        }
        REQUIRE(loaded.has_value());
        REQUIRE(loaded->has_value());
        CHECK((*loaded)->state.position == (behind ? *behind : *oldest));
      }
    }
  }
}

TEST_CASE("a look finds what opening finds, and changes nothing") {
  RecordingFileSystem disk;
  const auto none = CheckpointStore::look(disk, kDirectory);
  REQUIRE(none.has_value());
  CHECK(none->newest_position() == 0);
  CHECK(disk.paths().empty());
  with_checkpoints(disk, 3);
  // What an interrupted save left, which opening removes.
  const std::string leftover = std::string(kDirectory) + "/" + part_name(9, 0);
  auto file = disk.create(leftover);
  REQUIRE(file.has_value());
  file->reset();
  const std::vector<std::string> before = disk.paths();
  auto look = CheckpointStore::look(disk, kDirectory);
  REQUIRE(look.has_value());
  CHECK(look->newest_position() == 30);
  CHECK(look->oldest_position() == 20);
  CHECK(loaded_position(*look, 1) == 30);
  CHECK(disk.paths() == before);
  CHECK(opened(disk).newest_position() == 30);
  CHECK(disk.paths() != before);
}

TEST_CASE("a newer version is refused, not taken for damage") {
  RecordingFileSystem disk;
  with_checkpoints(disk, 2);
  std::string& bytes = disk.bytes_of(std::string(kDirectory) + "/" + manifest_name(2));
  bytes[8] = 2;
  std::string sum;
  put_u32(sum, crc32c(std::string_view(bytes).substr(0, bytes.size() - 4)));
  bytes.replace(bytes.size() - 4, 4, sum);
  const auto store = CheckpointStore::open(disk, kDirectory);
  REQUIRE(store.has_error());
  CHECK(store.error().code == ErrorCode::invalid);
  CHECK(store.error().message.find("version 2") != std::string::npos);
}

TEST_CASE("every flipped bit of a checkpoint is found") {
  RecordingFileSystem disk;
  with_checkpoints(disk, 2);
  for (const std::string& path : disk.paths()) {
    if (path.find("/" + std::string(19, '0') + "2.") == std::string::npos) continue;
    std::string& bytes = disk.bytes_of(path);
    for (std::size_t bit = 0; bit < bytes.size() * 8; bit += bytes.size() > 2000 ? 7 : 1) {
      bytes[bit / 8] ^= static_cast<char>(1U << bit % 8);
      auto store = CheckpointStore::open(disk, kDirectory);
      bool found = store.has_error();
      if (!found) {
        const auto loaded = store->load_newest(1);
        found = loaded.has_value() && loaded->has_value() && (*loaded)->state.position == 10 &&
                store->passed_over().size() == 1;
      }
      if (!found) FAIL(path << ", bit " << bit);
      bytes[bit / 8] ^= static_cast<char>(1U << bit % 8);
    }
  }
}

TEST_CASE("files of interrupted saves are removed at the start, others' are not") {
  RecordingFileSystem disk;
  with_checkpoints(disk, 2);
  const std::string base = std::string(kDirectory) + "/";
  for (const std::string& name :
       {part_name(9, 0), manifest_name(9) + ".tmp", part_name(1, 7), std::string("notes.txt")}) {
    auto file = disk.create(base + name);
    REQUIRE(file.has_value());
    REQUIRE((*file)->write_at(0, std::string_view("x")).has_value());
  }
  CheckpointStore store = opened(disk);
  CHECK_FALSE(*disk.exists(base + part_name(9, 0)));
  CHECK_FALSE(*disk.exists(base + manifest_name(9) + ".tmp"));
  CHECK(*disk.exists(base + "notes.txt"));
  CHECK(loaded_position(store, 11) == 20);
  // Its number is not given out again.
  REQUIRE(store.save(state_at(30), kLogId).has_value());
  CHECK(*disk.exists(base + manifest_name(10)));
  CHECK_FALSE(*disk.exists(base + part_name(1, 7)));
}

TEST_CASE("each call that fails once leaves the former checkpoints as they were") {
  using Call = FaultyFileSystem::Call;
  for (int call = 0; call < FaultyFileSystem::kCalls; ++call) {
    for (const ErrorCode code : {ErrorCode::io, ErrorCode::no_space}) {
      for (std::uint64_t nth = 1; nth < 30; ++nth) {
        RecordingFileSystem disk;
        with_checkpoints(disk, 2);
        FaultyFileSystem faulty(disk);
        CheckpointStore store = opened(faulty);
        bool failed = false;
        faulty.fail_nth(static_cast<Call>(call), nth, code);
        const auto inner = faulty.fault;
        faulty.fault = [&](Call made, const std::string& path) {
          auto error = inner(made, path);
          failed = failed || error.has_value();
          return error;
        };
        const auto saved = store.save(state_at(30), kLogId);
        faulty.fault = nullptr;
        INFO(FaultyFileSystem::name_of(static_cast<Call>(call)) << " number " << nth);
        if (saved.has_error()) CHECK(saved.error().code == code);
        const std::uint64_t newest = saved.has_value() ? 30 : 20;
        CHECK(store.newest_position() == newest);
        CHECK(store.oldest_position() == newest - 10);
        CHECK(loaded_position(store, newest - 9) == newest);
        // A new process may find the one that failed at the very end, whole.
        auto after = disk.after_kill();
        CheckpointStore next = opened(*after);
        CHECK(loaded_position(next, newest - 9).value() >= newest);
        // The next one goes well, and nothing is left over.
        REQUIRE(store.save(state_at(40), kLogId).has_value());
        CHECK(loaded_position(store, newest + 1) == 40);
        CHECK(manifests(disk) == 2);
        CHECK(disk.paths().size() == 10);
        if (!failed) break;
      }
    }
  }
}

TEST_CASE("each call that fails at the start is said, or does no harm") {
  using Call = FaultyFileSystem::Call;
  for (int call = 0; call < FaultyFileSystem::kCalls; ++call) {
    for (std::uint64_t nth = 1; nth < 12; ++nth) {
      RecordingFileSystem disk;
      with_checkpoints(disk, 2);
      FaultyFileSystem faulty(disk);
      faulty.fail_nth(static_cast<Call>(call), nth, ErrorCode::io);
      auto store = CheckpointStore::open(faulty, kDirectory);
      if (store.has_error()) {
        CHECK(store.error().code == ErrorCode::io);
        continue;
      }
      // With a call failing once, at most one of the two cannot be read.
      CHECK(loaded_position(*store, 1).value() >= 10);
    }
  }
}

TEST_CASE("a failed sync is not tried again") {
  RecordingFileSystem disk;
  with_checkpoints(disk, 2);
  CheckpointStore store = opened(disk);
  disk.fail_next_sync();
  CHECK(store.save(state_at(30), kLogId).has_error());
  REQUIRE(store.save(state_at(40), kLogId).has_value());
  std::mt19937_64 random(1);
  for (int i = 0; i < 50; ++i) {
    auto after = disk.after_power_loss(random);
    CheckpointStore next = opened(*after);
    CHECK(loaded_position(next, 21) == 40);
  }
}

// After a power loss at any moment: what save() has acknowledged, or something newer, is there
// whole; and never was an older one removed before the newer ones were durable.
TEST_CASE("a power loss at any moment leaves a checkpoint from which the log goes on") {
  const char* const wanted = std::getenv("STREAMOBS_CRASH_STATES");
  const std::size_t states = wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : 1500;
  std::mt19937_64 random(42);
  std::size_t seen = 0;
  std::size_t passed_over = 0;
  while (seen < states) {
    auto disk = std::make_unique<RecordingFileSystem>();
    std::uint64_t saved = 0;   // Newest position that save() acknowledged.
    std::uint64_t oldest = 0;  // What the log may have been trimmed up to.
    std::uint64_t position = 0;
    for (int process = 0; process < 4 && seen < states; ++process) {
      disk->power_off_after(random() % 60);
      auto store = CheckpointStore::open(*disk, kDirectory);
      if (store.has_value()) {
        auto loaded = store->load_newest(oldest + 1);
        REQUIRE(loaded.has_value());
        oldest = std::max(oldest, store->oldest_position());
        for (int i = 0; i < 4; ++i) {
          if (store->save(state_at(position += 10), kLogId).has_error()) break;
          saved = position;
          oldest = std::max(oldest, store->oldest_position());
        }
      }
      for (int i = 0; i < 8; ++i, ++seen) {
        auto after = disk->after_power_loss(random);
        CHECK(parts_are_there(*after));
        CheckpointStore next = opened(*after);
        auto newest = next.load_newest(oldest + 1);
        INFO("state " << seen);
        REQUIRE(newest.has_value());
        if (!newest->has_value()) {
          CHECK(saved == 0);
          continue;
        }
        CHECK(same((*newest)->state, state_at((*newest)->state.position)));
        CHECK((*newest)->state.position >= saved);
        passed_over += next.passed_over().size();
      }
      // The next process finds the disk after a power loss, or after a mere kill.
      auto next = random() % 2 == 0 ? disk->after_power_loss(random) : disk->after_kill();
      disk = std::move(next);
    }
  }
  CHECK(passed_over == 0);
}

}  // namespace

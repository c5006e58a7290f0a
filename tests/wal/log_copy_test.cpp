#include "wal/log_copy.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "support/faulty_file_system.h"
#include "wal/checkpoint.h"
#include "wal/log_support.h"
#include "wal/segment_files.h"

namespace {

using namespace streamobs;             // NOLINT
using namespace streamobs::wal;        // NOLINT
using namespace streamobs::wal::test;  // NOLINT
using streamobs::test::FaultyFileSystem;

constexpr const char* kCheckpoints = "data/checkpoint";
constexpr const char* kCopy = "copy";

/// Appends and syncs one record after the other; gives all there are now.
Items grow(Log& log, Random& random, std::uint64_t from, std::uint64_t to) {
  Items items;
  for (std::uint64_t sequence = from; sequence <= to; ++sequence) {
    const Items one{{sequence, {1, random_payload(random, 700)}}};
    REQUIRE(append(log, one).has_value());
    REQUIRE(log.sync().has_value());
    items.insert(one.begin(), one.end());
  }
  return items;
}

Items read_copy(FileSystem& files, std::uint64_t from) {
  LogReaderOptions options;
  options.from_sequence = from;
  auto reader = LogReader::open(files, kCopy, options);
  REQUIRE(reader.has_value());
  Items items;
  for (LogEntry entry;;) {
    const auto more = (*reader)->next(entry);
    REQUIRE(more.has_value());
    if (!*more) break;
    items[entry.sequence] = {entry.type, std::string(entry.payload)};
  }
  CHECK(!(*reader)->torn());
  return items;
}

Result<LogCopy> copy(FileSystem& files, std::uint64_t from, std::uint64_t known_durable = 0) {
  LogCopyOptions options;
  options.from_sequence = from;
  options.known_durable = known_durable;
  return copy_log(files, kDirectory, kCopy, options, {});
}

CheckpointParts state_at(std::uint64_t position) {
  CheckpointParts state;
  state.position = position;
  state.parts["windows/requests"] = std::string(5000, static_cast<char>('a' + position % 20));
  state.parts["sequencer"] = "position " + std::to_string(position);
  return state;
}

/// A place for the next copy.
void empty(FileSystem& files, const std::string& directory) {
  const auto names = files.list(directory);
  if (!names) return;
  for (const std::string& name : *names) {
    REQUIRE(files.remove(directory + "/" + name).has_value());
  }
}

void flip_a_bit(FileSystem& files, const std::string& path, std::uint64_t offset) {
  const auto file = files.open_for_writing(path);
  REQUIRE(file.has_value());
  char byte = 0;
  REQUIRE((*file)->read_at(offset, std::span<char>(&byte, 1)).has_value());
  byte = static_cast<char>(byte ^ 4);
  REQUIRE((*file)->write_at(offset, std::string_view(&byte, 1)).has_value());
}

}  // namespace

TEST_CASE("a copied log holds what was written, raw and sealed, from the record needed", "[wal]") {
  Random random(1);
  RecordingFileSystem files;
  auto log = open_log(files, 8 << 10);
  REQUIRE(log.has_value());
  const Items items = grow(**log, random, 1, 60);
  for (int i = 0; i < 3; ++i) REQUIRE((*log)->seal_next().value());
  for (const std::uint64_t from : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{17},
                                   std::uint64_t{40}, std::uint64_t{60}, std::uint64_t{61}}) {
    empty(files, kCopy);
    const auto copied = copy(files, from, 60);
    REQUIRE(copied.has_value());
    CHECK(copied->log_id == kLogId);
    CHECK(copied->first_sequence <= std::max<std::uint64_t>(from, 1));
    CHECK(copied->last_sequence == 60);
    const std::uint64_t first = std::max<std::uint64_t>(from, 1);
    CHECK(read_copy(files, first) == Items(items.lower_bound(first), items.end()));
    // No more segments than needed.
    const auto segments = list_segments(files, kCopy);
    REQUIRE(segments.has_value());
    if (from == 61) CHECK(segments->size() == 1);
  }
}

TEST_CASE("a copied log ends with its last whole record", "[wal]") {
  Random random(2);
  RecordingFileSystem files;
  std::uint64_t end = 0;
  Items items;
  {
    auto log = open_log(files, 64 << 10);
    REQUIRE(log.has_value());
    items = grow(**log, random, 1, 20);
    const auto whole = copy(files, 1);
    REQUIRE(whole.has_value());
    end = files.file_size(std::string(kCopy) + "/" + raw_name(1)).value();
  }
  // As another process sees it while a group is being written: its first page is not there yet, and
  // a later frame is.
  const std::string path = kDirectory + "/" + raw_name(1);
  const auto file = files.open_for_writing(path);
  REQUIRE(file.has_value());
  REQUIRE((*file)->write_at(end + 4096, std::string(300, 'x')).has_value());
  const auto copied = copy(files, 1, 20);
  REQUIRE(copied.has_value());
  CHECK(copied->last_sequence == 20);
  CHECK(files.file_size(std::string(kCopy) + "/" + raw_name(1)).value() == end);
  CHECK(read_copy(files, 1) == items);

  // A log that ends before what the database knows of has lost something.
  const auto short_of = copy(files, 1, 21);
  REQUIRE(short_of.has_error());
  CHECK(short_of.error().code == ErrorCode::corrupt);
}

TEST_CASE("damage in what is needed of a log is not copied in silence", "[wal]") {
  Random random(3);
  RecordingFileSystem files;
  auto log = open_log(files, 8 << 10);
  REQUIRE(log.has_value());
  grow(**log, random, 1, 60);
  REQUIRE((*log)->seal_next().value());
  flip_a_bit(files, kDirectory + "/" + sealed_name(1), 200);
  const auto damaged = copy(files, 1);
  REQUIRE(damaged.has_error());
  CHECK(damaged.error().code == ErrorCode::corrupt);
  CHECK(damaged.error().message.find(sealed_name(1)) != std::string::npos);
  CHECK(copy(files, 40).has_value());  // It is not needed for this.

  flip_a_bit(files, kDirectory + "/" + raw_name(3), 200);
  const auto inside = copy(files, 20);
  REQUIRE(inside.has_error());
  CHECK(inside.error().code == ErrorCode::corrupt);
  CHECK(inside.error().message.find(raw_name(3)) != std::string::npos);
}

TEST_CASE("a damaged record of the last segment is named as a start would name it", "[wal]") {
  Random random(5);
  RecordingFileSystem files;
  auto log = open_log(files, 64 << 10);
  REQUIRE(log.has_value());
  const std::string segment = kDirectory + "/" + raw_name(1);
  std::vector<std::uint64_t> ends;  // Of each record's frame.
  for (std::uint64_t sequence = 1; sequence <= 41; ++sequence) {
    grow(**log, random, sequence, sequence);
    empty(files, kCopy);
    REQUIRE(copy(files, 1).has_value());
    ends.push_back(files.file_size(std::string(kCopy) + "/" + raw_name(1)).value());
  }
  for (std::uint64_t damaged = 2; damaged <= 41; ++damaged) {
    for (const std::uint64_t inside : {3, 40, 300}) {  // Header, then twice the payload.
      const std::uint64_t offset = ends[damaged - 2] + inside;
      REQUIRE(offset < ends[damaged - 1]);
      flip_a_bit(files, segment, offset);
      empty(files, kCopy);
      const auto copied = copy(files, 1);
      const ReadBack there = read_all(files);
      INFO("record " << damaged << ", byte " << inside << " of it");
      // The log itself is read without the help of what copies it, and only behind the last record
      // nothing bears witness.
      CHECK(there.error.has_value() == (damaged != 41));
      REQUIRE(copied.has_error() == there.error.has_value());
      if (there.error) {
        CHECK(copied.error().code == ErrorCode::corrupt);
        CHECK(copied.error().message == there.error->message);
      } else {
        CHECK(copied->last_sequence == damaged - 1);
        empty(files, kCopy);
        CHECK(copy(files, 1, damaged).error().code == ErrorCode::corrupt);  // The database knows.
      }
      flip_a_bit(files, segment, offset);
    }
  }
  empty(files, kCopy);
  CHECK(copy(files, 1, 41)->last_sequence == 41);
}

TEST_CASE("a record that is finished while it is looked at is no damage", "[wal]") {
  Random random(6);
  RecordingFileSystem disk;
  auto log = open_log(disk, 64 << 10);
  REQUIRE(log.has_value());
  const Items items = grow(**log, random, 1, 20);
  REQUIRE(copy(disk, 1).has_value());
  const std::uint64_t end = disk.file_size(std::string(kCopy) + "/" + raw_name(1)).value();
  const Items more = grow(**log, random, 21, 30);
  const std::string path = kDirectory + "/" + raw_name(1);
  flip_a_bit(disk, path, end + 40);  // As long as record 21 is not there …
  int left = 0;
  FaultyFileSystem files(disk);
  files.fault = [&](FaultyFileSystem::Call call, const std::string& read) {
    if (call == FaultyFileSystem::Call::read && read == path && left > 0 && --left == 0) {
      flip_a_bit(disk, path, end + 40);
    }
    return std::optional<Error>();
  };
  // … which lasts until the header and the first block were read: then come its successors.
  left = 4;
  empty(disk, kCopy);
  const auto copied = copy(files, 1, 20);
  REQUIRE(left == 0);
  REQUIRE(copied.has_value());
  CHECK(copied->last_sequence == 30);
  Items all = items;
  all.insert(more.begin(), more.end());
  CHECK(read_copy(disk, 1) == all);
}

TEST_CASE("a copy that does not hold what was read is none", "[wal]") {
  Random random(7);
  RecordingFileSystem disk;
  auto log = open_log(disk, 64 << 10);
  REQUIRE(log.has_value());
  grow(**log, random, 1, 20);
  REQUIRE(copy(disk, 1).has_value());
  const std::string copied_to = std::string(kCopy) + "/" + raw_name(1);
  const std::uint64_t end = disk.file_size(copied_to).value();
  empty(disk, kCopy);
  FaultyFileSystem files(disk);
  files.fault = [&](FaultyFileSystem::Call call, const std::string& path) {
    // When all is written: the last record, behind which nothing bears witness.
    if (call == FaultyFileSystem::Call::sync_directory && path == kCopy) {
      flip_a_bit(disk, copied_to, end - 500);
    }
    return std::optional<Error>();
  };
  const auto copied = copy(files, 1);
  REQUIRE(copied.has_error());
  CHECK(copied.error().code == ErrorCode::corrupt);
  CHECK(copied.error().message.find("ends with record 19") != std::string::npos);
}

TEST_CASE("copying a log can be ended wherever it has got to", "[wal]") {
  Random random(8);
  RecordingFileSystem files;
  auto log = open_log(files, 8 << 10);
  REQUIRE(log.has_value());
  grow(**log, random, 1, 40);
  REQUIRE((*log)->seal_next().value());
  LogCopyOptions options;
  int asked = 0;
  int stop_at = 0;
  std::uint64_t told_bytes = 0;
  const OnBytes on_bytes = [&](std::uint64_t bytes) -> Result<> {
    told_bytes += bytes;
    if (++asked == stop_at) return fail(ErrorCode::unavailable, "interrupted");
    return {};
  };
  REQUIRE(copy_log(files, kDirectory, kCopy, options, on_bytes).has_value());
  std::uint64_t copied_bytes = 0;
  for (const std::string& name : files.list(kCopy).value()) {
    copied_bytes += files.file_size(std::string(kCopy) + "/" + name).value();
  }
  CHECK(told_bytes == copied_bytes);
  const int times = asked;
  CHECK(times > 40);  // At each record at least.
  for (stop_at = 1; stop_at <= times; ++stop_at) {
    asked = 0;
    empty(files, kCopy);
    const auto stopped = copy_log(files, kDirectory, kCopy, options, on_bytes);
    REQUIRE(stopped.has_error());
    CHECK(stopped.error().message == "interrupted");
    CHECK(asked == stop_at);
  }
}

TEST_CASE("a log that is trimmed or sealed while it is copied says so or is followed", "[wal]") {
  Random random(4);
  RecordingFileSystem files;
  auto log = open_log(files, 8 << 10);
  REQUIRE(log.has_value());
  grow(**log, random, 1, 60);
  REQUIRE((*log)->trim(30).has_value());
  const auto too_late = copy(files, 5);
  REQUIRE(too_late.has_error());
  CHECK(too_late.error().code == ErrorCode::unavailable);

  FaultyFileSystem meanwhile(files);
  bool done = false;
  meanwhile.fault = [&](FaultyFileSystem::Call call, const std::string& path) {
    // Between the list of names and the first segment's opening for the copy.
    if (call == FaultyFileSystem::Call::make_directory && path == kCopy && !done) {
      done = true;
      while ((*log)->seal_next().value()) {
      }
    }
    return std::optional<Error>();
  };
  CHECK(copy(meanwhile, 35).has_value());
  CHECK(done);

  done = false;
  meanwhile.fault = [&](FaultyFileSystem::Call call, const std::string& path) {
    if (call == FaultyFileSystem::Call::make_directory && path == kCopy && !done) {
      done = true;
      REQUIRE((*log)->trim(50).has_value());
    }
    return std::optional<Error>();
  };
  const auto gone = copy(meanwhile, 35);
  REQUIRE(gone.has_error());
  CHECK(gone.error().code == ErrorCode::unavailable);
  CHECK(copy(files, 1).error().code == ErrorCode::unavailable);
}

TEST_CASE("no log is not found", "[wal]") {
  RecordingFileSystem files;
  CHECK(copy(files, 1).error().code == ErrorCode::not_found);
}

TEST_CASE("the newest sound checkpoint is copied, and reasons given for those passed over",
          "[wal]") {
  RecordingFileSystem files;
  const auto none = copy_newest_checkpoint(files, kCheckpoints, kCopy, {});
  REQUIRE(none.has_value());
  CHECK(none->generation == 0);

  auto store = CheckpointStore::open(files, kCheckpoints);
  REQUIRE(store.has_value());
  REQUIRE(store->save(state_at(10), kLogId).has_value());
  REQUIRE(store->save(state_at(20), kLogId).has_value());
  const auto newest = copy_newest_checkpoint(files, kCheckpoints, kCopy, {});
  REQUIRE(newest.has_value());
  CHECK(newest->position == 20);
  CHECK(newest->log_id == kLogId);
  CHECK(newest->passed_over.empty());
  {
    auto copied = CheckpointStore::open(files, kCopy);
    REQUIRE(copied.has_value());
    const auto loaded = copied->load_newest(1);
    REQUIRE(loaded.has_value());
    REQUIRE(loaded->has_value());
    CHECK((*loaded)->state.parts == state_at(20).parts);
  }

  const auto broken = [&](int which) {
    empty(files, kCopy);
    const std::string directory = std::string(kCheckpoints) + "/";
    if (which == 0) flip_a_bit(files, directory + part_name(newest->generation, 1), 100);
    if (which == 1) REQUIRE(files.remove(directory + part_name(newest->generation, 1)).has_value());
    if (which == 2) flip_a_bit(files, directory + manifest_name(newest->generation), 30);
    const auto older = copy_newest_checkpoint(files, kCheckpoints, kCopy, {});
    REQUIRE(older.has_value());
    CHECK(older->position == 10);
    CHECK(older->passed_over.size() == 1);
    for (const auto& name : files.list(kCopy).value()) {
      CHECK(generation_of(name) == older->generation);
    }
  };
  for (int which = 0; which < 3; ++which) broken(which);
}

TEST_CASE("a checkpoint that is replaced while it is copied is unavailable", "[wal]") {
  RecordingFileSystem disk;
  auto store = CheckpointStore::open(disk, kCheckpoints);
  REQUIRE(store.has_value());
  REQUIRE(store->save(state_at(10), kLogId).has_value());
  FaultyFileSystem files(disk);
  bool done = false;
  files.fault = [&](FaultyFileSystem::Call call, const std::string& path) {
    if (call == FaultyFileSystem::Call::open && path.ends_with(".part") && !done) {
      done = true;
      for (std::uint64_t p : {20, 30}) REQUIRE(store->save(state_at(p), kLogId).has_value());
    }
    return std::optional<Error>();
  };
  const auto replaced = copy_newest_checkpoint(files, kCheckpoints, kCopy, {});
  REQUIRE(replaced.has_error());
  CHECK(replaced.error().code == ErrorCode::unavailable);
  const auto again = copy_newest_checkpoint(files, kCheckpoints, kCopy, {});
  REQUIRE(again.has_value());
  CHECK(again->position == 30);
}

// Power loss: random histories of appending, syncing, rolling, sealing and trimming, cut off at any
// call, and every kind of state that the disk may legally be in afterwards. Whatever was promised
// must be there, in order, byte for byte, and nothing else.
//
// STREAMOBS_POWER_STATES sets how many states are looked at (CI: 3,000).
#include <cstdlib>
#include <string>

#include "wal/log_support.h"

using namespace streamobs;             // NOLINT: a test.
using namespace streamobs::wal;        // NOLINT
using namespace streamobs::wal::test;  // NOLINT

namespace {

std::uint64_t wanted_states() {
  const char* text = std::getenv("STREAMOBS_POWER_STATES");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 3'000;
}

struct Counts {
  std::uint64_t states = 0;
  std::uint64_t nested = 0;  ///< Of those: power lost once more, during recovery.
  std::uint64_t torn = 0;
  std::uint64_t sealed = 0;
  std::uint64_t lives = 0;
};

/// What the log has been told, and what it has promised.
struct Model {
  Items items;  ///< The newest content given to each sequence number.
  std::uint64_t promised = 0;
  std::uint64_t trimmed_to = 0;
};

class History {
 public:
  History(std::uint64_t seed, Counts& counts) : random_(seed), counts_(counts) {
    segment_bytes_ = 600 + random_() % 5000;
    disk_ = std::make_unique<RecordingFileSystem>();
  }

  void run() {
    for (int life = 0; life < 4; ++life) {
      ++counts_.lives;
      watch();
      live();
      disk_->before_change = nullptr;
      // Killed, or the power went, perhaps in the middle of a call; the next life goes on with it.
      disk_ = random_() % 3 == 0 ? disk_->after_kill() : disk_->after_power_loss(random_);
    }
  }

 private:
  void watch() {
    disk_->before_change = [this] {
      if (random_() % 4 == 0) check_a_state();
    };
    if (random_() % 2 == 0) disk_->power_off_after(random_() % 120);
  }

  void live() {
    auto opened = open_log(*disk_, segment_bytes_, random_() % 2 == 0 ? model_.promised : 0);
    if (!opened) return;  // The power went.
    Log& log = **opened;
    recovered(log);
    for (int i = 0; i < 40 && !log.poisoned(); ++i) step(log);
  }

  /// What a start says is there has been promised from then on: it is going to be replayed.
  void recovered(const Log& log) {
    REQUIRE(log.next_sequence() > model_.promised);
    model_.promised = log.next_sequence() - 1;
    model_.items.erase(model_.items.lower_bound(log.next_sequence()), model_.items.end());
  }

  void step(Log& log) {
    switch (random_() % 14) {
      case 0:
        (void)log.seal_next();
        return;
      case 1:
        if (model_.promised > 0) {
          model_.trimmed_to = std::max(model_.trimmed_to, random_() % (model_.promised + 1));
          (void)log.trim(model_.trimmed_to);
        }
        return;
      case 2:
      case 3:
        (void)log.prepare_next();
        return;
      case 4:
        if (random_() % 4 == 0) disk_->fail_next_sync();
        break;
      default:
        break;
    }
    for (std::uint64_t groups = 1 + random_() % 3; groups > 0; --groups) {
      const Items items = group(log.next_sequence());
      for (const auto& [sequence, item] : items) model_.items[sequence] = item;
      if (!append(log, items)) return;
    }
    if (log.sync()) model_.promised = log.next_sequence() - 1;
  }

  Items group(std::uint64_t first) {
    Items items;
    for (std::uint64_t count = 1 + random_() % 4; count > 0; --count) {
      const std::size_t size = random_() % 8 == 0 ? random_() % 9000 : random_() % 300;
      items[first++] = {static_cast<std::uint8_t>(1 + random_() % 5),
                        random_payload(random_, size)};
    }
    return items;
  }

  void check_a_state() {
    auto state = disk_->after_power_loss(random_);
    if (random_() % 4 == 0) {
      // Once more during recovery. Nothing new is promised by a recovery that did not end.
      state->power_off_after(random_() % 12);
      if (open_log(*state, segment_bytes_)) {
        state->power_off_after(~std::uint64_t{0});
      } else {
        ++counts_.nested;
      }
      state = state->after_power_loss(random_);
    }
    check(*state);
  }

  void check(RecordingFileSystem& state) {
    ++counts_.states;
    const auto opened = open_log(state, segment_bytes_, model_.promised);
    if (!opened) FAIL(opened.error().message);
    Log& log = **opened;
    if (log.state().torn) ++counts_.torn;
    for (const std::string& path : state.paths()) {
      if (path.ends_with(".sealed")) ++counts_.sealed;
    }
    const ReadBack back = read_all(state);
    if (back.error) FAIL(back.error->message);
    REQUIRE_FALSE(back.torn);
    REQUIRE(back.first_sequence == log.state().first_sequence);
    REQUIRE(back.first_sequence <= model_.trimmed_to + 1);
    REQUIRE(log.next_sequence() > model_.promised);
    REQUIRE(back.items.size() == log.next_sequence() - back.first_sequence);
    for (const auto& [sequence, item] : back.items) {
      const auto known = model_.items.find(sequence);
      REQUIRE(known != model_.items.end());
      REQUIRE(item == known->second);
    }
    // And it goes on from there.
    const Items more = {{log.next_sequence(), {9, "more"}}};
    REQUIRE(append(log, more).has_value());
    REQUIRE(log.sync().has_value());
    LogReaderOptions last;
    last.from_sequence = more.begin()->first;
    REQUIRE(read_all(state, last).items == more);
  }

  Random random_;
  Counts& counts_;
  std::uint64_t segment_bytes_ = 0;
  std::unique_ptr<RecordingFileSystem> disk_;
  Model model_;
};

}  // namespace

TEST_CASE("log: whatever the power takes, what was promised is there") {
  Counts counts;
  const std::uint64_t states = wanted_states();
  for (std::uint64_t seed = 1; counts.states < states; ++seed) {
    INFO("seed " << seed);
    History(seed, counts).run();
  }
  // The histories have been where it hurts.
  CHECK(counts.nested > states / 50);
  CHECK(counts.torn > states / 50);
  CHECK(counts.sealed > states / 10);
  WARN(counts.states << " states of " << counts.lives << " lives, " << counts.nested
                     << " with a second loss during recovery, " << counts.torn << " torn tails, "
                     << counts.sealed << " sealed segments");
}

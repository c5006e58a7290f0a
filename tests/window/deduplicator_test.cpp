// The deduplicator against a few lines of reference: random ids, times, horizons and bounds, random
// cuts into batches, restarts from its snapshots.
#include "window/deduplicator.h"

#include <map>

#include "support/catch.h"
#include "window/support.h"

using namespace window_test;  // NOLINT

namespace {

constexpr std::size_t kPath = 2;
constexpr std::size_t kUser = 3;

/// What deduplicator.h says, row by row, in sorted maps.
struct Reference {
  Duration horizon;
  std::size_t max_ids;
  std::map<std::string, Timestamp> known;
  Timestamp newest = kMinTimestamp;
  Timestamp floor = kMinTimestamp;

  void forget() {
    std::erase_if(known, [&](const auto& entry) { return entry.second < floor; });
  }
  /// 'n'ew, 'r'epeat, 'o'ld.
  char judge(const std::optional<std::string>& id, Timestamp t) {
    newest = std::max(newest, t);
    const Duration step = std::max<Duration>(horizon / 64, 1);
    const Timestamp oldest = newest - horizon;
    floor = std::max(floor, oldest - ((oldest % step) + step) % step);
    forget();
    if (!id) return 'n';
    if (t < floor) return 'o';
    if (known.contains(*id)) return 'r';
    if (known.size() >= max_ids) {
      std::vector<Timestamp> times;
      for (const auto& [text, time] : known) times.push_back(time);
      std::sort(times.begin(), times.end());
      const std::size_t n = known.size() - max_ids + std::max<std::size_t>(max_ids / 8, 1);
      floor = times[std::min(n, times.size()) - 1] + 1;
      forget();
      if (t < floor) return 'o';
    }
    known[*id] = t;
    return 'n';
  }
};

std::optional<std::string> id_of(const Event& e, std::size_t field) {
  if (field == kPath) return e.path;
  if (!e.user_id) return std::nullopt;
  return std::to_string(*e.user_id);
}

std::string verdicts(Deduplicator& dedup, EventBatch& batch, DeadLetters& letters) {
  const std::size_t before = letters.size();
  const DeduplicationCounts counts = dedup.process(batch, letters);
  std::string out(batch.rows, 'n');
  std::size_t excluded = 0;
  for (std::size_t i = 0; i < batch.excluded.size(); ++i) {
    if (batch.excluded[i] != 0) out[i] = 'r';
    excluded += batch.excluded[i];
  }
  for (std::size_t i = before; i < letters.size(); ++i) {
    REQUIRE(out.at(letters[i].event_index) == 'r');
    out[letters[i].event_index] = 'o';
  }
  REQUIRE(counts.too_old == letters.size() - before);
  REQUIRE(counts.too_old_unsent == 0);
  REQUIRE(counts.duplicates + counts.too_old == excluded);
  return out;
}

std::string snapshot_of(const Deduplicator& dedup) {
  std::string out;
  dedup.snapshot(out);
  return out;
}

}  // namespace

TEST_CASE("what is a repeat, and what is too old to tell, agrees with a plain reference",
          "[window][deduplicator]") {
  std::size_t repeats = 0;
  std::size_t old = 0;
  std::size_t evicting = 0;
  const StreamSchema schema = test_schema();
  for (unsigned seed = 0; seed < 400; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const std::size_t field = random() % 2 == 0 ? kPath : kUser;
    const Duration horizons[] = {1, 100, kSecond, 10 * kMinute, kHour};
    const DeduplicationOptions options{field, horizons[random() % 5],
                                       random() % 3 == 0 ? 1 + random() % 40 : 1'000'000};
    Reference reference{options.horizon, options.max_ids, {}};
    const auto make = [&] { return std::make_unique<Deduplicator>(schema, options); };
    auto dedup = make();
    auto twin = make();  // Sees the same events, cut otherwise, and is never restarted.
    BatchMaker maker(schema, false);
    Timestamp clock = (random() % 2 == 0 ? 1'700'000'000 : -30) * kSecond;
    const int ids = 1 + static_cast<int>(random() % 300);
    std::vector<Event> all;
    std::string expected;
    std::string found;
    DeadLetters letters;
    const int batches = 1 + static_cast<int>(random() % 30);
    for (int b = 0; b < batches; ++b) {
      std::vector<Event> events(1 + random() % 200);
      for (Event& e : events) {
        clock += static_cast<Timestamp>(random() % static_cast<unsigned>(options.horizon / 50 + 2));
        e.time = clock;
        if (random() % 4 == 0) {
          e.time -= static_cast<Timestamp>(random() %
                                           static_cast<std::uint64_t>(options.horizon * 3 / 2 + 2));
        }
        const auto id = static_cast<std::int64_t>(random() % static_cast<unsigned>(ids));
        if (random() % 20 != 0) {
          e.user_id = id;
          e.path = fmt::format("{}{}", random() % 2 == 0 ? "request-" : "", id);
        }
        const char verdict = reference.judge(id_of(e, field), e.time);
        expected += verdict;
        repeats += verdict == 'r' ? 1 : 0;
        old += verdict == 'o' ? 1 : 0;
      }
      all.insert(all.end(), events.begin(), events.end());
      const auto batch = maker.make(events.data(), events.size());
      found += verdicts(*dedup, *batch, letters);
      REQUIRE(dedup->ids() == reference.known.size());
      if (random() % 3 == 0) {
        const std::string bytes = snapshot_of(*dedup);
        dedup = make();
        const auto restored = dedup->restore(bytes);
        REQUIRE(restored.has_value());
        REQUIRE(restored->ids == reference.known.size());
        REQUIRE(restored->altered.empty());
        REQUIRE(snapshot_of(*dedup) == bytes);
      }
    }
    REQUIRE(found == expected);
    std::string together;
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t n = std::min<std::size_t>(1 + random() % 1000, all.size() - at);
      const auto batch = maker.make(&all[at], n);
      together += verdicts(*twin, *batch, letters);
      at += n;
    }
    REQUIRE(together == expected);
    REQUIRE(snapshot_of(*twin) == snapshot_of(*dedup));
    evicting += reference.max_ids < 100 ? 1 : 0;
  }
  REQUIRE(repeats > 100'000);
  REQUIRE(old > 50'000);
  REQUIRE(evicting > 50);
}

TEST_CASE("events too old to tell become dead letters that say so", "[window][deduplicator]") {
  const StreamSchema schema = test_schema();
  Deduplicator dedup(schema, {kPath, kMinute, 100});
  BatchMaker maker(schema, false);
  std::vector<Event> events(3);
  events[0].time = Timestamp{1'700'000'000} * kSecond;
  events[0].path = "a";
  events[1].time = events[0].time - 2 * kMinute;
  events[1].path = "b";
  events[2].time = events[1].time;  // No id: nothing to tell.
  const auto batch = maker.make(events.data(), events.size());
  batch->stamp.sequence = 7;
  batch->event_index[1] = 5;
  batch->origin.first_line = 100;
  batch->origin.name = "events.ndjson";
  batch->origin.received_at = 12;
  DeadLetters letters;
  const DeduplicationCounts counts = dedup.process(*batch, letters);
  REQUIRE(counts.too_old == 1);
  REQUIRE(counts.duplicates == 0);
  REQUIRE(batch->excluded.size() == 3);
  REQUIRE(std::vector<int>(batch->excluded.begin(), batch->excluded.end()) ==
          std::vector<int>{0, 1, 0});
  REQUIRE(letters.size() == 1);
  const DeadLetter& letter = letters[0];
  REQUIRE(letter.reason == "late");
  REQUIRE(letter.stream == "requests");
  REQUIRE(letter.origin == "events.ndjson");
  REQUIRE(letter.sequence == 7);
  REQUIRE(letter.event_index == 5);
  REQUIRE(letter.position == 105);
  REQUIRE(letter.window.empty());
  REQUIRE(letter.received_at == 12);
  REQUIRE(letter.payload.find("\"path\":\"b\"") != std::string::npos);
  REQUIRE(letter.detail ==
          "too old to tell from a repeat: the event is of 2023-11-14T22:11:20Z, and what came "
          "before 2023-11-14T22:12:19.6875Z is known by its path no more");
  // A batch of nothing but news is left as it is.
  const auto fresh = maker.make(events.data() + 2, 1);
  dedup.process(*fresh, letters);
  REQUIRE(fresh->excluded.empty());
}

TEST_CASE("dead letters of one batch are bounded, and the rest counted", "[window][deduplicator]") {
  const StreamSchema schema = test_schema();
  Deduplicator dedup(schema, {kUser, kMinute, 100});
  BatchMaker maker(schema, false);
  std::vector<Event> events(Deduplicator::kMaxDeadLetters + 5);
  events[0].time = kHour;
  for (Event& e : events) e.user_id = 1;
  const auto batch = maker.make(events.data(), events.size());
  DeadLetters letters;
  const DeduplicationCounts counts = dedup.process(*batch, letters);
  REQUIRE(counts.too_old == Deduplicator::kMaxDeadLetters + 4);
  REQUIRE(counts.too_old_unsent == 4);
  REQUIRE(letters.size() == Deduplicator::kMaxDeadLetters);
}

TEST_CASE("a million ids take less than 40 bytes each, and their snapshot is in order",
          "[window][deduplicator]") {
  const StreamSchema schema = test_schema();
  Deduplicator dedup(schema, {kUser, kHour, 1'000'000});
  BatchMaker maker(schema, false);
  DeadLetters letters;
  std::size_t most = 0;
  for (std::int64_t at = 0; at < 1'200'000; at += 8000) {
    std::vector<Event> events(8000);
    for (std::size_t i = 0; i < events.size(); ++i) {
      events[i].user_id = at + static_cast<std::int64_t>(i);
      events[i].time = (at + static_cast<Timestamp>(i)) * kMillisecond;
    }
    const auto batch = maker.make(events.data(), events.size());
    const DeduplicationCounts counts = dedup.process(*batch, letters);
    REQUIRE(counts.duplicates + counts.too_old == 0);
    if (dedup.ids() > 500'000) most = std::max(most, dedup.bytes() / dedup.ids());
  }
  REQUIRE(most < 45);
  REQUIRE(dedup.bytes() < 40'000'000);
  REQUIRE(dedup.ids() <= 1'000'000);
  REQUIRE(dedup.ids() > 850'000);
  const std::string bytes = snapshot_of(dedup);
  Deduplicator again(schema, {kUser, kHour, 1'000'000});
  REQUIRE(again.restore(bytes).has_value());
  REQUIRE(snapshot_of(again) == bytes);
}

TEST_CASE("known ids under another config", "[window][deduplicator]") {
  const StreamSchema schema = test_schema();
  BatchMaker maker(schema, false);
  Deduplicator dedup(schema, {kUser, kHour, 1000});
  std::vector<Event> events(100);
  for (std::size_t i = 0; i < events.size(); ++i) {
    events[i].time = static_cast<Timestamp>(i) * 30 * kSecond;
    events[i].user_id = static_cast<std::int64_t>(i);
    events[i].path = std::to_string(i);
  }
  DeadLetters letters;
  dedup.process(*maker.make(events.data(), events.size()), letters);
  const std::string bytes = snapshot_of(dedup);
  const auto judge = [&](Deduplicator& d, std::size_t i) {
    letters.clear();
    return verdicts(d, *maker.make(&events[i], 1), letters);
  };

  SECTION("a shorter horizon forgets") {
    Deduplicator shorter(schema, {kUser, 64 * 10 * kSecond, 1000});
    REQUIRE(shorter.restore(bytes)->ids == 22);
    REQUIRE(judge(shorter, 99) == "r");
    REQUIRE(judge(shorter, 78) == "r");
    letters.clear();
    Event e = events[77];
    e.time = events[99].time - 700 * kSecond;
    const auto batch = maker.make(&e, 1);
    REQUIRE(shorter.process(*batch, letters).too_old == 1);
  }
  SECTION("a longer horizon does not bring back what was forgotten") {
    Event late = events[99];
    late.time += 30 * kMinute;
    late.user_id = 1000;
    dedup.process(*maker.make(&late, 1), letters);
    Deduplicator longer(schema, {kUser, 10 * kHour, 1000});
    REQUIRE(longer.restore(snapshot_of(dedup))->altered.empty());
    letters.clear();
    const auto batch = maker.make(&events[1], 1);
    REQUIRE(longer.process(*batch, letters).too_old == 1);
    REQUIRE(letters.size() == 1);
  }
  SECTION("fewer ids at most") {
    Deduplicator fewer(schema, {kUser, kHour, 16});
    REQUIRE(fewer.restore(bytes)->ids == 100);
    REQUIRE(judge(fewer, 0) == "r");
    Event next = events[99];
    next.user_id = 1000;
    fewer.process(*maker.make(&next, 1), letters);
    REQUIRE(fewer.ids() == 15);
    REQUIRE(judge(fewer, 86) == "r");
    letters.clear();
    const auto batch = maker.make(&events[85], 1);
    REQUIRE(fewer.process(*batch, letters).too_old == 1);
  }
  SECTION("another id") {
    Deduplicator other(schema, {kPath, kHour, 1000});
    const auto restored = other.restore(bytes);
    REQUIRE(restored->altered == "user_id int");
    REQUIRE(restored->ids == 0);
    REQUIRE(other.ids() == 0);
    REQUIRE(judge(other, 99) == "n");
  }
  SECTION("damaged") {
    Deduplicator fresh(schema, {kUser, kHour, 1000});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      REQUIRE(fresh.restore(bytes.substr(0, size)).error().code == ErrorCode::corrupt);
    }
    REQUIRE(fresh.restore(bytes + "x").has_error());
    REQUIRE(fresh.ids() == 0);
    std::mt19937 random(1);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << (random() % 8)));
      Deduplicator d(schema, {kUser, kHour, 1000});
      (void)d.restore(flipped).has_value();
      judge(d, 5);
    }
  }
}

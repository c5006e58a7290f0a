// Bytes that are not what was written: never a crash, never wrong rows where SQLite notices, and
// the next start finds a way on.
#include <random>

#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

constexpr std::uint64_t kLog = 77;
constexpr std::uint64_t kPosition = 40;
constexpr int kRows = 400;

Records rows_from(int first, int count) {
  std::vector<WindowRow> rows;
  for (int i = first; i < first + count; ++i) {
    rows.push_back(service_row(kNoon + i % 20 * kMinute, Value::of_string(std::to_string(i)), i));
    rows.back().state = std::string(100, 's');
  }
  return {batch(services(), std::move(rows)),
          letters({letter("requests", "late", kNoon), letter("requests", "not_json", kNoon)}),
          std::make_shared<const Anomaly>(anomaly(std::to_string(first), kNoon, {}))};
}

/// A sound database of a log, to be harmed in copies.
std::string make_sound(const TempDir& temp) {
  {
    const auto database = open(temp.database(), {services()});
    REQUIRE(database->bind_log(kLog).has_value());
    write(*database, rows_from(0, kRows), kPosition);
  }
  std::ifstream in(temp.database(), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void save(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// Opens what is there and uses it in every way. What SQLite cannot notice may come back wrong in
/// value; but nothing crashes, and the position is never another one.
void use(const std::string& path) {
  Result<std::unique_ptr<Database>> opened = Database::open(options(path), {services()});
  if (opened.has_error()) {
    INFO(opened.error().message);
    // Another version, or a layout that is not ours: refused, with a way out.
    CHECK((opened.error().code == ErrorCode::invalid || opened.error().code == ErrorCode::io));
    const bool way_out = opened.error().message.find("another data_dir") != std::string::npos ||
                         opened.error().message.find("move it away") != std::string::npos;
    CHECK(way_out);
    return;
  }
  const Database& database = **opened;
  const bool anew = database.begun_anew();
  CHECK(database.log_id() == (anew ? 0 : kLog));
  CHECK(database.applied_position() == (anew ? 0 : kPosition));
  const auto rows = database.window_rows(rows_of("service_metrics"));
  if (anew) CHECK(rows->empty());
  for (const bool failed :
       {rows.has_error(), database.anomalies(list_of()).has_error(),
        database.dead_letters(list_of()).has_error(), database.dead_letter_counts().has_error()}) {
    CHECK_FALSE((anew && failed));
  }
  Result<> written;
  for (int i = 0; i < 3 && written.has_value(); ++i) {
    written = try_write(**opened, rows_from(i * 150, 150), kPosition + 1, i == 2);
  }
  if (written.has_value())
    written = (*opened)->maintain(kNoon + 30 * kDay).has_value()
                  ? Result<>()
                  : Result<>(fail(ErrorCode::corrupt, "maintain"));
  if (anew) CHECK(written.has_value());
  const bool noted = written.has_error() && written.error().code == ErrorCode::corrupt;
  opened->reset();
  // The start after one that met damage begins anew, and that works.
  if (noted) {
    const auto next = open(path, {services()});
    CHECK(next->begun_anew());
    write(*next, rows_from(0, 10), 1, true);
  }
}

}  // namespace

TEST_CASE("whichever byte of the file's header is another, there is no crash and a way on",
          "[store]") {
  const TempDir temp(TempDir::Where::memory);
  const std::string sound = make_sound(temp);
  for (std::size_t at = 0; at < 100; ++at) {
    for (const int harm : {0x01, 0x80, 0xff}) {
      INFO("byte " << at << " by " << harm);
      const TempDir broken(TempDir::Where::memory);
      std::string bytes = sound;
      bytes[at] = static_cast<char>(bytes[at] ^ harm);
      save(broken.database(), bytes);
      use(broken.database());
    }
  }
}

TEST_CASE("whichever bits and stretches are others, there is no crash and a way on", "[store]") {
  const TempDir temp(TempDir::Where::memory);
  const std::string sound = make_sound(temp);
  const char* rounds = std::getenv("STREAMOBS_DAMAGE_ROUNDS");
  std::mt19937_64 random(5);
  for (int i = 0; i < (rounds != nullptr ? std::atoi(rounds) : 200); ++i) {
    INFO("round " << i);
    const TempDir broken(TempDir::Where::memory);
    std::string bytes = sound;
    const std::size_t at = random() % bytes.size();
    switch (random() % 3) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8);
        break;
      case 1:
        for (std::size_t k = at; k < std::min(at + 200, bytes.size()); ++k) {
          bytes[k] = static_cast<char>(random());
        }
        break;
      default:  // A sector that was never written.
        for (std::size_t k = at / 512 * 512; k < std::min(at / 512 * 512 + 512, bytes.size()); ++k)
          bytes[k] = 0;
    }
    save(broken.database(), bytes);
    use(broken.database());
  }
}

TEST_CASE("pages that change under a running engine end it with words, and no crash", "[store]") {
  std::mt19937_64 random(9);
  int noticed = 0;
  for (int round = 0; round < 15; ++round) {
    INFO("round " << round);
    const TempDir temp(TempDir::Where::memory);
    make_sound(temp);
    auto database = open(temp.database(), {services()});
    const std::size_t size = std::filesystem::file_size(temp.database());
    {
      std::fstream file(temp.database(), std::ios::in | std::ios::out | std::ios::binary);
      for (int i = 0; i < 40; ++i) {
        file.seekp(static_cast<std::streamoff>(random() % size));
        file << std::string(64, static_cast<char>(random()));
      }
    }
    Result<> written;
    for (int i = 0; i < 5 && written.has_value(); ++i) {
      written = try_write(*database, rows_from(i * 200, 200), kPosition + 1);
    }
    if (database->window_rows(rows_of("service_metrics")).has_error()) ++noticed;
    if (written.has_value()) continue;
    CHECK(written.error().code == ErrorCode::corrupt);
    CHECK(written.error().message.find("set aside") != std::string::npos);
    database.reset();
    const auto next = open(temp.database(), {services()});
    CHECK(next->begun_anew());
    CHECK(next->applied_position() == 0);
    write(*next, rows_from(0, 10), 1, true);
  }
  CHECK(noticed > 5);
}

// The values were computed with Python's zoneinfo (fold = 0) and are seconds since the epoch.
#include "base/time_zone.h"

#include <cstdint>

#include "support/catch.h"

using namespace streamobs;

namespace {

struct OffsetCase {
  const char* zone;
  std::int64_t utc;
  std::int64_t offset;
};
constexpr OffsetCase kOffsets[] = {
    {"Africa/Cairo", -618105600, 7200},         {"Africa/Cairo", 1240527600, 10800},
    {"Africa/Cairo", 1250798399, 10800},        {"Africa/Cairo", 1250805600, 7200},
    {"Africa/Cairo", 1272578400, 10800},        {"Africa/Cairo", 2219090400, 10800},
    {"Africa/Cairo", 2219094000, 10800},        {"Africa/Cairo", 2540246400, 10800},
    {"Africa/Casablanca", 1243810799, 0},       {"Africa/Casablanca", 1250812800, 0},
    {"Africa/Casablanca", 1704801600, 3600},    {"Africa/Casablanca", 2230167600, 0},
    {"Africa/Casablanca", 2233789199, 0},       {"Africa/Casablanca", 2233792800, 3600},
    {"Africa/Casablanca", 2540246400, 3600},    {"Africa/Casablanca", 13569379200, 3600},
    {"America/Havana", 1236488400, -14400},     {"America/Havana", 1236492000, -14400},
    {"America/Havana", 1256446800, -18000},     {"America/Havana", 1256450400, -18000},
    {"America/Havana", 1704801600, -18000},     {"America/Havana", 2215051199, -18000},
    {"America/Havana", 2235621600, -18000},     {"America/Havana", 13569379200, -18000},
    {"America/New_York", 1236491999, -18000},   {"America/New_York", 1236499200, -14400},
    {"America/New_York", 1268546399, -18000},   {"America/New_York", 2215058399, -18000},
    {"America/New_York", 2215065600, -14400},   {"America/New_York", 2235621600, -18000},
    {"America/New_York", 2540246400, -14400},   {"America/New_York", 13569379200, -18000},
    {"America/Santiago", 1237089600, -14400},   {"America/Santiago", 1255229999, -14400},
    {"America/Santiago", 1270350000, -14400},   {"America/Santiago", 1270353600, -14400},
    {"America/Santiago", 1704801600, -10800},   {"America/Santiago", 2230167599, -14400},
    {"America/Santiago", 2230171200, -10800},   {"America/Santiago", 13569379200, -10800},
    {"America/Sao_Paulo", 1234659599, -7200},   {"America/Sao_Paulo", 1234666800, -10800},
    {"America/Sao_Paulo", 1255831199, -10800},  {"America/Sao_Paulo", 1255834800, -7200},
    {"America/Sao_Paulo", 1266713999, -7200},   {"America/Sao_Paulo", 1704801600, -10800},
    {"America/Sao_Paulo", 2540246400, -10800},  {"America/Sao_Paulo", 13569379200, -10800},
    {"Asia/Beirut", 1238273999, 7200},          {"Asia/Beirut", 1238277600, 10800},
    {"Asia/Beirut", 1256418000, 7200},          {"Asia/Beirut", 1256421600, 7200},
    {"Asia/Beirut", 2234980799, 10800},         {"Asia/Beirut", 2234984400, 7200},
    {"Asia/Beirut", 2234988000, 7200},          {"Asia/Beirut", 13569379200, 7200},
    {"Asia/Kathmandu", -618105600, 19800},      {"Asia/Kathmandu", 1704801600, 20700},
    {"Asia/Kathmandu", 1719792000, 20700},      {"Asia/Kathmandu", 2540246400, 20700},
    {"Asia/Kathmandu", 13569379200, 20700},     {"Asia/Kolkata", -618105600, 19800},
    {"Asia/Kolkata", 1704801600, 19800},        {"Asia/Kolkata", 1719792000, 19800},
    {"Asia/Kolkata", 2540246400, 19800},        {"Asia/Kolkata", 13569379200, 19800},
    {"Asia/Tehran", 1237669200, 16200},         {"Asia/Tehran", 1237672800, 16200},
    {"Asia/Tehran", 1253559599, 16200},         {"Asia/Tehran", 1253563200, 12600},
    {"Asia/Tehran", 1253566800, 12600},         {"Asia/Tehran", 1269201599, 12600},
    {"Asia/Tehran", 1719792000, 12600},         {"Asia/Tehran", 2540246400, 12600},
    {"Australia/Lord_Howe", -618105600, 36000}, {"Australia/Lord_Howe", 1238857200, 37800},
    {"Australia/Lord_Howe", 1254581999, 37800}, {"Australia/Lord_Howe", 1254585600, 39600},
    {"Australia/Lord_Howe", 1719792000, 37800}, {"Australia/Lord_Howe", 2233148399, 37800},
    {"Australia/Lord_Howe", 2233152000, 39600}, {"Australia/Lord_Howe", 2233155600, 39600},
    {"Europe/Berlin", 1238288400, 7200},        {"Europe/Berlin", 1256428799, 7200},
    {"Europe/Berlin", 1256432400, 3600},        {"Europe/Berlin", 1256436000, 3600},
    {"Europe/Berlin", 1269738000, 7200},        {"Europe/Berlin", 2216250000, 7200},
    {"Europe/Berlin", 2234995199, 7200},        {"Europe/Berlin", 2235002400, 3600},
    {"Europe/Dublin", 1238284799, 0},           {"Europe/Dublin", 1256432400, 0},
    {"Europe/Dublin", 1256436000, 0},           {"Europe/Dublin", 1269734399, 0},
    {"Europe/Dublin", 1269741600, 3600},        {"Europe/Dublin", 2216246399, 0},
    {"Europe/Dublin", 2234995199, 3600},        {"Europe/Dublin", 13569379200, 0},
    {"Pacific/Apia", -618105600, -39600},       {"Pacific/Apia", 1285498800, -36000},
    {"Pacific/Apia", 1285502400, -36000},       {"Pacific/Apia", 1301749199, -36000},
    {"Pacific/Apia", 1316872800, -36000},       {"Pacific/Apia", 1704801600, 46800},
    {"Pacific/Apia", 1719792000, 46800},        {"Pacific/Apia", 2540246400, 46800},
};

struct LocalCase {
  const char* zone;
  std::int64_t local;
  std::int64_t utc;
};
constexpr LocalCase kLocals[] = {
    {"Africa/Cairo", 1240525800, 1240518600},
    {"Africa/Cairo", 1240534800, 1240524000},
    {"Africa/Cairo", 1240536600, 1240525800},
    {"Africa/Cairo", 1250807400, 1250796600},
    {"Africa/Cairo", 1250809200, 1250798400},
    {"Africa/Cairo", 1272583800, 1272576600},
    {"Africa/Cairo", 1272585600, 1272578400},
    {"Africa/Cairo", 1272587400, 1272580200},
    {"Africa/Cairo", 1272591000, 1272580200},
    {"Africa/Cairo", 2234822400, 2234815200},
    {"Africa/Casablanca", 1243809000, 1243809000},
    {"Africa/Casablanca", 1243816200, 1243816200},
    {"Africa/Casablanca", 1250803800, 1250800200},
    {"Africa/Casablanca", 1250811000, 1250807400},
    {"Africa/Casablanca", 1272753000, 1272753000},
    {"Africa/Casablanca", 2230164000, 2230160400},
    {"Africa/Casablanca", 2230165800, 2230162200},
    {"Africa/Casablanca", 2230167600, 2230167600},
    {"Africa/Casablanca", 2230169400, 2230169400},
    {"Africa/Casablanca", 2233792800, 2233792800},
    {"America/Havana", 1236474000, 1236488400},
    {"America/Havana", 1256423400, 1256437800},
    {"America/Havana", 1256427000, 1256441400},
    {"America/Havana", 1256434200, 1256452200},
    {"America/Havana", 1268523000, 1268541000},
    {"America/Havana", 2215031400, 2215049400},
    {"America/Havana", 2215042200, 2215056600},
    {"America/Havana", 2235594600, 2235609000},
    {"America/Havana", 2235598200, 2235612600},
    {"America/Havana", 2235603600, 2235621600},
    {"America/New_York", 1257037200, 1257051600},
    {"America/New_York", 1257042600, 1257060600},
    {"America/New_York", 1268530200, 1268548200},
    {"America/New_York", 1268532000, 1268550000},
    {"America/New_York", 1268533800, 1268551800},
    {"America/New_York", 1268535600, 1268550000},
    {"America/New_York", 1268537400, 1268551800},
    {"America/New_York", 2215042200, 2215060200},
    {"America/New_York", 2215049400, 2215063800},
    {"America/New_York", 2235609000, 2235627000},
    {"America/Santiago", 1255217400, 1255231800},
    {"America/Santiago", 1255219200, 1255233600},
    {"America/Santiago", 1255224600, 1255235400},
    {"America/Santiago", 1270330200, 1270341000},
    {"America/Santiago", 1270337400, 1270348200},
    {"America/Santiago", 2217447000, 2217457800},
    {"America/Santiago", 2217452400, 2217463200},
    {"America/Santiago", 2217456000, 2217470400},
    {"America/Santiago", 2230158600, 2230173000},
    {"America/Santiago", 2230162200, 2230173000},
    {"America/Sao_Paulo", 1234647000, 1234654200},
    {"America/Sao_Paulo", 1234650600, 1234657800},
    {"America/Sao_Paulo", 1234652400, 1234659600},
    {"America/Sao_Paulo", 1234654200, 1234661400},
    {"America/Sao_Paulo", 1234657800, 1234668600},
    {"America/Sao_Paulo", 1255822200, 1255833000},
    {"America/Sao_Paulo", 1255825800, 1255836600},
    {"America/Sao_Paulo", 1255827600, 1255834800},
    {"America/Sao_Paulo", 1255829400, 1255836600},
    {"America/Sao_Paulo", 1266710400, 1266721200},
    {"Asia/Beirut", 1238283000, 1238275800},
    {"Asia/Beirut", 1238284800, 1238277600},
    {"Asia/Beirut", 1256427000, 1256416200},
    {"Asia/Beirut", 1256428800, 1256421600},
    {"Asia/Beirut", 1256430600, 1256423400},
    {"Asia/Beirut", 1269732600, 1269725400},
    {"Asia/Beirut", 1269734400, 1269727200},
    {"Asia/Beirut", 1269738000, 1269727200},
    {"Asia/Beirut", 1269739800, 1269729000},
    {"Asia/Beirut", 2216244600, 2216237400},
    {"Asia/Tehran", 1237676400, 1237663800},
    {"Asia/Tehran", 1237680000, 1237667400},
    {"Asia/Tehran", 1237681800, 1237669200},
    {"Asia/Tehran", 1237683600, 1237667400},
    {"Asia/Tehran", 1237685400, 1237669200},
    {"Asia/Tehran", 1253575800, 1253559600},
    {"Asia/Tehran", 1253577600, 1253565000},
    {"Asia/Tehran", 1253579400, 1253566800},
    {"Asia/Tehran", 1269212400, 1269199800},
    {"Asia/Tehran", 1269223200, 1269207000},
    {"Australia/Lord_Howe", 1238893200, 1238853600},
    {"Australia/Lord_Howe", 1238895000, 1238855400},
    {"Australia/Lord_Howe", 1238898600, 1238860800},
    {"Australia/Lord_Howe", 1254623400, 1254583800},
    {"Australia/Lord_Howe", 1270342800, 1270303200},
    {"Australia/Lord_Howe", 1270346400, 1270308600},
    {"Australia/Lord_Howe", 1270350000, 1270312200},
    {"Australia/Lord_Howe", 2233184400, 2233146600},
    {"Australia/Lord_Howe", 2233188000, 2233150200},
    {"Australia/Lord_Howe", 2233191600, 2233152000},
    {"Europe/Berlin", 1238290200, 1238286600},
    {"Europe/Berlin", 1238292000, 1238288400},
    {"Europe/Berlin", 1256434200, 1256427000},
    {"Europe/Berlin", 1256441400, 1256437800},
    {"Europe/Berlin", 1269736200, 1269732600},
    {"Europe/Berlin", 1269739800, 1269736200},
    {"Europe/Berlin", 2216257200, 2216250000},
    {"Europe/Berlin", 2234997000, 2234989800},
    {"Europe/Berlin", 2235000600, 2234993400},
    {"Europe/Berlin", 2235002400, 2234995200},
    {"Europe/Dublin", 1238283000, 1238283000},
    {"Europe/Dublin", 1238286600, 1238286600},
    {"Europe/Dublin", 1238288400, 1238288400},
    {"Europe/Dublin", 1238292000, 1238288400},
    {"Europe/Dublin", 1238293800, 1238290200},
    {"Europe/Dublin", 1256437800, 1256437800},
    {"Europe/Dublin", 1269732600, 1269732600},
    {"Europe/Dublin", 1269743400, 1269739800},
    {"Europe/Dublin", 2234993400, 2234989800},
    {"Europe/Dublin", 2234998800, 2234995200},
    {"Pacific/Apia", 1285453800, 1285493400},
    {"Pacific/Apia", 1285459200, 1285498800},
    {"Pacific/Apia", 1285462800, 1285498800},
    {"Pacific/Apia", 1301707800, 1301743800},
    {"Pacific/Apia", 1301711400, 1301747400},
    {"Pacific/Apia", 1301715000, 1301751000},
    {"Pacific/Apia", 1316827800, 1316867400},
    {"Pacific/Apia", 1316831400, 1316871000},
    {"Pacific/Apia", 1316835000, 1316874600},
    {"Pacific/Apia", 1316836800, 1316872800},
};

struct DayCase {
  const char* zone;
  std::int64_t noon;
  std::int64_t start;
  std::int64_t next;
};
// Days on which the clocks change, at midnight too, and one that Samoa left out.
constexpr DayCase kDays[] = {
    {"Europe/Berlin", 1711879200, 1711839600, 1711922400},
    {"Europe/Berlin", 1730026800, 1729980000, 1730070000},
    {"America/Sao_Paulo", 1541340000, 1541300400, 1541383200},
    {"America/Havana", 1710086400, 1710046800, 1710129600},
    {"America/Havana", 1730653200, 1730606400, 1730696400},
    {"Asia/Beirut", 1711875600, 1711836000, 1711918800},
    {"Pacific/Apia", 1325196000, 1325152800, 1325239200},
    {"Pacific/Apia", 1325282400, 1325239200, 1325325600},
    {"Asia/Kolkata", 1714890600, 1714847400, 1714933800},
    {"Africa/Cairo", 1714122000, 1714082400, 1714165200},
};

std::shared_ptr<const TimeZone> load(const char* name) {
  auto zone = TimeZone::load(name);
  INFO(name);
  REQUIRE(zone.has_value());
  return *zone;
}

}  // namespace

TEST_CASE("offsets agree with zoneinfo") {
  for (const OffsetCase& c : kOffsets) {
    INFO(c.zone << " at " << c.utc);
    CHECK(load(c.zone)->offset_at(c.utc * kSecond) == c.offset * kSecond);
    CHECK(load(c.zone)->offset_at(c.utc * kSecond + 999'999) == c.offset * kSecond);
  }
}

TEST_CASE("local times agree with zoneinfo, also those that come twice or never") {
  for (const LocalCase& c : kLocals) {
    INFO(c.zone << " at local " << c.local);
    CHECK(load(c.zone)->to_utc(c.local * kSecond + 250) == c.utc * kSecond + 250);
  }
}

TEST_CASE("days begin at local midnight, or where it would have been") {
  for (const DayCase& c : kDays) {
    INFO(c.zone << " at " << c.noon);
    const auto zone = load(c.zone);
    CHECK(zone->day_start(c.noon * kSecond) == c.start * kSecond);
    CHECK(zone->next_day_start(c.noon * kSecond) == c.next * kSecond);
    CHECK(zone->day_start(c.start * kSecond) == c.start * kSecond);
    CHECK(zone->next_day_start(c.next * kSecond - 1) == c.next * kSecond);
  }
}

TEST_CASE("local time and UTC are inverse wherever the clocks stand still") {
  for (const char* name : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}) {
    const auto zone = load(name);
    int differing = 0;
    // Odd steps from 1902 to the year 2800, beyond the written-out rules.
    for (Timestamp t = -2'145'000'000 * kSecond; t < 26'200'000'000 * kSecond;
         t += 86'399'999'983) {
      if (zone->to_utc(t + zone->offset_at(t)) != t) ++differing;
    }
    INFO(name);
    CHECK(differing < 100);  // Only within the hours that come twice.
  }
  CHECK(load("Europe/Berlin")->to_utc(25'000'000'000 * kSecond) ==
        25'000'000'000 * kSecond - load("Europe/Berlin")->offset_at(25'000'000'000 * kSecond));
}

TEST_CASE("UTC needs no file and other names must exist") {
  CHECK(load("UTC")->is_utc());
  CHECK(load("Etc/UTC")->is_utc());
  CHECK_FALSE(load("Europe/Berlin")->is_utc());
  for (const char* name : {"", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "Europe",
                           "Europe/Berlin2", "Europe/../../../etc/passwd"}) {
    const auto zone = TimeZone::load(name);
    INFO(name);
    CHECK_FALSE(zone.has_value());
    if (!zone) CHECK(zone.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("a damaged file is refused at every length") {
  const std::string good = [] {
    std::string bytes("TZif2", 5);
    bytes.append(15, '\0');
    bytes.append(24, '\0');  // The first block is empty.
    bytes.append("TZif2", 5);
    bytes.append(15, '\0');
    const unsigned char counts[24] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                      0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4};
    bytes.append(reinterpret_cast<const char*>(counts), 24);
    const char type[6] = {0, 0, 0x0e, 0x10, 0, 0};  // One hour east.
    bytes.append(type, 6);
    bytes.append("CET", 4);
    bytes += "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
    return bytes;
  }();
  const auto zone = TimeZone::parse("made", good);
  REQUIRE(zone.has_value());
  CHECK((*zone)->offset_at(1'720'000'000 * kSecond) == 2 * kHour);
  CHECK((*zone)->offset_at(1'704'804'000 * kSecond) == kHour);
  for (std::size_t size = 0; size < good.size(); ++size) {
    INFO(size);
    CHECK_FALSE(TimeZone::parse("made", std::string_view(good).substr(0, size)).has_value());
  }
  for (const char* rule : {"CET-1CEST,M13.5.0,M10.5.0", "C", "CET-1CEST", "CET-200",
                           "CET-1CEST,J0,J5", "CET-1CEST,M3.5.0,M10.5.0x"}) {
    INFO(rule);
    const std::string bytes = good.substr(0, good.find('\n')) + "\n" + rule + "\n";
    CHECK_FALSE(TimeZone::parse("made", bytes).has_value());
  }
}

// What the clocks on the wall say in some place: the offset from UTC at a moment, and back.
//
// Read once from the system's tz database (TZif files, RFC 8536, footer rule included) when the
// config is loaded; immutable and shared from then on; any strand may ask it.
//
// A local time that happens twice (clocks set back) is the earlier of the two moments; one that
// never happens (clocks set forward) is moved forward by the length of the gap: 02:30 becomes
// 03:30. So do Python's zoneinfo (fold = 0) and Java.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace streamobs {

class TimeZone {
 public:
  /// A zone by its IANA name ("Europe/Berlin"), from $TZDIR or /usr/share/zoneinfo. "UTC" and its
  /// synonyms need no file.
  static Result<std::shared_ptr<const TimeZone>> load(std::string_view name);
  /// The zone that a TZif file's bytes describe.
  static Result<std::shared_ptr<const TimeZone>> parse(std::string_view name,
                                                       std::string_view tzif);
  static std::shared_ptr<const TimeZone> utc();

  const std::string& name() const { return name_; }
  bool is_utc() const { return starts_.empty() && first_offset_seconds_ == 0; }

  /// Local time minus UTC at `utc`, in microseconds.
  Duration offset_at(Timestamp utc) const;
  /// The moment at which the clocks show `local` (microseconds since 1970-01-01T00:00 on the wall).
  Timestamp to_utc(Timestamp local) const;
  /// The first moment of the calendar day that `utc` falls into, and of the day after it.
  Timestamp day_start(Timestamp utc) const;
  Timestamp next_day_start(Timestamp utc) const;

 private:
  TimeZone() = default;
  std::int64_t fold_seconds(std::int64_t seconds) const;
  std::int64_t offset_seconds(std::int64_t utc_seconds) const;
  std::int64_t to_utc_seconds(std::int64_t local_seconds) const;

  std::string name_;
  std::int64_t first_offset_seconds_ = 0;  ///< Before the first transition.
  std::vector<std::int64_t> starts_;   ///< UTC seconds from which `offsets_[i]` holds; ascending.
  std::vector<std::int64_t> offsets_;  ///< Seconds east of UTC.
  /// From here on the transitions repeat every 400 years (the Gregorian cycle); 0: they do not.
  std::int64_t repeats_from_ = 0;
};

}  // namespace streamobs

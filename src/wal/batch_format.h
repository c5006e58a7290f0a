// The frozen numbers of a batch's bytes, shared by encoder and decoder: docs/wal-format.md, "Record
// payloads".
#pragma once

#include <cstddef>
#include <cstdint>

namespace streamobs::wal::batch_format {

inline constexpr std::uint8_t kVersion = 1;

// Flags in the head's second byte: which parts follow.
inline constexpr std::size_t kFlagsAt = 1;
inline constexpr std::uint8_t kHasEventIndex = 0x01;  ///< Else row i was event i.
inline constexpr std::uint8_t kHasRefused = 0x02;
inline constexpr std::uint8_t kHasTimeMax = 0x04;  ///< Else it is the newest of the rows' times.
inline constexpr std::uint8_t kHasResume = 0x08;
inline constexpr std::uint8_t kHasRequest = 0x10;
inline constexpr std::uint8_t kHasRaw = 0x20;
inline constexpr std::uint8_t kHasMessages = 0x40;
inline constexpr std::uint8_t kKnownFlags = 0x7f;

// The first byte of a column: what is null, and in which of two ways the values stand.
inline constexpr std::uint8_t kNoNulls = 0;
inline constexpr std::uint8_t kSomeNulls = 1;
inline constexpr std::uint8_t kAllNull = 2;
inline constexpr std::uint8_t kNullsMask = 0x03;
inline constexpr std::uint8_t kByEntry = 0x04;  ///< Text: a table of entries and their numbers.
inline constexpr std::uint8_t kIsTime = 0x04;   ///< Times: the same as the rows' event times.
inline constexpr std::uint8_t kKnownForms = 0x07;

// A dead letter's first byte: what is as in the letter before it. Before the first one stands a
// letter with the stream's name, the batch's origin and time of arrival, and nothing else.
inline constexpr std::uint8_t kSameReason = 0x01;
inline constexpr std::uint8_t kSameDetail = 0x02;
inline constexpr std::uint8_t kSameStream = 0x04;
inline constexpr std::uint8_t kSameSource = 0x08;
inline constexpr std::uint8_t kSameOrigin = 0x10;
inline constexpr std::uint8_t kSameWindow = 0x20;
inline constexpr std::uint8_t kSameReceivedAt = 0x40;
/// Not the same: a format and, of CSV, a header follow. Not set, they are as in the letter before.
inline constexpr std::uint8_t kNewForm = 0x80;

// A letter's format: 0 is none, else one more than its number.
inline constexpr std::uint8_t kNoFormat = 0;

}  // namespace streamobs::wal::batch_format

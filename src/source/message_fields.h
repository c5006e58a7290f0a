// Gives the events of a message what the message has beside its value: key, timestamp, headers.
//
// They become members in front of those that an event has, so that everything behind (decode, the
// log's raw texts, a replay under another config) sees one event and no second place to look.
// Synchronous; belongs to one source, lives as long as it.
#pragma once

#include <librdkafka/rdkafka.h>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "source/options.h"
#include "telemetry/registry.h"

namespace streamobs::source {

class MessageFields {
 public:
  /// `source`: its name, for the metrics.
  MessageFields(std::vector<MessageField> fields, const std::string& source,
                telemetry::Registry& metrics);

  /// `text` (the message's value, trimmed and not empty) with the members in each of its events;
  /// `text` itself where there are none. Valid until the next call.
  std::string_view put_into(const rd_kafka_message_t& message, std::string_view text);
  /// How many bytes of members the last call has put into each event.
  std::size_t given() const { return members_.size(); }

 private:
  std::optional<std::string_view> value_of(const MessageField& field,
                                           const rd_kafka_message_t& message);
  void gather(const rd_kafka_message_t& message);
  void add_member(const MessageField& field, std::string_view value);

  std::vector<MessageField> fields_;
  std::vector<telemetry::Counter*> unreadable_;  ///< By field.
  std::string members_;                          ///< "\"customer\":\"c-7\",\"n\":5"
  std::string time_;
  std::string out_;
};

/// Writes a value's events to `out`, with the members `members` in front of their own. As decode
/// reads them: an array of objects, one object, or one object a line. What is no object stays as it
/// is.
void put_members(std::string_view text, std::string_view members, std::string& out);

/// An event without what it was given and has itself.
struct OwnEvent {
  std::string text;
  std::vector<std::string> clashing;  ///< The names that it was given and has itself.
};
/// Of an event with `members` in front of its own: what it has itself counts, and what it has not
/// stays given.
OwnEvent take_back(std::string_view event, std::string_view members);

}  // namespace streamobs::source

#include "source/message_fields.h"

#include <algorithm>
#include <utility>

#include <simdjson.h>

#include "base/json_writer.h"
#include "base/time_format.h"

namespace streamobs::source {

namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// What JSON writes without quotes and the decoder takes for a number or a bool.
bool is_bare(std::string_view text) {
  if (text == "true" || text == "false") return true;
  std::size_t i = text.starts_with('-') ? 1 : 0;
  const auto digits = [&] {
    const std::size_t from = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i - from;
  };
  const std::size_t whole_from = i;
  const std::size_t whole = digits();
  if (whole == 0 || (whole > 1 && text[whole_from] == '0')) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

/// Copies an object, or what should be one, with the members in front.
void put_one(std::string_view text, std::string_view members, std::string& out) {
  const auto open =
      static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_blank) - text.begin());
  if (open == text.size() || text[open] != '{') {
    out += text;
    return;
  }
  const auto next = static_cast<std::size_t>(
      std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(open) + 1, text.end(), is_blank) -
      text.begin());
  out += text.substr(0, open + 1);
  out += members;
  if (next == text.size() || text[next] != '}') out += ',';
  out += text.substr(open + 1);
}

/// Just behind the object or array that begins at `open`; npos where it is not closed. No string of
/// JSON goes on over a line's end.
std::size_t end_of(std::string_view text, std::size_t open) {
  std::size_t depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\n') return std::string_view::npos;
        if (text[i] == '\\') ++i;
      }
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

void put_into_array(std::string_view text, std::string_view members, std::string& out) {
  std::size_t at = 0;
  while (true) {
    const std::size_t open = text.find('{', at);
    if (open == std::string_view::npos) break;
    const std::size_t end = std::min(end_of(text, open), text.size());
    out += text.substr(at, open - at);
    put_one(text.substr(open, end - open), members, out);
    at = end;
  }
  out += text.substr(at);
}

/// Whether an object has a value at this path, as decode reads paths: a dot is part of a key or
/// goes into an object.
bool has(const simdjson::dom::object& object, std::string_view path) {
  if (object.at_key(path).error() == simdjson::SUCCESS) return true;
  for (std::size_t dot = path.find('.'); dot != std::string_view::npos;
       dot = path.find('.', dot + 1)) {
    simdjson::dom::object below;
    if (object.at_key(path.substr(0, dot)).get(below) == simdjson::SUCCESS &&
        has(below, path.substr(dot + 1))) {
      return true;
    }
  }
  return false;
}

/// Just behind the member that begins at `at`, as JsonWriter and add_member() write them: no
/// blanks, and no object or array for a value.
std::size_t end_of_member(std::string_view members, std::size_t at) {
  bool in_text = false;
  for (; at < members.size(); ++at) {
    const char c = members[at];
    if (in_text && c == '\\') {
      ++at;
    } else if (c == '"') {
      in_text = !in_text;
    } else if (c == ',' && !in_text) {
      break;
    }
  }
  return std::min(at, members.size());
}

}  // namespace

MessageFields::MessageFields(std::vector<MessageField> fields, const std::string& source,
                             telemetry::Registry& metrics)
    : fields_(std::move(fields)) {
  for (const MessageField& field : fields_) {
    unreadable_.push_back(
        &metrics.counter("streamobs_kafka_unreadable_fields_total",
                         "Keys and headers that are no UTF-8, which their events do without.",
                         {{"source", source}, {"field", field.name.text}}));
  }
}

std::string_view MessageFields::put_into(const rd_kafka_message_t& message, std::string_view text) {
  if (fields_.empty()) return text;
  gather(message);
  if (members_.empty()) return text;
  out_.clear();
  put_members(text, members_, out_);
  return out_;
}

void MessageFields::gather(const rd_kafka_message_t& message) {
  members_.clear();
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const std::optional<std::string_view> value = value_of(fields_[i], message);
    if (!value) continue;
    // A zero byte is UTF-8, but no string of ours may have one.
    if (simdjson::validate_utf8(value->data(), value->size()) &&
        value->find('\0') == std::string_view::npos) {
      add_member(fields_[i], *value);
    } else {
      unreadable_[i]->add();
    }
  }
}

std::optional<std::string_view> MessageFields::value_of(const MessageField& field,
                                                        const rd_kafka_message_t& message) {
  if (field.part == MessagePart::timestamp) {
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    const std::int64_t at_ms = rd_kafka_message_timestamp(&message, &type);
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || at_ms < 0) return std::nullopt;
    time_ = field.bare ? std::to_string(at_ms) : to_rfc3339(at_ms * kMillisecond);
    return time_;
  }
  const void* bytes = message.key;
  std::size_t size = message.key_len;
  if (field.part == MessagePart::header) {
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, field.header.c_str(), &bytes, &size) !=
            RD_KAFKA_RESP_ERR_NO_ERROR) {
      return std::nullopt;
    }
  }
  if (bytes == nullptr) return std::nullopt;
  return std::string_view(static_cast<const char*>(bytes), size);
}

void MessageFields::add_member(const MessageField& field, std::string_view value) {
  if (!members_.empty()) members_ += ',';
  JsonWriter writer(members_);
  writer.value(field.name.text);
  members_ += ':';
  if (field.bare && is_bare(value)) {
    members_ += value;
  } else {
    JsonWriter(members_).value(value);
  }
}

void put_members(std::string_view text, std::string_view members, std::string& out) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (text.starts_with('[')) {
    put_into_array(text, members, out);
    return;
  }
  // One object may go on over several lines.
  if (text.starts_with('{') && end_of(text, 0) == text.size()) {
    put_one(text, members, out);
    return;
  }
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    put_one(text.substr(0, end), members, out);
    text.remove_prefix(end);
  }
}

OwnEvent take_back(std::string_view event, std::string_view members) {
  OwnEvent out;
  out.text = event;
  if (members.empty() || !event.starts_with('{') || !event.substr(1).starts_with(members)) {
    return out;
  }
  std::string_view rest = event.substr(1 + members.size());
  if (rest.starts_with(',')) rest.remove_prefix(1);
  const std::string own = "{" + std::string(rest);
  simdjson::dom::parser parser;
  simdjson::dom::parser names_parser;
  simdjson::dom::object object;
  simdjson::dom::object given;
  if (parser.parse(own).get(object) != simdjson::SUCCESS ||
      names_parser.parse("{" + std::string(members) + "}").get(given) != simdjson::SUCCESS) {
    return out;
  }
  std::string kept;
  std::size_t at = 0;
  for (const simdjson::dom::key_value_pair member : given) {
    const std::size_t end = end_of_member(members, at);
    if (has(object, member.key)) {
      out.clashing.emplace_back(member.key);
    } else {
      if (!kept.empty()) kept += ',';
      kept += members.substr(at, end - at);
    }
    at = end + 1;
  }
  out.text.clear();
  if (kept.empty()) {
    out.text = own;
  } else {
    put_one(own, kept, out.text);
  }
  return out;
}

}  // namespace streamobs::source

// Access logs in Apache's and nginx's combined format (or the common one, without the last two):
//
//   addr ident user [time] "request" status bytes "referer" "user agent"
//
// Its fields are remote_addr, ident, remote_user, time_local, request, method, path, protocol,
// status, bytes, referer and user_agent. "-" is null. A request that is not "METHOD path PROTOCOL"
// has only `request`. Within quotes \" and \\ are taken back; other escapes (\xhh) stay as they
// are, since what they stand for need not be text. What follows the user agent is not looked at; a
// line that was cut within the user agent is taken.
//
// Part of a decoder, on its strand.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "decode/event_collector.h"
#include "decode/field_index.h"
#include "decode/token.h"

namespace streamobs::decode {

class AccessLogReader {
 public:
  /// All of them outlive the reader.
  AccessLogReader(const FieldIndex& index, BatchWriter& writer, EventCollector& collector);

  void read(const char* p, const char* end);

 private:
  enum Part {
    remote_addr,
    ident,
    remote_user,
    time_local,
    request,
    status,
    bytes,
    referer,
    user_agent,
    method,
    path,
    protocol,
    kParts
  };
  void read_line(const char* begin, const char* end);
  bool read_parts(std::string_view line);
  bool word(std::string_view& line, Part part);
  bool bracketed(std::string_view& line, Part part);
  bool quoted(std::string_view& line, Part part);
  void split_request(std::string_view text);
  void set(Part part, std::string_view text);

  BatchWriter& writer_;
  EventCollector& collector_;
  std::array<std::uint32_t, kParts> slots_;
  std::vector<Token> tokens_;
};

}  // namespace streamobs::decode

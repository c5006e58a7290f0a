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

#include "decode/line_reader.h"

namespace streamobs::decode {

class AccessLogReader final : public LineReader {
 public:
  /// All of them outlive the reader.
  AccessLogReader(const FieldIndex& index, BatchWriter& writer, EventCollector& collector);

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
  bool read_parts(std::string_view line) override;
  bool read_all(std::string_view line);
  bool word(std::string_view& line, Part part);
  bool bracketed(std::string_view& line, Part part);
  bool quoted(std::string_view& line, Part part);
  void split_request(std::string_view text);
  void set_part(Part part, std::string_view text) {
    set(slots_[part], text == "-" ? std::string_view() : text);
  }

  std::array<std::uint32_t, kParts> slots_;
};

}  // namespace streamobs::decode

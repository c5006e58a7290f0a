// Syslog lines: RFC 5424, RFC 3164, and what daemons write into files by it, told apart line by
// line.
//
//   <165>1 2026-01-09T12:34:56.789Z host app 4711 ID47 [ex@32473 iut="3" path="a\"b"] text
//   <34>Jan  9 12:34:56 host sshd[4711]: text
//   2026-01-09T12:34:56.789+01:00 host sshd[4711]: text        (no <priority>: as in /var/log)
//
// Its fields are priority (0 to 191), and of that facility and severity; timestamp, hostname,
// app_name, proc_id, msg_id, message, and sd.ID.NAME for each parameter of the structured data. "-"
// is null in RFC 5424; what a line does not have is null.
//
// A line with "<n>1 " in front is RFC 5424 and is refused where it is not so to the letter. Every
// other line is RFC 3164, in which next to everything is allowed: a line without a time has none
// (and is refused for that, as the stream's time is required); behind the time a word that ends
// with ':' is the tag of a line without a host.
//
// Part of a decoder, on its strand.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "decode/line_reader.h"

namespace streamobs::decode {

class SyslogReader final : public LineReader {
 public:
  /// All of them outlive the reader.
  SyslogReader(const FieldIndex& index, BatchWriter& writer, EventCollector& collector);

 private:
  enum Part {
    priority,
    facility,
    severity,
    timestamp,
    hostname,
    app_name,
    proc_id,
    msg_id,
    message,
    kParts
  };
  bool read_parts(std::string_view line) override;
  bool read_priority(std::string_view& line);
  bool read_rfc5424(std::string_view line);
  bool read_structured_data(std::string_view& line);
  bool read_parameter(std::string_view& line);
  void read_rfc3164(std::string_view line);
  void set_part(Part part, std::string_view text) { set(slots_[part], text); }

  std::array<std::uint32_t, kParts> slots_;
  bool wants_structured_data_;
  std::string path_;  ///< "sd.ID." and then the parameter's name.
};

}  // namespace streamobs::decode

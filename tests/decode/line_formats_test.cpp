// syslog, logfmt and patterns: what becomes of lines, good and odd.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "decode/decode_support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

StreamOptions syslog() {
  StreamOptions o;
  o.name = "logs";
  o.time = "timestamp";
  o.fields = {field("severity", "int"),    field("facility", "int"),   field("hostname", "string"),
              field("app_name", "string"), field("proc_id", "string"), field("msg_id", "string"),
              field("message", "string")};
  return o;
}

std::string decode_syslog(std::string_view line, const StreamOptions& options = syslog()) {
  return decode_text(options, line, Format::syslog);
}

/// The row alone, of a block of one event.
std::string row_of(const std::string& rendered) {
  const std::size_t begin = rendered.find('\n') + 1;
  return rendered.substr(begin, rendered.size() - begin - 1);
}

StreamOptions logfmt() {
  StreamOptions o;
  o.name = "logs";
  o.time = "ts";
  o.fields = {field("level", "string"), field("msg", "string"), field("took_ms", "float"),
              field("cached", "bool"), field("http.status", "int")};
  return o;
}

StreamOptions cut_by(std::vector<std::string> patterns) {
  StreamOptions o;
  o.name = "logs";
  o.time = "time";
  o.fields = {field("level", "string"), field("service", "string"), field("message", "string")};
  for (std::string& pattern : patterns) o.patterns.emplace_back(std::move(pattern));
  return o;
}

}  // namespace

TEST_CASE("RFC 5424 as in its own examples") {
  CHECK(
      row_of(decode_syslog("<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
                           "\xEF\xBB\xBF'su root' failed for lonvick on /dev/pts/8")) ==
      "#0 2003-10-11T22:14:15.003Z 2 4 \"mymachine.example.com\" \"su\" null \"ID47\" \"'su root' "
      "failed for lonvick on /dev/pts/8\" \"2003-10-11T22:14:15.003Z\"");
  CHECK(row_of(decode_syslog("<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - "
                             "%% It's time")) ==
        "#0 2003-08-24T12:14:15.000003Z 5 20 \"192.0.2.1\" \"myproc\" \"8710\" null \"%% It's "
        "time\" \"2003-08-24T12:14:15.000003Z\"");
  // Structured data and no message.
  CHECK(row_of(decode_syslog("<165>1 2003-10-11T22:14:15Z - - - - [a@1 b=\"c\"][d@2]")) ==
        "#0 2003-10-11T22:14:15Z 5 20 null null null null null \"2003-10-11T22:14:15Z\"");
}

TEST_CASE("structured data is taken by its path") {
  StreamOptions o;
  o.name = "logs";
  o.time = "timestamp";
  o.fields = {field("source", "string"), field("n", "int"), field("text", "string")};
  o.fields[0].path = "sd.exampleSDID@32473.eventSource";
  o.fields[1].path = "sd.exampleSDID@32473.iut";
  o.fields[2].path = "sd.other.x";
  CHECK(row_of(decode_syslog("<165>1 2003-10-11T22:14:15Z h a - - [exampleSDID@32473 iut=\"3\" "
                             "eventSource=\"App\"][other x=\"a \\\"b\\\" \\\\ c\\] \\n\" y=\"\"] m",
                             o)) ==
        "#0 2003-10-11T22:14:15Z \"App\" 3 \"a \\\"b\\\" \\\\ c] \\\\n\" \"2003-10-11T22:14:15Z\"");
}

TEST_CASE("what has RFC 5424's version and is not of its form is refused") {
  for (const std::string line :
       {"<34>1 ", "<34>1 2003-10-11T22:14:15Z host app - -", "<34>1 2003-10-11T22:14:15Z h a - - x",
        "<34>1 2003-10-11T22:14:15Z h a - - [a b=\"c]", "<34>1 2003-10-11T22:14:15Z h a - - [a b]",
        "<34>1 2003-10-11T22:14:15Z h a - - [a b=\"c\"]x",
        "<34>1 2003-10-11T22:14:15Z h a - - [ b=\"c\"] x", "<192>Jan  9 00:00:00 h a: x",
        "<>Jan  9 00:00:00 h a: x", "<1x>Jan  9 00:00:00 h a: x", "<0034>Jan  9 00:00:00 h a: x"}) {
    INFO(line);
    CHECK(decode_syslog(line).find("!0 not_a_record | ") != std::string::npos);
  }
}

TEST_CASE("RFC 3164, with a priority and as it stands in files") {
  // kNow is January 2027.
  CHECK(row_of(decode_syslog("<34>Oct 11 22:14:15 mymachine su[42]: 'su root' failed")) ==
        "#0 2026-10-11T22:14:15Z 2 4 \"mymachine\" \"su\" \"42\" null \"'su root' failed\" "
        "\"2026-10-11T22:14:15Z\"");
  CHECK(row_of(decode_syslog("Jan  9 22:14:15 combo sshd(pam_unix)[19939]: authentication "
                             "failure; logname= uid=0")) ==
        "#0 2027-01-09T22:14:15Z null null \"combo\" \"sshd(pam_unix)\" \"19939\" null "
        "\"authentication failure; logname= uid=0\" \"2027-01-09T22:14:15Z\"");
  // Local syslog leaves the host out; a tag need not have a process.
  CHECK(row_of(decode_syslog("<13>Jan  9 22:14:15 root: hello: you")) ==
        "#0 2027-01-09T22:14:15Z 5 1 null \"root\" null null \"hello: you\" "
        "\"2027-01-09T22:14:15Z\"");
  // A word without ':' is no tag.
  CHECK(row_of(decode_syslog("Jan  9 22:14:15 combo syslogd 1.4.1: restart.")) ==
        "#0 2027-01-09T22:14:15Z null null \"combo\" null null null \"syslogd 1.4.1: restart.\" "
        "\"2027-01-09T22:14:15Z\"");
  // rsyslog's and journald's files.
  CHECK(row_of(decode_syslog("2026-01-09T22:14:15.123456+01:00 web nginx: up")) ==
        "#0 2026-01-09T21:14:15.123456Z null null \"web\" \"nginx\" null null \"up\" "
        "\"2026-01-09T21:14:15.123456Z\"");
  // Without a time there is none, and the stream cannot do without.
  CHECK(decode_syslog("<13>hello").find("missing_field | timestamp: is required") !=
        std::string::npos);
}

TEST_CASE("a time without a year is of the latest that is not ahead, in the stream's zone") {
  const auto time_of = [](std::string_view text, std::string zone = "UTC") {
    StreamOptions o = syslog();
    o.timezone = std::move(zone);
    o.max_future = 2 * kDay;
    o.fields.clear();
    return row_of(decode_syslog(std::string(text) + " h a: m", o)).substr(0, 24);
  };
  // It is 2027-01-15T08:00:00Z.
  CHECK(time_of("Jan 15 07:59:59").starts_with("#0 2027-01-15T07:59:59Z"));
  CHECK(time_of("Jan 16 07:59:59").starts_with("#0 2027-01-16T07:59:59Z"));
  CHECK(time_of("Jan 16 08:00:01").starts_with("#0 2026-01-16T08:00:01Z"));
  CHECK(time_of("Dec 31 23:59:59").starts_with("#0 2026-12-31T23:59:59Z"));
  CHECK(time_of("Feb 29 12:00:00").starts_with("#0 2024-02-29T12:00:00Z"));
  CHECK(time_of("Jul  1 12:00:00", "Europe/Berlin").starts_with("#0 2026-07-01T10:00:00Z"));
}

TEST_CASE("logfmt takes keys by name, values in quotes or without") {
  CHECK(row_of(decode_text(logfmt(),
                           "ts=2024-01-09T12:34:56Z level=warn msg=\"slow \\\"query\\\"\\n\\x\" "
                           "took_ms=12.5 cached http.status=200 other=\"=\" x=",
                           Format::logfmt)) ==
        "#0 2024-01-09T12:34:56Z \"warn\" \"slow \\\"query\\\"\\n\\\\x\" 12.5 true 200 "
        "\"2024-01-09T12:34:56Z\"");
  CHECK(row_of(decode_text(logfmt(), "level= \t cached=false ts=1704803696 msg=a=b",
                           Format::logfmt)) ==
        "#0 2024-01-09T12:34:56Z null \"a=b\" null false null \"2024-01-09T12:34:56Z\"");
}

TEST_CASE("what is not logfmt is refused") {
  const auto reason_of = [](std::string_view line) {
    const std::string out = decode_text(logfmt(), line, Format::logfmt);
    const std::size_t at = out.find("!0 ");
    return at == std::string::npos ? out : out.substr(at + 3, out.find(" |", at) - at - 3);
  };
  CHECK(reason_of("a line of words") == "not_a_record");
  CHECK(reason_of("=x") == "not_a_record");
  CHECK(reason_of("a=\"x") == "not_a_record");
  CHECK(reason_of("a=\"x\\\"") == "not_a_record");
  CHECK(reason_of("a=\"x\"y ts=0") == "not_a_record");
  CHECK(reason_of("\"a\"=x") == "not_a_record");
  CHECK(reason_of("ts=0 level=a level=b") == "duplicate_key");
  CHECK(reason_of("ts=0 took_ms=fast") == "wrong_type");
  CHECK(reason_of("level=a") == "missing_field");
}

TEST_CASE("the first pattern that fits a line says what its parts are") {
  const StreamOptions o =
      cut_by({"{time} {+time} [{level}] {service}: {message}", "{time} {+time} {level} {message}"});
  const std::string out = decode_text(o,
                                      "2024-01-09 12:34:56,789 [WARN] shop: a: b\r\n"
                                      "\n"
                                      "2024-01-09 12:34:57 INFO no service here\n"
                                      "rubbish\n",
                                      Format::pattern);
  CHECK(out ==
        "events 3 rows 2 time_max 2024-01-09T12:34:57Z\n"
        "#0 2024-01-09T12:34:56.789Z \"WARN\" \"shop\" \"a: b\" \"2024-01-09T12:34:56.789Z\"\n"
        "#1 2024-01-09T12:34:57Z \"INFO\" null \"no service here\" \"2024-01-09T12:34:57Z\"\n"
        "!2 not_a_record | the line fits none of the stream's patterns | logs test here 2 | "
        "rubbish\n");
}

TEST_CASE("a dead letter's line is cut by the patterns of today, else by those it came with") {
  const auto earlier =
      std::make_shared<const std::string>("{time} <{level}> {message}\n{time} {service}\n");
  const auto read = [&](const StreamOptions& options, std::string_view line) {
    return decode_text(options, line, Format::pattern, earlier);
  };
  const StreamOptions today = cut_by({"{time} {message}"});
  CHECK(row_of(read(today, "2024-01-09T12:34:56Z <INFO> up")) ==
        "#0 2024-01-09T12:34:56Z null null \"<INFO> up\" \"2024-01-09T12:34:56Z\"");
  const StreamOptions changed = cut_by({"[{time}] {message}"});
  CHECK(row_of(read(changed, "2024-01-09T12:34:56Z <INFO> up")) ==
        "#0 2024-01-09T12:34:56Z \"INFO\" null \"up\" \"2024-01-09T12:34:56Z\"");
  CHECK(row_of(read(changed, "2024-01-09T12:34:56Z shop")) ==
        "#0 2024-01-09T12:34:56Z null \"shop\" null \"2024-01-09T12:34:56Z\"");
  CHECK(row_of(read(cut_by({}), "2024-01-09T12:34:56Z shop")) ==
        "#0 2024-01-09T12:34:56Z null \"shop\" null \"2024-01-09T12:34:56Z\"");
  CHECK(read(changed, "rubbish").find("!0 not_a_record") != std::string::npos);

  // They are of one block only.
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(changed), sources);
  EventBatch batch;
  decoder.decode(block("2024-01-09T12:34:56Z shop", Format::pattern, earlier), batch);
  CHECK(batch.rows == 1);
  decoder.decode(block("2024-01-09T12:34:56Z shop", Format::pattern), batch);
  CHECK(batch.rows == 0);
}

TEST_CASE("times of Apache's and nginx's error logs are read") {
  CHECK(row_of(decode_text(cut_by({"[{time}] [{level}] {message}"}),
                           "[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok",
                           Format::pattern))
            .starts_with("#0 2005-12-04T04:47:44Z \"notice\" null \"workerEnv.init() ok\""));
  CHECK(row_of(decode_text(cut_by({"{time} {+time} [{level}] {_}: {message}"}),
                           "2024/01/09 12:34:56 [error] 31#31: *1 open() failed", Format::pattern))
            .starts_with("#0 2024-01-09T12:34:56Z \"error\" null \"*1 open() failed\""));
}

TEST_CASE("a wrong pattern is a mistake of the config, with a caret below it") {
  StreamOptions o = cut_by({"{time}{message}"});
  o.patterns[0].place = {"obs.toml", 7, 12};
  Diagnostics diagnostics;
  CHECK(compile_stream(o, 0, diagnostics) == nullptr);
  REQUIRE(diagnostics.size() == 1);
  CHECK(diagnostics[0].place.line == 7);
  CHECK(diagnostics[0].place.column == 18);
  CHECK(diagnostics[0].excerpt.find("{time}{message}\n      ^") != std::string::npos);
}

TEST_CASE("lines that are no text, or too long, are refused in every format of lines") {
  StreamOptions o = cut_by({"{time} {message}"});
  o.max_event_bytes = 64;
  for (const Format format : {Format::syslog, Format::logfmt, Format::pattern}) {
    const std::string out = decode_text(
        o, "\xff\xfe\n" + std::string(100, 'x') + "\n" + std::string("a\0b", 3), format);
    CHECK(out.find("!0 bad_utf8") != std::string::npos);
    CHECK(out.find("!1 too_long") != std::string::npos);
    CHECK(out.find("!2 bad_utf8") != std::string::npos);
  }
}

TEST_CASE("whatever stands in lines, each is a row or a dead letter") {
  StreamOptions o = cut_by({"{time} {+time} [{level}] {service}: {message}",
                            "{{{level}}}={message}\"", " {service} \t;{_} {message} "});
  o.time = "timestamp";
  o.fields.push_back(field("severity", "int"));
  o.fields.push_back(field("hostname", "string"));
  o.fields.push_back(field("timestamp", "timestamp"));
  o.fields[1].aliases = {"app_name", "sd.a.b"};
  o.fields[5].aliases = {"time"};
  o.max_event_bytes = 300;
  const auto plan = compile(o);
  const std::vector<std::string> sources = {"test"};
  const std::vector<std::string> pieces = {"<34>",
                                           "<34>1 ",
                                           "<",
                                           ">",
                                           "1",
                                           " ",
                                           "  ",
                                           "\t",
                                           "\n",
                                           "\r\n",
                                           "-",
                                           "[a b=\"",
                                           "[",
                                           "]",
                                           "\"",
                                           "\\",
                                           "\\\"",
                                           "=",
                                           "a",
                                           "level=",
                                           "time=",
                                           "timestamp=2024-01-09 ",
                                           "Jan  9 12:34:56",
                                           "2024-01-09T12:34:56Z",
                                           "Feb 29 00:00:00",
                                           "app[1]:",
                                           "app:",
                                           ":",
                                           ";",
                                           "{",
                                           "}",
                                           "é",
                                           "\xff",
                                           std::string(1, '\0'),
                                           "\xef\xbb\xbf",
                                           std::string(310, 'x')};
  for (const Format format :
       {Format::access_log, Format::syslog, Format::logfmt, Format::pattern}) {
    std::mt19937_64 random(static_cast<std::uint64_t>(format));
    Decoder decoder(plan, sources);
    EventBatch batch;
    std::uint64_t rows = 0;
    for (int round = 0; round < 4000; ++round) {
      std::string text;
      const std::size_t size = random() % 30;
      for (std::size_t i = 0; i < size; ++i) text += pieces[random() % pieces.size()];
      decoder.decode(block(text, format), batch);
      REQUIRE(batch.events == batch.rows + batch.dead_letters.size());
      rows += batch.rows;
      std::uint64_t lines = 0;
      std::size_t begin = 0;
      while (begin < text.size()) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        std::string line = text.substr(begin, end - begin);
        if (line.ends_with('\r')) line.pop_back();
        lines += line.find_first_not_of(" \t") != std::string::npos ? 1 : 0;
        begin = end + 1;
      }
      REQUIRE(batch.events == lines);
    }
    if (format == Format::syslog || format == Format::logfmt) CHECK(rows > 50);
  }
}

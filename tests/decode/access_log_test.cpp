#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "decode/decode_support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

StreamOptions web() {
  StreamOptions o;
  o.name = "web";
  o.time = "time_local";
  o.fields = {field("remote_addr", "string"), field("remote_user", "string"),
              field("method", "string"),      field("path", "string"),
              field("protocol", "string"),    field("status", "int"),
              field("bytes", "int"),          field("referer", "string"),
              field("user_agent", "string"),  field("request", "string")};
  return o;
}

std::string decode_lines(std::string_view text) {
  return decode_text(web(), text, Format::access_log);
}

}  // namespace

TEST_CASE("a line of the combined format") {
  CHECK(decode_lines("83.149.9.216 - frank [17/May/2015:10:05:03 +0200] \"GET /a?b=c HTTP/1.1\" "
                     "200 203023 \"http://x.com/\" \"Mozilla/5.0 (X)\"\n") ==
        "events 1 rows 1 time_max 2015-05-17T08:05:03Z\n"
        "#0 2015-05-17T08:05:03Z \"83.149.9.216\" \"frank\" \"GET\" \"/a?b=c\" \"HTTP/1.1\" 200 "
        "203023 \"http://x.com/\" \"Mozilla/5.0 (X)\" \"GET /a?b=c HTTP/1.1\" "
        "\"2015-05-17T08:05:03Z\"\n");
}

TEST_CASE("dashes are null, quotes are taken back, the common format is enough") {
  CHECK(decode_lines("::1 - - [17/May/2015:10:05:03 +0000] \"-\" 408 - \"-\" \"a \\\"b\\\" \\\\ "
                     "\\x22\" extra \"fields\"\r\n"
                     "::1 - - [17/May/2015:10:05:03 +0000] \"GET /with space HTTP/1.0\" 200 5\n") ==
        "events 2 rows 2 time_max 2015-05-17T10:05:03Z\n"
        "#0 2015-05-17T10:05:03Z \"::1\" null null null null 408 null null \"a \\\"b\\\" \\\\ "
        "\\\\x22\" null \"2015-05-17T10:05:03Z\"\n"
        "#1 2015-05-17T10:05:03Z \"::1\" null \"GET\" \"/with space\" \"HTTP/1.0\" 200 5 null null "
        "\"GET /with space HTTP/1.0\" \"2015-05-17T10:05:03Z\"\n");
  // A scanner's bytes are no request line, and a line cut short keeps what there is.
  CHECK(decode_lines("::1 - - [17/May/2015:10:05:03 +0000] \"\\x16\\x03\" 400 0 \"-\" \"cut of")
            .find("400 0 null \"cut of\" \"\\\\x16\\\\x03\"") != std::string::npos);
}

TEST_CASE("lines that do not fit are refused and the others go on") {
  const std::string good = "::1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5\n";
  const std::string out = decode_lines(
      "rubbish\n" + good + "\n::1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" abc 5\n" +
      "::1 - - [99/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5\n" +
      "::1 - - 17/May/2015:10:05:03 \"GET / HTTP/1.1\" 200 5\n" + "\xff" + good +
      "::1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1 200 5\n" + good);
  CHECK(out.starts_with("events 8 rows 2 "));
  CHECK(out.find("!0 not_a_record") != std::string::npos);
  CHECK(out.find("!2 wrong_type | status: expected int, got \"abc\"") != std::string::npos);
  CHECK(out.find("!3 bad_time") != std::string::npos);
  CHECK(out.find("!4 not_a_record") != std::string::npos);
  CHECK(out.find("!5 bad_utf8") != std::string::npos);
  CHECK(out.find("!6 not_a_record") != std::string::npos);
}

TEST_CASE("ten thousand real lines, counted as by an independent program") {
  const std::filesystem::path path =
      std::filesystem::path(STREAMOBS_SOURCE_DIR) / "../shared/data/weblogs/apache_logs.txt";
  if (!std::filesystem::exists(path)) {
    WARN("skipped: no " << path.string());
    return;
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(web()), sources);
  EventBatch batch;
  decoder.decode(block(text, Format::access_log), batch);
  CHECK(batch.events == 10'000);
  CHECK(batch.dead_letters.empty());
  REQUIRE(batch.rows == 10'000);
  std::map<std::int64_t, int> statuses;
  std::map<std::string, int> methods;
  std::map<Timestamp, int> hours;
  std::set<std::string> paths;
  std::int64_t bytes = 0;
  int with_bytes = 0, with_referer = 0;
  for (std::size_t row = 0; row < batch.rows; ++row) {
    ++statuses[batch.columns[5].ints[row]];
    ++methods[std::string(batch.columns[2].view().string_at(row))];
    ++hours[batch.time[row] / kHour];
    paths.emplace(batch.columns[3].view().string_at(row));
    bytes += batch.columns[6].ints[row];
    with_bytes += batch.columns[6].view().is_null(row) ? 0 : 1;
    with_referer += batch.columns[7].view().is_null(row) ? 0 : 1;
  }
  // From a regular expression in Python; it takes 9,999 lines, and of the one whose user agent is
  // not closed (line 8899) the other fields were read by eye.
  CHECK(statuses == std::map<std::int64_t, int>{{200, 9126},
                                                {206, 45},
                                                {301, 164},
                                                {304, 445},
                                                {403, 2},
                                                {404, 213},
                                                {416, 2},
                                                {500, 3}});
  CHECK(methods ==
        std::map<std::string, int>{{"GET", 9952}, {"HEAD", 42}, {"OPTIONS", 1}, {"POST", 5}});
  CHECK(bytes == 2'747'282'505 + 235);
  CHECK(with_bytes == 9331);
  CHECK(with_referer == 5927);
  CHECK(paths.size() == 1498);
  CHECK(hours.size() == 84);
  CHECK(hours[Timestamp{1'432'062'000} * kSecond / kHour] == 136);  // 19/May/2015:19
}

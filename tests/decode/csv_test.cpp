#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include "decode/decode_support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

StreamOptions shop() {
  StreamOptions o;
  o.name = "shop";
  o.time = "t";
  o.fields = {field("name", "string"), field("n", "int"), field("price", "decimal(2)"),
              field("ok", "bool"), field("tags", "map")};
  return o;
}

const std::string kHeader = "t,name,other,n,price,ok,tags\r\n";

/// Rows as "name n price ok tags", refused ones as "!reason".
std::string rows(const StreamOptions& options, std::string_view text,
                 std::shared_ptr<const std::string> header) {
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(options), sources);
  EventBatch batch;
  decoder.decode(block(text, Format::csv, std::move(header)), batch);
  std::map<std::uint32_t, std::string> events;
  for (std::size_t row = 0; row < batch.rows; ++row) {
    std::string out;
    for (std::size_t c = 0; c + 1 < batch.columns.size(); ++c) {
      JsonWriter json(out);
      Value::from(batch.columns[c].view(), row).write_json(json);
      out += ' ';
    }
    out.pop_back();
    events[batch.event_index[row]] = out;
  }
  for (const DeadLetter& d : batch.dead_letters) events[d.event_index] = "!" + d.reason;
  std::string out;
  for (const auto& [index, text_of] : events) out += text_of + "\n";
  return out;
}

std::string rows(std::string_view text) {
  return rows(shop(), text, std::make_shared<const std::string>(kHeader));
}

}  // namespace

TEST_CASE("CSV cells of each type") {
  CHECK(rows("2024-01-01,ab,x,1,2.5,true,\n") == "\"ab\" 1 2.50 true null\n");
  CHECK(rows("2024-01-01,,,,,,\n") == "null null null null null\n");
  CHECK(rows("2024-01-01,\"\",,\"\",\"\",\"\",\"\"\n") == "\"\" null null null null\n");
  CHECK(rows("2024-01-01, a ,, 7 , +.5 , FALSE ,\n") == "\" a \" 7 0.50 false null\n");
  CHECK(rows("2024-01-01,a,,17850.0,1e1,0,\"{\"\"k\"\":\"\"v\"\"}\"\n") ==
        "\"a\" 17850 10.00 false {\"k\":\"v\"}\n");
  CHECK(rows("2024-01-01,a,,x,,,\n2024-01-01,a,,,,maybe,\n2024-01-01,a,,,,,{x}\n") ==
        "!wrong_type\n!wrong_type\n!wrong_type\n");
  CHECK(rows("2024-01-01,a,,,nan,,\n2024-01-01,a,,99999999999999999999,,,\n"
             "2024-01-01,a,,,1.234,,\n") == "!out_of_range\n!out_of_range\n!out_of_range\n");
  CHECK(rows("yesterday,a,,,,,\n,a,,,,,\n") == "!bad_time\n!missing_field\n");
}

TEST_CASE("quotes as in RFC 4180") {
  CHECK(rows("2024-01-01,\"a,b\",x,1,,,\r\n") == "\"a,b\" 1 null null null\n");
  CHECK(rows("2024-01-01,\"a\"\"b\",x,1,,,\n") == "\"a\\\"b\" 1 null null null\n");
  CHECK(rows("2024-01-01,\"a\r\nb\",\"\n\n\",1,,,\n2024-01-01,c,,2,,,\n") ==
        "\"a\\r\\nb\" 1 null null null\n\"c\" 2 null null null\n");
  CHECK(rows("2024-01-01,a\"b,x,1,,,\n") == "\"a\\\"b\" 1 null null null\n");
  CHECK(rows("2024-01-01,\"a\"b,x,1,,,\n2024-01-01,c,,2,,,\n") ==
        "!not_a_record\n\"c\" 2 null null null\n");
  CHECK(rows("2024-01-01,\"never closed,x,1,,,\n2024-01-01,c,,2,,,\n") ==
        "!not_a_record\n\"c\" 2 null null null\n");
  CHECK(rows("2024-01-01,a,x,1,,,\"") == "!not_a_record\n");
}

TEST_CASE("records that do not fit are refused and the others go on") {
  CHECK(rows("2024-01-01,a,x,1,,\n2024-01-01,b,x,1,,,,\n\n\r\n2024-01-01,c,x,1,,,") ==
        "!not_a_record\n!not_a_record\n\"c\" 1 null null null\n");
  CHECK(rows("2024-01-01,\xff,x,1,,,\n2024-01-01,a,\xff,1,,,\n2024-01-01,é,x,1,,,\n") ==
        "!bad_utf8\n!bad_utf8\n\"é\" 1 null null null\n");
  CHECK(rows(std::string("2024-01-01,a\0b,x,1,,,\n", 22)) == "!bad_utf8\n");
}

TEST_CASE("the header decides which cell is which field") {
  const auto with = [](const char* header, std::string_view text) {
    return rows(shop(), text, std::make_shared<const std::string>(header));
  };
  CHECK(with("n,t,name", "1,2024-01-01,a\n") == "\"a\" 1 null null null\n");
  CHECK(with("\xef\xbb\xbf\"n\",\"t\",\"na\"\"me\"\n", "1,2024-01-01,a\n") ==
        "null 1 null null null\n");
  CHECK(with("n,t,n", "1,2024-01-01,2\n") == "!not_a_record\n");
  CHECK(with("n,\"t", "1,2024-01-01\n") == "!not_a_record\n");
  CHECK(with("n,name", "1,a\n") == "!missing_field\n");
  CHECK(with("n;t;name", "1;2024-01-01;a\n") == "!not_a_record\n");
  CHECK(with("t", "2024-01-01\n") == "null null null null null\n");
  CHECK(rows(shop(), "name,t\na,2024-01-01\nb,2024-01-02\n", nullptr) ==
        "\"a\" null null null null\n\"b\" null null null null\n");
}

TEST_CASE("line numbers count the lines within quotes") {
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(shop()), sources);
  EventBatch batch;
  Block b = block("2024-01-01,\"a\nb\",,1,,,\n\nbad\n2024-01-01,a,,1,,,\nbad2\n", Format::csv,
                  std::make_shared<const std::string>(kHeader));
  b.origin.first_line = 2;
  decoder.decode(b, batch);
  REQUIRE(batch.dead_letters.size() == 2);
  CHECK(batch.dead_letters[0].position == 5);
  CHECK(batch.dead_letters[1].position == 7);
  // Those that were taken can be named as well, later on.
  REQUIRE(batch.rows == 2);
  CHECK(position_of(batch.origin, batch.event_index[0], batch.event_index[0]) == 2);
  CHECK(position_of(batch.origin, batch.event_index[1], batch.event_index[1]) == 6);
}

TEST_CASE("a month of a real shop, summed exactly as by Python's csv and decimal") {
  const std::filesystem::path folder =
      std::filesystem::path(STREAMOBS_SOURCE_DIR) / "../shared/data/retail";
  if (!std::filesystem::exists(folder)) {
    WARN("skipped: no " << folder.string());
    return;
  }
  StreamOptions o;
  o.name = "retail";
  o.time = "InvoiceDate";
  o.fields = {field("Quantity", "int"), field("UnitPrice", "decimal(3)"),
              field("CustomerID", "int"), field("Country", "string"),
              field("Description", "string")};
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(o), sources);
  EventBatch batch;
  std::uint64_t events = 0, refused = 0, unknown = 0, french = 0;
  std::int64_t quantity = 0, total = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::size_t first = text.find('\n') + 1;
    decoder.decode(block(text.substr(first), Format::csv,
                         std::make_shared<const std::string>(text.substr(0, first))),
                   batch);
    events += batch.events;
    refused += batch.dead_letters.size();
    const auto country = batch.columns[3].view();
    const auto customer = batch.columns[2].view();
    for (std::size_t row = 0; row < batch.rows; ++row) {
      quantity += batch.columns[0].ints[row];
      total += batch.columns[0].ints[row] * batch.columns[1].ints[row];
      unknown += customer.is_null(row) ? 1 : 0;
      french += country.string_at(row) == "France" ? 1 : 0;
    }
  }
  CHECK(events == 58345);
  CHECK(refused == 0);
  CHECK(quantity == 497164);
  CHECK(total == 1026556300);
  CHECK(unknown == 21908);
  CHECK(french == 842);
}

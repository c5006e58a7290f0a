// A document as text again.
#include "config/write_toml.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/support.h"

namespace streamobs::config {

namespace {

std::optional<Value> read(const std::string& text) {
  Diagnostics diagnostics;
  const SourceFile file(text, "f");
  Report report(file, diagnostics);
  std::optional<Value> root = parse_toml(file, text, report);
  INFO(text << to_text(diagnostics, false));
  REQUIRE(root.has_value());
  return root;
}

/// Everything but places, in words of its own.
std::string shown(const Value& value) {
  std::ostringstream out;
  out << static_cast<int>(value.kind) << ':' << value.text.size() << ':' << value.text << ':'
      << value.integer << ':' << std::hexfloat << value.floating << ':' << value.boolean;
  for (const Value& item : value.items) out << '[' << shown(item) << ']';
  for (const Entry& entry : value.entries) {
    out << '{' << entry.key.size() << ':' << entry.key << '=' << shown(entry.value) << '}';
  }
  return out.str();
}

}  // namespace

TEST_CASE("a document that is written is read again the same", "[config]") {
  const std::string texts[] = {
      "",
      "a = 1\nb = -9223372036854775808\nc = 1.0\nd = 1e300\ne = -0.0\nf = inf\ng = 0.1\nh = true\n",
      "[log]\n[http]\nlisten = \"x\"\n",
      "a = \"q\\\" b\\\\ \\u0000 \\u007f \\n \\t é 😀\"\nb = '''\n'raw\\'\n'''\n",
      "\"\" = 1\n\"a b\" = [1, [2, {c = {}}], \"x\"]\n",
      "[stream.s.fields]\n\"a.b\" = \"int\"\nmetadata.traceId = \"string\"\n[stream.t]\nx = []\n",
      "[endpoint.\"GET /v1/x\"]\nwindow = \"w\"\n[wal]\nx = 1\nkeep = { age = \"7d\" }\n"};
  for (const std::string& text : texts) {
    const std::string written = write_toml(*read(text));
    INFO(written);
    CHECK(shown(*read(written)) == shown(*read(text)));
    // Written once more it is the same text.
    CHECK(write_toml(*read(written)) == written);
  }
}

TEST_CASE("every preset is written and read again the same", "[config]") {
  int files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(STREAMOBS_SOURCE_DIR) + "/config")) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    CHECK(shown(*read(write_toml(*read(text.str())))) == shown(*read(text.str())));
  }
  CHECK(files >= 6);
}

}  // namespace streamobs::config

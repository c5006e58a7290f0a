// TOML itself: the public test corpus, its twin made here, and input that is meant to hurt.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/document.h"
#include "support/catch.h"

namespace streamobs::config {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<fs::path> toml_files(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!fs::exists(folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  }
  return files;
}

const fs::path kCorpus = fs::path(STREAMOBS_SOURCE_DIR) / "../shared/data/toml";

/// Parsing must end with an error that has a place within the text.
void check_refused(const std::string& text) {
  Diagnostics diagnostics;
  CHECK_FALSE(parse(text, "f", diagnostics).has_value());
  REQUIRE_FALSE(diagnostics.empty());
  for (const Diagnostic& d : diagnostics) {
    CHECK(d.place.line >= 1);
    CHECK(d.place.column >= 1);
    CHECK_FALSE(d.message.empty());
  }
}

bool is_toml(const std::string& text, std::string& why) {
  Diagnostics diagnostics;
  const SourceFile file(text, "f");
  Report report(file, diagnostics);
  const bool good = parse_toml(file, text, report).has_value();
  why = to_text(diagnostics, false);
  return good;
}

}  // namespace

TEST_CASE("the corpus of invalid TOML is refused with a place") {
  const auto files = toml_files(kCorpus / "invalid");
  if (files.empty()) {
    WARN("skipped: " << kCorpus << " is not there");
    return;
  }
  CHECK(files.size() > 300);
  for (const fs::path& path : files) {
    INFO(path);
    const std::string text = read(path);
    check_refused(text);
    std::string why;
    CHECK_FALSE(is_toml(text, why));
  }
}

TEST_CASE("the corpus of valid TOML parses as TOML") {
  const auto files = toml_files(kCorpus / "valid");
  if (files.empty()) {
    WARN("skipped: " << kCorpus << " is not there");
    return;
  }
  // toml++ 3.3 reads TOML 1.0; the corpus says which of its files are that, the others may go
  // either way.
  const std::string version_1_0 = read(kCorpus / "files-toml-1.0.0");
  int checked = 0;
  for (const fs::path& path : files) {
    INFO(path);
    const std::string text = read(path);
    check_refused(text);  // Valid TOML, but no config of ours.
    const std::string name = fs::relative(path, kCorpus).string();
    if (version_1_0.find(name + "\n") == std::string::npos) continue;
    ++checked;
    std::string why;
    const bool good = is_toml(text, why);
    INFO(why);
    CHECK(good);
  }
  CHECK(checked > 150);
}

TEST_CASE("broken TOML made here is refused with a place") {
  for (const char* text : {"a",
                           "a =",
                           "= 1",
                           "a = 1 b = 2",
                           "a = 1m",
                           "a = 01",
                           "a = 1__0",
                           "a = 1.",
                           "a = .5",
                           "a = \"x",
                           "a = 'x",
                           "a = \"\"\"x",
                           "a = '''x",
                           "a = \"\\q\"",
                           "a = \"\\ud800\"",
                           "a = [1, 2",
                           "a = [1 2]",
                           "a = [,]",
                           "a = {b = 1",
                           "a = {b = 1,}",
                           "a = {b}",
                           "[a",
                           "a]",
                           "[a]\n[a]",
                           "[]",
                           "[a..b]",
                           "[[a]",
                           "a = 1\na = 2",
                           "a = 1\n[a]",
                           "a.b = 1\na = 2",
                           "[",
                           "[[",
                           "a = True",
                           "a = yes",
                           "a = 2024-13-01",
                           "a = 25:00:00",
                           "a = +0x1",
                           "\x01",
                           "a = \"\x01\"",
                           "# \x01",
                           "a = \"\xff\"",
                           "\xff\xfe",
                           "a = \"\xed\xa0\x80\"",
                           "a = \"\xc0\x80\"",
                           "[a]\rb = 1",
                           "a = nan_",
                           "\"a\nb\" = 1",
                           "a = \"b\" \"c\"",
                           "."}) {
    INFO(text);
    check_refused(text);
    std::string why;
    CHECK_FALSE(is_toml(text, why));
  }
  check_refused(std::string("a = 1\0b = 2", 11));
  check_refused(std::string("a = \"\0\"", 7));
  check_refused(std::string("# \0", 3));
}

TEST_CASE("letters beyond ASCII stand in texts and comments, and nowhere else") {
  // toml++ 3.3 runs into undefined behaviour here unless document.cpp keeps it from doing so.
  for (const char* text : {"é = 1", "a = é", "a = 1 é", "a = 1é", "[é]", "[a] é", "[a é]", "é",
                           " é", "a é = 1", "a.é = 1", "a = [é]", "a = {é = 1}", "a = {b = 1 é}",
                           "\u00a0a = 1", "a\u3000= 1", "a = 1\u2028", "a = “x”"}) {
    INFO(text);
    check_refused(text);
    std::string why;
    CHECK_FALSE(is_toml(text, why));
  }
  std::string why;
  CHECK(is_toml("# é\na = \"é\"\nb = 'é'\n\"é\" = 1 # é\nc = \"\"\"é \\\n  é\"\"\"\n", why));
  INFO(why);
}

TEST_CASE("nesting is bounded") {
  for (const std::string& text :
       {"a = " + std::string(100'000, '['), "a = " + std::string(100'000, '{'),
        "a = [" + std::string(33, '[') + std::string(34, ']')}) {
    check_refused(text);
  }
  std::string dotted = "a";
  std::string spaced = "[a";
  std::string quoted = "\"a\"";
  std::string braces = "x = ";
  for (int i = 0; i < 100'000; ++i) {
    dotted += ".a";
    spaced += " . a";
    quoted += ".\"a\"";
    braces += "{a=";
  }
  check_refused(dotted + " = 1");
  check_refused(spaced + "]");
  check_refused(quoted + " = 1");
  check_refused(braces);
  // What merely looks deep is not: brackets and dots in texts and comments.
  std::string why;
  CHECK(is_toml("a = \"" + std::string(500, '[') + std::string(500, '.') + "\"\n# " +
                    std::string(500, '{') + "\nb = '''\n" + std::string(500, '[') + "'''\n",
                why));
  CHECK(is_toml("a = [" + std::string(30, '[') + std::string(31, ']'), why));
}

TEST_CASE("a file over the limit is refused") {
  std::string text = "[stream.s]\ntime = \"t\"\n#";
  text += std::string(kFileBytesMax, 'x');
  check_refused(text);
  text.resize(kFileBytesMax);
  Diagnostics diagnostics;
  CHECK(parse(text, "f", diagnostics).has_value());
}

TEST_CASE("mutations of good configs never crash and never pass in silence") {
  std::mt19937 random(20260101);
  std::vector<std::string> seeds;
  for (const fs::path& path : toml_files(fs::path(STREAMOBS_SOURCE_DIR) / "config")) {
    seeds.push_back(read(path));
  }
  REQUIRE_FALSE(seeds.empty());
  const std::string alphabet = "[]{}=\".'\\\n\t #,:x0-\xC3\xBC";
  for (int round = 0; round < 2'000; ++round) {
    std::string text = seeds[random() % seeds.size()];
    for (unsigned edits = 1 + random() % 4; edits > 0 && !text.empty(); --edits) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          text.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        case 2:
          text.erase(at, 1 + random() % 20);
          break;
        default:
          text.resize(at + 1);
          break;
      }
    }
    Diagnostics diagnostics;
    const bool accepted = parse(text, "f", diagnostics).has_value();
    const bool has_error =
        std::any_of(diagnostics.begin(), diagnostics.end(),
                    [](const Diagnostic& d) { return d.severity == Diagnostic::Severity::error; });
    if (accepted == has_error) {
      INFO(text);
      CHECK(accepted != has_error);
    }
  }
}

}  // namespace streamobs::config

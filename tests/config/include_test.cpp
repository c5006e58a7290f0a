// include = [...]: several files that are one config.
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

#include "config/support.h"

namespace streamobs::config {

namespace {

namespace fs = std::filesystem;

/// Files in a folder of their own.
class Files {
 public:
  Files() : folder_(fs::temp_directory_path() / ("streamobs-include-" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
  }
  ~Files() { fs::remove_all(folder_); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  void write(const std::string& name, const std::string& content) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << content;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Reading read(const std::string& name) {
    said.clear();
    Reading reading = read_file(path(name), said);
    text = to_text(said, false);
    return reading;
  }

  Diagnostics said;
  std::string text;

 private:
  fs::path folder_;
};

constexpr const char* kBase = R"toml(data_dir = "./base"
threads = 2
[stream.s]
time = "t"
fields = { a = "string" }
[window.w]
size = "1m"
by = ["a"]
select = { n = "count(*)", first = "min(t)" }
)toml";

}  // namespace

TEST_CASE("what a file says goes over what it includes, key by key", "[config]") {
  Files files;
  files.write("shared/base.toml", kBase);
  files.write("shared/more.toml", "threads = 3\n[window.w]\nsize = \"2m\"\nmax_keys = 7\n");
  files.write("obs.toml", R"toml(include = ["shared/base.toml", "shared/more.toml"]
data_dir = "./mine"
[window.w]
by = []
[window.w.select]
n = "count(a)"
last = "max(t)"
[window.x]
size = "1h"
select = { n = "count(*)" }
)toml");
  const Reading reading = files.read("obs.toml");
  INFO(files.text);
  REQUIRE(reading.complete);
  const Config& config = *reading.config;
  CHECK(config.data_dir == "./mine");
  CHECK(config.threads == 3);
  REQUIRE(config.windows.size() == 2);
  const window::WindowOptions& w = config.windows[0];
  CHECK(w.name.text == "w");
  CHECK(w.size == 2 * kMinute);
  CHECK(w.max_keys == 7);
  CHECK(w.by.empty());
  REQUIRE(w.select.size() == 3);
  CHECK(w.select[0].expression.text == "count(a)");
  CHECK(w.select[1].name.text == "first");
  CHECK(w.select[2].name.text == "last");
  // Everything knows the file in which it stands.
  CHECK(w.select[0].expression.place.file == files.path("obs.toml"));
  CHECK(w.select[0].expression.place.line == 6);
  CHECK(w.select[1].expression.place.file == files.path("shared/base.toml"));
  CHECK(w.select[1].expression.place.line == 9);
  REQUIRE(config.files.size() == 3);
  CHECK(config.files[0].name == files.path("obs.toml"));
}

TEST_CASE("the log notes one text that says the same by itself", "[config]") {
  Files files;
  files.write("base.toml", kBase);
  files.write("obs.toml", "include = [\"base.toml\"]\nlanes = 5\n");
  const Reading reading = files.read("obs.toml");
  REQUIRE(reading.complete);
  Diagnostics diagnostics;
  const auto past = parse_past(reading.config->text, "the log", diagnostics);
  INFO(reading.config->text);
  REQUIRE(past.has_value());
  CHECK(past->lanes == 5);
  CHECK(past->threads == 2);
  CHECK(past->windows.at(0).select.at(1).expression.text == "min(t)");
  // One file stays as it stands.
  const std::string alone = std::string("# a comment\n") + kBase;
  CHECK(parse_good(alone).text == alone);
}

TEST_CASE("paths begin in the folder of the file that includes", "[config]") {
  Files files;
  files.write("obs.toml", "include = [\"a/one.toml\"]\n");
  files.write("a/one.toml", "include = [\"two.toml\", \"../b/three.toml\"]\nthreads = 4\n");
  files.write("a/two.toml", kBase);
  files.write("b/three.toml", "lanes = 9\n");
  const Reading reading = files.read("obs.toml");
  INFO(files.text);
  REQUIRE(reading.complete);
  CHECK(reading.config->threads == 4);
  CHECK(reading.config->lanes == 9);
  // The same file twice, by two ways, is no circle.
  files.write("b/three.toml", "include = [\"../a/two.toml\"]\nlanes = 9\n");
  CHECK(files.read("obs.toml").complete);
}

TEST_CASE("a mistake is told where it stands, with its line", "[config]") {
  Files files;
  files.write("base.toml", std::string(kBase) + "max_kyes = 3\n");
  files.write("obs.toml", "include = [\"base.toml\"]\nthreads = \"many\"\n");
  CHECK_FALSE(files.read("obs.toml").complete);
  REQUIRE(files.said.size() == 2);
  // The given file's first.
  CHECK(files.said[0].place.file == files.path("obs.toml"));
  CHECK(files.said[0].place.line == 2);
  CHECK(files.said[1].place.file == files.path("base.toml"));
  CHECK(files.said[1].place.line == 10);
  CHECK(files.said[1].excerpt == "max_kyes = 3\n^^^^^^^^");
  // Text that is no TOML, too.
  files.write("base.toml", "[stream.s\n");
  CHECK_FALSE(files.read("obs.toml").config.has_value());
  REQUIRE(files.said.size() == 1);
  CHECK(files.said[0].place.file == files.path("base.toml"));
  CHECK(files.said[0].excerpt.starts_with("[stream.s\n"));
}

TEST_CASE("a file that includes itself, by whatever way, is told", "[config]") {
  Files files;
  files.write("obs.toml", "include = [\"a.toml\"]\n");
  files.write("a.toml", "threads = 1\ninclude = [\"./sub/../obs.toml\"]\n");
  files.write("sub/x.toml", "");
  CHECK_FALSE(files.read("obs.toml").complete);
  REQUIRE(files.said.size() == 1);
  CHECK(files.said[0].place.file == files.path("a.toml"));
  CHECK(files.said[0].place.line == 2);
  CHECK(mentions(files.text, files.path("obs.toml") + " → " + files.path("a.toml") + " → " +
                                 files.path("obs.toml")));
  CHECK(mentions(files.text, "would include itself"));
}

TEST_CASE("how deep and how much is included has bounds", "[config]") {
  Files files;
  for (int i = 0; i < 12; ++i) {
    files.write(std::to_string(i) + ".toml",
                "include = [\"" + std::to_string(i + 1) + ".toml\"]\n");
  }
  files.write("12.toml", kBase);
  CHECK_FALSE(files.read("0.toml").complete);
  CHECK(mentions(files.text, "7.toml:1:12: error: include: more than 8 files deep"));
  CHECK(files.read("5.toml").complete);
  std::string many = "include = [";
  for (int i = 0; i < 100; ++i) many += "\"12.toml\", ";
  files.write("obs.toml", many + "]\n");
  CHECK_FALSE(files.read("obs.toml").complete);
  CHECK(mentions(files.text, "include: more than 64 files"));
}

TEST_CASE("what cannot be included is said, and nothing else is missed", "[config]") {
  Files files;
  files.write("obs.toml", "include = [\"gone.toml\"]\n[window.w]\nfrom = \"s\"\n");
  CHECK_FALSE(files.read("obs.toml").config.has_value());
  REQUIRE(files.said.size() == 1);
  CHECK(mentions(files.text,
                 "obs.toml:1:12: error: include: cannot read " + files.path("gone.toml")));
  files.write("obs.toml", "include = \"base.toml\"\n");
  files.read("obs.toml");
  CHECK(mentions(files.text, "write include = [\"base.toml\"]"));
  files.write("obs.toml", "include = [3]\n");
  files.read("obs.toml");
  CHECK(mentions(files.text, "expected the path of a file, found the number 3"));
  files.write("obs.toml", "include = [\".\"]\n");
  files.read("obs.toml");
  CHECK(mentions(files.text, "cannot read"));
}

}  // namespace streamobs::config

#include "window/template_miner.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "support/catch.h"
#include "window/drain_oracle.h"
#include "window/template_text.h"

using namespace streamobs;
using namespace streamobs::window;
using window_test::DrainOracle;
using window_test::random_message;

namespace {

std::string masked(std::string_view message) {
  TemplateText text;
  std::string out;
  for (const std::string_view word : text.split(message)) {
    out += (out.empty() ? "" : " ") + std::string(word);
  }
  return out;
}

std::string snapshot_of(const TemplateMiner& miner) {
  std::string out;
  miner.snapshot(out);
  return out;
}

}  // namespace

TEST_CASE("what varies is masked") {
  CHECK(masked("took 12.5 ms") == "took <*> ms");
  CHECK(masked("from 10.0.0.7:4711, port=22;") == "from <*>, port=<*>;");
  CHECK(masked("at 2024-01-09T12:34:56.789Z [17/May/2015:10:05:03 +0000]") ==
        "at <*> [<*>/May/<*> <*>]");
  CHECK(masked("blk_-1608999687919862906 id 0xdeadbeef1 c0ffee12-aa34-4b77-9123-0123456789ab") ==
        "blk_<*> id <*> <*>");
  CHECK(masked("read /var/log/x.log '/a/b' / /etc //") == "read <*> <*> / /etc //");
  CHECK(masked("100% (-5) a-b e-mail") == "<*> (<*>) a-b e-mail");
  CHECK(masked("  \t no   values here\r\n") == "no values here");
  CHECK(masked("größer als 5 €") == "größer als <*> €");
  CHECK(masked("").empty());
  CHECK(masked(" \t ").empty());
}

TEST_CASE("a message is looked at up to a bound") {
  std::string many;
  for (int i = 0; i < 500; ++i) many += "w ";
  TemplateText text;
  CHECK(text.split(many).size() == TemplateText::kMaxWords + 1);
  CHECK(text.split(many).back() == "<*>");
  std::string umlauts;
  for (int i = 0; i < 2000; ++i) umlauts += "ü";
  umlauts.insert(0, "x");  // The bound falls into a character.
  const auto& words = text.split(umlauts);
  REQUIRE(words.size() == 2);
  CHECK(words[0].size() == TemplateText::kMaxBytes - 1);
  CHECK(words[1] == "<*>");
}

TEST_CASE("messages of one kind have one template, and it loses the words that vary") {
  TemplateMiner miner(100);
  const auto first = miner.add("Accepted password for alice from 10.0.0.7 port 4711 ssh2");
  CHECK(first.id == 1);
  CHECK(first.is_new);
  CHECK(first.text == "Accepted password for alice from <*> port <*> <*>");
  const auto second = miner.add("Accepted password for bob from 10.9.8.7 port 22 ssh2");
  CHECK(second.id == 1);
  CHECK_FALSE(second.is_new);
  CHECK(second.text == "Accepted password for <*> from <*> port <*> <*>");
  CHECK(miner.add("Connection closed by 10.0.0.7 [preauth]").id == 2);
  CHECK(miner.add("Accepted publickey for bob from 10.9.8.7 port 22 ssh2").id == 3);
  CHECK(miner.add("").id == 0);
  CHECK_FALSE(miner.add(" ").is_new);
  CHECK(miner.templates() == 3);
}

TEST_CASE("the miner says what an oracle says that looks at every template") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    const std::size_t templates_max = seed % 2 == 0 ? 100'000 : 10 + seed;
    TemplateMiner miner(templates_max);
    DrainOracle oracle(templates_max);
    for (int i = 0; i < 1500; ++i) {
      const std::string message = random_message(random);
      INFO("seed " << seed << ", message " << i << ": " << message);
      const TemplateMiner::Found found = miner.add(message);
      const DrainOracle::Found expected = oracle.add(message);
      REQUIRE(found.id == expected.id);
      REQUIRE(found.is_new == expected.is_new);
      REQUIRE(found.text == expected.text);
    }
    CHECK((miner.forgotten() != 0) == (templates_max < 100'000));
  }
}

TEST_CASE("words that are never the same twice do not make templates of their own for ever") {
  TemplateMiner miner(100'000);
  std::uint64_t last = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string name;
    for (int n = i + 26; n > 0; n /= 26) name += static_cast<char>('a' + n % 26);
    last = miner.add(name + " signed in from the web at last").id;
    miner.add("user " + name + " left");
  }
  // So many of each, and what came behind them shares one.
  CHECK(miner.templates() <= TemplateMiner::kFirstWordsMax + TemplateMiner::kSecondWordsMax + 2);
  CHECK(miner.add("somebodyelse signed in from the web at last").id == last);
}

TEST_CASE("the template used longest ago goes, and is new when it comes again") {
  TemplateMiner miner(10);
  const auto message = [](int i) {
    return std::string(static_cast<std::size_t>(i) + 1, 'x') + " up";
  };
  for (int i = 0; i < 10; ++i) CHECK(miner.add(message(i)).is_new);
  CHECK_FALSE(miner.add(message(0)).is_new);
  CHECK(miner.add(message(10)).id == 11);
  CHECK(miner.templates() == 10);
  CHECK(miner.forgotten() == 1);
  CHECK_FALSE(miner.add(message(0)).is_new);
  CHECK(miner.add(message(1)).is_new);
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random_message(random);
    miner.add(text + " " + random_message(random));
  }
  CHECK(miner.templates() <= 10);
  CHECK(miner.bytes() < 100'000);
}

TEST_CASE("a group is bounded") {
  TemplateMiner miner(100'000);
  // Alike in the first two words only.
  for (int i = 0; i < 3000; ++i) {
    std::string tail;
    for (int n = i + 26; n > 0; n /= 26)
      tail += std::string(" ") + static_cast<char>('a' + n % 26) + "z";
    while (std::count(tail.begin(), tail.end(), ' ') < 8)
      tail += " q" + std::string(static_cast<std::size_t>(i % 50), 'r');
    miner.add("one two" + tail);
  }
  CHECK(miner.templates() <= TemplateMiner::kGroupMax);
}

TEST_CASE("a miner restored in the middle goes on as if nothing had happened") {
  for (const std::size_t templates_max : {10, 1000}) {
    std::mt19937_64 random(5);
    TemplateMiner whole(templates_max);
    auto cut = std::make_unique<TemplateMiner>(templates_max);
    for (int i = 0; i < 3000; ++i) {
      const std::string message = random_message(random);
      const TemplateMiner::Found a = whole.add(message);
      const TemplateMiner::Found b = cut->add(message);
      REQUIRE(a.id == b.id);
      REQUIRE(a.is_new == b.is_new);
      REQUIRE(a.text == b.text);
      if (i % 300 != 7) continue;
      const std::string bytes = snapshot_of(*cut);
      cut = std::make_unique<TemplateMiner>(templates_max);
      REQUIRE(cut->restore(bytes).has_value());
      REQUIRE(snapshot_of(*cut) == bytes);
      REQUIRE(snapshot_of(whole) == bytes);
    }
  }
}

TEST_CASE("a snapshot of more templates than may be keeps those used last") {
  TemplateMiner large(100);
  for (int i = 0; i < 50; ++i) large.add(std::string(static_cast<std::size_t>(i) + 1, 'x') + " up");
  TemplateMiner small(10);
  REQUIRE(small.restore(snapshot_of(large)).has_value());
  CHECK(small.templates() == 10);
  CHECK(small.add(std::string(50, 'x') + " up").id == 50);
  CHECK(small.add("something else entirely").id == 51);
}

TEST_CASE("templates as long as they can be come back from a snapshot") {
  const auto repeated = [](std::string_view part, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += part;
    return out;
  };
  TemplateMiner miner(100);
  miner.add(repeated("1=", 3000));
  miner.add("=" + repeated("1=", 3000));
  miner.add(repeated("1=", 1023) + "1");
  miner.add(repeated("1=", 500) + " " + repeated("1 ", 600));
  miner.add(repeated("x ", 100) + repeated("y ", 60));
  const auto shorter = miner.add(repeated("x ", 100) + repeated("1=1 ", 300));
  CHECK_FALSE(shorter.is_new);
  CHECK(shorter.text.find('y') == std::string_view::npos);
  CHECK(miner.templates() == 5);
  TemplateMiner again(100);
  REQUIRE(again.restore(snapshot_of(miner)).has_value());
  CHECK(snapshot_of(again) == snapshot_of(miner));
}

TEST_CASE("hostile snapshots of templates are corrupt and change nothing") {
  TemplateMiner good(100);
  std::mt19937_64 random(11);
  for (int i = 0; i < 300; ++i) good.add(random_message(random));
  const std::string bytes = snapshot_of(good);
  TemplateMiner miner(100);
  miner.add("what was there");
  const std::string before = snapshot_of(miner);
  for (std::size_t size = 0; size < bytes.size(); size += 3) {
    const auto restored = miner.restore(std::string_view(bytes).substr(0, size));
    REQUIRE(restored.has_error());
    CHECK(restored.error().code == ErrorCode::corrupt);
  }
  CHECK(miner.restore(bytes + "x").has_error());
  CHECK(snapshot_of(miner) == before);
  for (int i = 0; i < 20'000; ++i) {
    std::string bent = bytes;
    const std::size_t flips = 1 + random() % 3;
    for (std::size_t f = 0; f < flips; ++f) {
      const std::size_t at = random() % bent.size();
      bent[at] = static_cast<char>(random());
    }
    TemplateMiner other(100);
    if (other.restore(bent).has_error()) continue;
    // What passes for one is used like one.
    for (int n = 0; n < 20; ++n) other.add(random_message(random));
    TemplateMiner again(100);
    REQUIRE(again.restore(snapshot_of(other)).has_value());
  }
}

TEST_CASE("messages made from known templates are grouped as they were made") {
  // The same number of words and values throughout, as of one program.
  const std::vector<std::string> kinds = {"request # done in # ms",
                                          "user @ signed in from #",
                                          "connection to # refused",
                                          "payment # declined by gateway @ after # ms",
                                          "cache miss for key #",
                                          "worker @ started",
                                          "failed to open /srv/data/# no such file",
                                          "queue holds # entries",
                                          "lease # renewed until #",
                                          "retrying in # ms because of timeout"};
  std::mt19937_64 random(17);
  TemplateMiner miner(1000);
  std::vector<std::pair<std::size_t, std::uint64_t>> found;
  for (int i = 0; i < 2000; ++i) {
    const std::size_t kind = random() % kinds.size();
    std::string message;
    for (const char c : kinds[kind]) {
      if (c == '#') {
        message += std::to_string(random() % 100'000);
      } else if (c == '@') {
        for (int n = 0; n < 5; ++n) message += static_cast<char>('a' + random() % 26);
      } else {
        message += c;
      }
    }
    found.emplace_back(kind, miner.add(message).id);
  }
  // Grouping accuracy: the share of messages whose group is exactly that of their kind.
  std::map<std::size_t, std::vector<std::size_t>> by_kind;
  std::map<std::uint64_t, std::vector<std::size_t>> by_id;
  for (std::size_t i = 0; i < found.size(); ++i) {
    by_kind[found[i].first].push_back(i);
    by_id[found[i].second].push_back(i);
  }
  std::size_t right = 0;
  for (const auto& [kind, members] : by_kind) {
    if (by_id[found[members.front()].second] == members) right += members.size();
  }
  CHECK(static_cast<double>(right) / static_cast<double>(found.size()) >= 0.75);
}

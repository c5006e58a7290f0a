#include "serve/stream_feed.h"

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "live_support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::serve::test;  // NOLINT
using serve::StreamFeed;

StreamFeed::Time at(double seconds) {
  return StreamFeed::Time() + std::chrono::duration_cast<StreamFeed::Time::duration>(
                                  std::chrono::duration<double>(seconds));
}

std::string sample(const std::string& stream, const std::string& events, int left_out) {
  return "event: stream\ndata: {\"stream\":\"" + stream + "\",\"events\":[" + events +
         "],\"left_out\":" + std::to_string(left_out) + "}\n\n";
}

}  // namespace

TEST_CASE("stream feed: what is admitted and what is left out add up, and the rate holds",
          "[serve]") {
  std::vector<std::string> told;
  StreamFeed feed("requests", [&](std::string data) { told.push_back(std::move(data)); });
  std::mt19937 random(7);
  double now = 0;
  std::size_t came = 0;
  std::size_t admitted = 0;
  for (int i = 0; i < 2'000; ++i) {
    now += std::uniform_real_distribution<double>(0, 0.02)(random);
    const std::size_t count = std::uniform_int_distribution<std::size_t>(0, 200)(random);
    came += count;
    const std::size_t now_admitted = feed.admit(count, at(now));
    CHECK(now_admitted <= count);
    admitted += now_admitted;
    CHECK(static_cast<double>(admitted) <=
          StreamFeed::kBurst + now * StreamFeed::kEventsPerSecond + 1);
  }
  CHECK(static_cast<double>(admitted) >= now * StreamFeed::kEventsPerSecond * 0.95);
  feed.show({});
  REQUIRE(told.size() == 1);
  CHECK(told[0] ==
        R"({"stream":"requests","events":[],"left_out":)" + std::to_string(came - admitted) + "}");
  // A slow stream is shown whole, and what is told is told once.
  CHECK(feed.admit(10, at(now + 1)) == 10);
  feed.show({"{}"});
  CHECK(told[1] == R"({"stream":"requests","events":[{}],"left_out":0})");
  // A clock that goes back brings nothing.
  CHECK(feed.admit(1'000, at(now + 2)) == StreamFeed::kBurst);
  CHECK(feed.admit(10, at(0)) == 0);
}

TEST_CASE("stream feed: large events are left out, not one message of any size", "[serve]") {
  std::string told;
  StreamFeed feed("requests", [&](std::string data) { told = std::move(data); });
  const std::string large = '"' + std::string(200 << 10, 'x') + '"';
  feed.show({large, large, "{}"});
  CHECK(told.size() < StreamFeed::kMessageBytesMax + 100);
  CHECK(told.ends_with(",{}],\"left_out\":1}"));
}

TEST_CASE("a stream's events are told to who asks for them, while somebody does", "[serve]") {
  App app;
  StreamFeed& feed = app.hub.feed(0);
  CHECK_FALSE(feed.wanted());
  {
    HttpClient without = app.join();
    HttpClient other = app.join("?streams=other");
    CHECK_FALSE(feed.wanted());
    HttpClient client = app.join("?streams=requests&windows=b");
    CHECK(feed.wanted());
    app.hub.feed(1).show({"{\"o\":1}"});
    feed.show({"{\"n\":1}", "{\"n\":2}"});
    app.hub.process(window(kA, 1));
    app.hub.process(window(kB, 2));
    const std::string message = client.read_until("\n\n");
    CHECK(message.find("id: ") == 0);
    CHECK(message.find(sample("requests", "{\"n\":1},{\"n\":2}", 0)) != std::string::npos);
    CHECK(client.read_until("\n\n").find(data_of("b", 2)) != std::string::npos);
    CHECK(other.read_until("\n\n").find(sample("other", "{\"o\":1}", 0)) != std::string::npos);
    CHECK(without.read_until("\n\n").find(data_of("a", 1)) != std::string::npos);
    // What has been left out is told also when nothing comes after it.
    CHECK(feed.admit(1'000, std::chrono::steady_clock::now()) == StreamFeed::kBurst);
    feed.settle();
    CHECK(client.read_until("\n\n").find(sample("requests", "", 950)) != std::string::npos);
    HttpClient only = app.join("?events=stream&streams=requests,other");
    app.hub.process(window(kA, 3));
    feed.show({"{\"n\":3}"});
    CHECK(only.read_until("\n\n").find(sample("requests", "{\"n\":3}", 0)) != std::string::npos);
  }
  CHECK(wait_until([&] {
    // A write finds out who has gone.
    for (std::size_t stream : {0, 1}) app.hub.feed(stream).show({"{}"});
    return !feed.wanted() && !app.hub.feed(1).wanted();
  }));
  HttpClient wrong = app.server->connect();
  CHECK(wrong.ask(get("/api/v1/live?streams=request"))->status == 400);
  CHECK(wrong.ask(get("/api/v1/live?events=stream"))->status == 400);
}

TEST_CASE("samples push nothing else out, and who falls behind in them is cut off", "[serve]") {
  App app;
  app.hub.process(window(kA, 1));
  HttpClient stalled = app.join("?streams=requests", "", 4'096);
  HttpClient windows = app.join();
  const std::string event = '"' + std::string(100 << 10, 'x') + '"';
  for (int i = 0; i < 1'000; ++i) app.hub.feed(0).show({event});
  CHECK(app.hub.kept() <= 1 + serve::LiveHub::kSamplesMax);
  CHECK(stalled.wait_closed());
  CHECK(app.registry.value("streamobs_live_cut_off_total") == 1);
  // One that does not ask for them is not held to them, and what came before them is kept.
  app.hub.process(window(kA, 2));
  CHECK(windows.read_until("\n\n").find(data_of("a", 2)) != std::string::npos);
  HttpClient late = app.join("?last_event_id=1");
  CHECK(late.read_until("\n\n").find(data_of("a", 1)) != std::string::npos);
  CHECK(late.read_until("\n\n").find(data_of("a", 2)) != std::string::npos);
  // Nor does a reader of them that comes back miss what is still there.
  HttpClient back = app.join("?last_event_id=1&streams=requests");
  CHECK(back.read_until("\n\n").find(data_of("a", 1)) != std::string::npos);
  CHECK(back.read_until("\n\n").find("event: stream") != std::string::npos);
}

TEST_CASE("only what a reader has asked for counts against it", "[serve]") {
  App app;
  HttpClient samples = app.join("?events=stream&streams=other", "", 4'096);
  HttpClient windows = app.join("?events=window&windows=b", "", 4'096);
  // So much that both writes stall, and no more than is kept.
  constexpr int kLarge = 15;
  const std::string large = '"' + std::string(250 << 10, 'x') + '"';
  for (int i = 0; i < kLarge; ++i) {
    app.hub.feed(1).show({large});
    app.hub.process(window(kB, i, 1'000));
  }
  for (std::size_t i = 0; i < 2 * serve::LiveHub::kMessagesMax; ++i) {
    app.hub.feed(0).show({"1"});
    if (i < serve::LiveHub::kMessagesMax - kLarge) app.hub.process(window(kA, 1));
  }
  app.hub.feed(1).show({"2"});
  for (int i = 0; i < kLarge; ++i) {
    CHECK(samples.read_until("\n\n").find(sample("other", large, 0)) != std::string::npos);
    CHECK(windows.read_until("\n\n").find("\"window\":\"b\"") != std::string::npos);
  }
  CHECK(samples.read_until("\n\n").find(sample("other", "2", 0)) != std::string::npos);
  // Windows that it has not asked for may push out its place, as long as it has what it wants.
  for (std::size_t i = 0; i < 2 * serve::LiveHub::kMessagesMax; ++i) {
    app.hub.process(window(kA, 1));
  }
  app.hub.process(window(kB, 7));
  CHECK(windows.read_until("\n\n").find(data_of("b", 7)) != std::string::npos);
  CHECK(app.registry.value("streamobs_live_cut_off_total") == 0);
}

TEST_CASE("samples and results come in the order of their ids", "[serve]") {
  App app;
  HttpClient client = app.join("?streams=requests,other");
  std::vector<std::thread> writers;
  for (std::size_t t = 0; t < 3; ++t) {
    writers.emplace_back([&app, t] {
      for (int i = 0; i < 150; ++i) {
        if (t == 2) app.hub.process(window(kA, i));
        if (t < 2) app.hub.feed(t).show({std::to_string(i)});
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  std::uint64_t last = 0;
  int next[3] = {0, 0, 0};
  for (int i = 0; i < 450; ++i) {
    const std::string message = client.read_until("\n\n");
    const std::uint64_t id = std::stoull(App::id_of(message));
    REQUIRE(id > last);
    last = id;
    const bool is_window = message.find("event: window") != std::string::npos;
    const std::size_t from = is_window ? 2 : message.find("\"other\"") != std::string::npos ? 1 : 0;
    const int n = next[from]++;
    const std::string expected =
        is_window ? data_of("a", n)
                  : sample(from == 1 ? "other" : "requests", std::to_string(n), 0);
    REQUIRE(message.find(expected) != std::string::npos);
  }
}

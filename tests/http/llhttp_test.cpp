// The requests of llhttp's own test suite (Markdown with fenced requests and the parser's log),
// over real sockets: never a crash, never a hang, 400 where llhttp in its strict mode says error.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "http/server.h"
#include "support/catch.h"
#include "support/http_fixture.h"

namespace {

using namespace streamobs;  // NOLINT
using test::HttpClient;
using test::TestServer;

struct Sample {
  std::string name;
  std::string bytes;
  bool strict = false;  ///< Not one of llhttp's lenient modes.
  bool error = false;   ///< llhttp's log says so.
};

/// The escapes of llhttp's Markdown: \r \n \t \f, \xHH, octal, and a line's end joined by a
/// backslash.
std::string unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      if (text[i] == '\n') out += '\r';
      out += text[i];
      continue;
    }
    const char next = text[++i];
    if (next == 'r')
      out += '\r';
    else if (next == 'n')
      out += '\n';
    else if (next == 't')
      out += '\t';
    else if (next == 'f')
      out += '\f';
    else if (next == '\n')
      continue;
    else if (next == 'x' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else if (next >= '0' && next <= '7') {
      std::size_t length = 1;
      while (length < 3 && i + length < text.size() && text[i + length] >= '0' &&
             text[i + length] <= '7') {
        ++length;
      }
      out += static_cast<char>(std::stoi(text.substr(i, length), nullptr, 8));
      i += length - 1;
    } else {
      out += '\\';
      out += next;
    }
  }
  return out;
}

std::vector<Sample> read_samples(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<Sample> samples;
  std::string line;
  std::string heading;
  std::string meta;
  std::string block;
  std::string kind;
  while (std::getline(in, line)) {
    if (!kind.empty()) {
      if (line != "```") {
        block += line + "\n";
        continue;
      }
      if (kind == "http") {
        // The last line's end belongs to the fence.
        if (!block.empty()) block.pop_back();
        Sample sample;
        sample.name = file.filename().string() + ": " + heading;
        sample.bytes = unescape(block);
        sample.strict = meta.find("lenient") == std::string::npos &&
                        meta.find("\"request\"") != std::string::npos;
        samples.push_back(std::move(sample));
      } else if (kind == "log" && !samples.empty()) {
        samples.back().error = block.find(" error code=") != std::string::npos &&
                               block.find("error code=21") == std::string::npos &&  // Paused.
                               block.find("error code=22") == std::string::npos &&
                               block.find("error code=5 ") == std::string::npos;  // After a close.
      }
      kind.clear();
      block.clear();
      continue;
    }
    if (line.rfind("```", 0) == 0)
      kind = line.substr(3);
    else if (line.rfind("#", 0) == 0)
      heading = line;
    else if (line.find("meta=") != std::string::npos)
      meta = line;
  }
  return samples;
}

/// The request made one that we would serve, so that it is for its form alone that we refuse it: a
/// Host and a content type of ours, and a target that there is.
std::string made_welcome(std::string bytes) {
  for (const char* method : {"POST /", "PUT /"}) {
    const std::string_view start = method;
    if (bytes.rfind(start, 0) == 0)
      bytes.erase(start.size(), bytes.find(' ', start.size()) - start.size());
  }
  const auto set_field = [&bytes](const std::string& name, const std::string& value) {
    std::string lower = bytes;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const std::size_t at = lower.find("\r\n" + name + ":");
    const std::size_t line =
        at != std::string::npos ? at : bytes.find("\r\n", bytes.find_first_not_of("\r\n"));
    if (line == std::string::npos) return;
    const std::size_t end = at != std::string::npos ? bytes.find("\r\n", at + 2) : line;
    if (end != std::string::npos) bytes.replace(line, end - line, "\r\n" + name + ": " + value);
  };
  set_field("host", "localhost");
  set_field("content-type", "application/json");
  return bytes;
}

asio::awaitable<void> say_ok(http::Exchange& exchange) {
  exchange.respond(http::Response());
  co_return;
}

}  // namespace

TEST_CASE("llhttp's requests: no crash, no hang, 400 where it says error", "[http]") {
  const std::filesystem::path folder =
      std::filesystem::path(STREAMOBS_SOURCE_DIR) / "../shared/data/http/request";
  if (!std::filesystem::exists(folder)) {
    WARN("skipped: ../shared/data/http is not there");
    return;
  }
  http::Router router;
  http::RouteFlags ingest;
  ingest.ingest = true;
  router.add("POST", "/", ingest, say_ok);
  router.add("PUT", "/", ingest, say_ok);
  router.add("GET", "/", {}, say_ok);
  TestServer server(router);
  int errors = 0;
  int total = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    for (const Sample& sample : read_samples(entry.path())) {
      ++total;
      INFO(sample.name);
      const std::string bytes = made_welcome(sample.bytes);
      INFO(bytes);
      HttpClient client(server.port);
      client.send(bytes);
      client.finish_sending();
      // An answer or not, the connection comes to an end.
      const bool ended = client.wait_closed(std::chrono::milliseconds(8'000));
      CHECK(ended);
      if (!sample.strict || !sample.error) continue;
      ++errors;
      CHECK(client.received().find("HTTP/1.1 4") != std::string::npos);
    }
  }
  CHECK(total > 150);
  CHECK(errors > 50);
}

// [http]: limits, addresses, and secrets that no message shows.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <unistd.h>

#include "config/config.h"
#include "config/support.h"
#include "support/catch.h"

namespace streamobs::config {

TEST_CASE("limits without a limit are refused") {
  for (const char* line :
       {"body_bytes_max = 0", "body_bytes_max = -5", "body_bytes_max = \"unlimited\"",
        "body_bytes_max = \"99999999999GiB\"", "header_bytes_max = 1", "connections_max = 0",
        "connections_max = 1000000000", "header_timeout = \"0s\"", "header_timeout = \"10d\"",
        "body_rate_min = 0", "keep_alive_timeout = \"0s\"", "body_bytes_max = inf",
        "connections_max = 4\nlive_connections_max = 5"}) {
    INFO(line);
    CHECK(mentions(messages("[http]\n" + std::string(line) + "\n" + std::string(kMinimal)),
                   "error: "));
  }
  // Fewer connections than the default of live ones is no mistake of the user's.
  CHECK(parse_good("[http]\nconnections_max = 4\n" + std::string(kMinimal))
            .http.live_connections_max == 4);
}

TEST_CASE("only loopback is free of conditions") {
  ::setenv("STREAMOBS_TEST_TOKEN", "0123456789abcdef0123", 1);
  const auto http = [](const std::string& keys) {
    return messages("[http]\n" + keys + std::string("\n") + std::string(kMinimal));
  };
  const std::string token = "token=\"env:STREAMOBS_TEST_TOKEN\"\n";
  for (const char* address :
       {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:0", "[::ffff:127.0.0.1]:1"}) {
    INFO(address);
    CHECK_FALSE(mentions(http("listen=\"" + std::string(address) + "\""), "error"));
  }
  for (const char* address : {"0.0.0.0:1", "[::]:1", "192.168.1.1:1", "[::ffff:10.0.0.1]:1"}) {
    INFO(address);
    const std::string listen = "listen=\"" + std::string(address) + "\"\n";
    CHECK(mentions(http(listen), "there is no token"));
    CHECK(mentions(http(listen + token), "no TLS"));
    CHECK(mentions(http(listen + "insecure=true"), "there is no token"));
    CHECK_FALSE(mentions(http(listen + token + "insecure=true"), "error"));
  }
  for (const char* address :
       {"127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", ":8080", "::1:80", "1.2.3:80",
        "[127.0.0.1]:80", "example.com:80", "127.0.0.1:80x", "[::1]", "127.0.0.1: 80"}) {
    INFO(address);
    CHECK(mentions(http("listen=\"" + std::string(address) + "\""), "error: listen: "));
  }
}

TEST_CASE("--listen is held to the same rules") {
  Config config = parse_good(std::string(kMinimal));
  Diagnostics diagnostics;
  CHECK(set_listen(config, "127.0.0.1:0", diagnostics));
  CHECK(config.http.listen.text == "127.0.0.1:0");
  CHECK(diagnostics.empty());
  CHECK_FALSE(set_listen(config, "0.0.0.0:80", diagnostics));
  CHECK(mentions(to_text(diagnostics, false), "--listen: error: listen: 0.0.0.0"));
  set_data_dir(config, "/tmp/elsewhere");
  CHECK(config.store.path == "/tmp/elsewhere/streamobs.db");
}

TEST_CASE("secrets come from the environment or a file and are never shown") {
  const std::string secret = "s3cr3t-s3cr3t-s3cr3t";
  const auto http = [](const std::string& keys) {
    Diagnostics diagnostics;
    parse("[http]\n" + keys + "\n" + std::string(kMinimal), "test.toml", diagnostics);
    return to_text(diagnostics, false);
  };
  for (const std::string& line :
       {"token = \"" + secret + "\"", "tokn = \"" + secret + "\"", "token = \"" + secret,
        "token = '''\n" + secret, "token = [\"" + secret + "\"]", "auth_token = \"" + secret + "\"",
        "token = \"" + secret + "\" listen = 5", "token = " + secret, "Token: \"" + secret + "\"",
        "password = \"" + secret + "\"", "token = \"x\\q" + secret + "\""}) {
    INFO(line);
    const std::string text = http(line);
    CHECK(mentions(text, "error: "));
    CHECK_FALSE(mentions(text, secret));
  }
  const std::string inline_table = messages("http = { token = \"" + secret + "\", listen = 5 }\n");
  CHECK(mentions(inline_table, "listen: expected"));
  CHECK_FALSE(mentions(inline_table, secret));

  ::setenv("STREAMOBS_TEST_EMPTY", "", 1);
  CHECK(mentions(http("token=\"env:STREAMOBS_TEST_EMPTY\""), "is empty"));
  ::setenv("STREAMOBS_TEST_BAD", (secret + " \n").c_str(), 1);
  const std::string bad = http("token=\"env:STREAMOBS_TEST_BAD\"");
  CHECK(mentions(bad, "spaces, control"));
  CHECK_FALSE(mentions(bad, secret));

  const std::string path = "/tmp/streamobs_config_test_" + std::to_string(::getpid());
  std::ofstream(path) << secret << "\n";
  CHECK(parse_good("[http]\ntoken=\"file:" + path + "\"\n" + std::string(kMinimal)).http.token ==
        secret);
  std::ofstream(path, std::ios::trunc) << "\n";
  CHECK(mentions(http("token=\"file:" + path + "\""), "is empty"));
  std::ofstream(path, std::ios::trunc) << std::string(5000, 'x');
  CHECK(mentions(http("token=\"file:" + path + "\""), "longer than"));
  std::remove(path.c_str());
  CHECK(mentions(http("token=\"file:" + path + "\""), "cannot read the file"));
  CHECK(mentions(http("token=\"file:/tmp\""), "cannot read the file"));
  ::setenv("STREAMOBS_TEST_SHORT", "abc", 1);
  CHECK(mentions(http("token=\"env:STREAMOBS_TEST_SHORT\""), "warning: token"));
}

}  // namespace streamobs::config

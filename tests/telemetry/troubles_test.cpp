#include "telemetry/troubles.h"

#include <string>

#include "support/catch.h"

using namespace streamobs;
using telemetry::Troubles;
using Says = Troubles::Says;

namespace {

std::string last_of(const Troubles& troubles) {
  const auto told = troubles.last();
  return told ? told->error + "/" + told->advice + "/" + std::to_string(told->at / kSecond) : "";
}

}  // namespace

TEST_CASE("the newest trouble is told, but why goes before what follows from it") {
  Troubles troubles;
  CHECK(last_of(troubles).empty());
  troubles.tell("1/1 brokers are down", "up?", 10 * kSecond, Says::that);
  CHECK(last_of(troubles) == "1/1 brokers are down/up?/10");
  troubles.tell("connection refused", "up?", 11 * kSecond, Says::where);
  troubles.tell("wrong password", "user?", 12 * kSecond);
  CHECK(last_of(troubles) == "wrong password/user?/12");
  // The time says that it goes on.
  troubles.tell("connection refused", "up?", 13 * kSecond, Says::where);
  troubles.tell("1/1 brokers are down", "up?", 71 * kSecond, Says::that);
  CHECK(last_of(troubles) == "wrong password/user?/71");
  troubles.tell("connection refused", "up?", 72 * kSecond, Says::where);
  CHECK(last_of(troubles) == "connection refused/up?/72");
  troubles.tell("1/1 brokers are down", "up?", 80 * kSecond, Says::that);
  CHECK(last_of(troubles) == "connection refused/up?/80");
  troubles.tell("another host refuses", "up?", 81 * kSecond, Says::where);
  CHECK(last_of(troubles) == "another host refuses/up?/81");
  troubles.tell("no such topic", "make it", 82 * kSecond);
  troubles.tell("no right to read", "", 83 * kSecond);
  CHECK(last_of(troubles) == "no right to read//83");
}

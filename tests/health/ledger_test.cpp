#include "health/ledger.h"

#include "support/catch.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::health;  // NOLINT

CheckResult result(const char* check, const char* of, State state, Timestamp at) {
  CheckResult r;
  r.check = check;
  r.of = of;
  r.state = state;
  r.checked_at = at;
  return r;
}

TEST_CASE("the ledger knows since when a check is in its state", "[health]") {
  Ledger ledger;
  ledger.take(Ledger::Kind::quick, {result("freshness", "a", State::ok, 1)});
  ledger.take(Ledger::Kind::quick, {result("freshness", "a", State::ok, 2)});
  CHECK(ledger.all().at(0).since == 1);
  CHECK(ledger.all().at(0).checked_at == 2);
  ledger.take(Ledger::Kind::quick, {result("freshness", "a", State::failing, 3)});
  ledger.take(Ledger::Kind::quick, {result("freshness", "a", State::failing, 4)});
  CHECK(ledger.all().at(0).since == 3);
  // Another stream's is another check.
  ledger.take(Ledger::Kind::quick, {result("freshness", "b", State::failing, 5)});
  REQUIRE(ledger.all().size() == 1);
  CHECK(ledger.all().at(0).since == 5);
}

TEST_CASE("the ledger tells what has become bad and what is so no more", "[health]") {
  Ledger ledger;
  const auto told = [&ledger](State state) {
    return ledger.take(Ledger::Kind::quick, {result("disk", "", state, 1)}).size();
  };
  CHECK(told(State::no_data) == 0);
  CHECK(told(State::ok) == 0);
  CHECK(told(State::warning) == 1);
  CHECK(told(State::warning) == 0);
  CHECK(told(State::failing) == 1);
  CHECK(told(State::ok) == 1);
  CHECK(told(State::no_data) == 0);
  // What is bad at the first look is told, too.
  Ledger fresh;
  CHECK(fresh.take(Ledger::Kind::deep, {result("database", "", State::failing, 1)}).size() == 1);
}

TEST_CASE("the worst stand first, and kinds of checks do not displace one another", "[health]") {
  Ledger ledger;
  ledger.take(Ledger::Kind::quick,
              {result("a", "", State::no_data, 1), result("b", "", State::ok, 1)});
  ledger.take(Ledger::Kind::deep,
              {result("c", "", State::warning, 1), result("d", "", State::failing, 1)});
  ledger.take(Ledger::Kind::quick,
              {result("a", "", State::ok, 2), result("b", "", State::failing, 2)});
  std::string order;
  for (const CheckResult& check : ledger.all()) order += check.check;
  CHECK(order == "bdca");
  CHECK(worst_of(ledger.all()) == State::failing);
  CHECK(worst_of({}) == State::no_data);
  CHECK(worst_of({result("a", "", State::no_data, 1), result("b", "", State::ok, 1)}) == State::ok);
}

TEST_CASE("states are read as they are written", "[health]") {
  for (const State state : {State::no_data, State::ok, State::warning, State::failing}) {
    CHECK(parse_state(to_text(state)) == state);
  }
  CHECK_FALSE(parse_state("fine"));
}

}  // namespace

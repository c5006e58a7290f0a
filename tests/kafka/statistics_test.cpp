#include "kafka/statistics.h"

#include "support/catch.h"

using namespace streamobs;

TEST_CASE("statistics: brokers are read out of librdkafka's statistics") {
  const auto brokers = kafka::brokers_of(R"({"brokers":{
      "b:1/bootstrap":{"name":"b:1/bootstrap","nodeid":-1,"state":"UP","toppars":{}},
      "b:1/7":{"name":"b:1/7","nodeid":7,"state":"UP","rtt":{"avg":2500},
               "toppars":{"t-0":{"topic":"t","partition":0}}},
      "TxnCoordinator":{"name":"TxnCoordinator","nodeid":7,"source":"logical","state":"UP","toppars":{}},
      "b:2/8":{"name":"b:2/8","nodeid":8,"state":"TRY_CONNECT","rtt":{"avg":0},"toppars":{}}}})");
  REQUIRE(brokers.has_value());
  REQUIRE(brokers->size() == 2);
  CHECK((*brokers)[0].name == "b:1/7");
  CHECK((*brokers)[0].up);
  CHECK((*brokers)[0].in_use);
  CHECK((*brokers)[0].round_trip_seconds == 0.0025);
  CHECK_FALSE((*brokers)[1].up);
  CHECK_FALSE((*brokers)[1].in_use);
  CHECK_FALSE(kafka::brokers_of("no json").has_value());
  CHECK_FALSE(kafka::brokers_of("{}").has_value());
}

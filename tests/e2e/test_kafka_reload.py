"""Reloads between a topic and a topic, against a real broker: the source goes on where it was, with and
without a consumer group, and every result goes out once."""

import json
import os

import pytest

from harness import Streamobs
from kafka_broker import Broker
from kafka_orders import Orders, check, wait_for_outbox, wait_for_rows

CONFIG = """
%(instance)s
[source.orders]
type = "kafka"
brokers = "%(broker)s"
topics = ["%(topic)s"]
%(group)s
[stream.orders]
time = "t"
idle_timeout = "1h"
fields = { id = "string", shop = "string", n = "int" }
[window.per_minute]
size = "1m"
by = ["shop"]
select = { events = "count(*)", total = "sum(n)" }
[sink.out]
type = "kafka"
brokers = "%(broker)s"
from = "per_minute"
topic = "%(topic)s-out"
key = ["shop"]
"""
OTHER = """
[window.all]
from = "orders"
size = "5m"
select = { events = "count(*)" }
"""


@pytest.fixture(scope="module")
def broker():
    with Broker() as running:
        yield running


def reload(engine, text):
    (engine.directory / "next.toml").write_text(text)
    os.replace(engine.directory / "next.toml", engine.directory / "obs.toml")
    return engine.request("POST", "/-/reload")


@pytest.mark.parametrize("group", [False, True])
def test_a_topic_is_read_on_and_results_go_out_once(broker, group):
    topic = "grouped" if group else "alone"
    broker.create(topic, partitions=1)
    broker.create(f"{topic}-out", partitions=2)
    text = CONFIG % {"broker": broker.address, "topic": topic,
                     "instance": 'instance = "a"' if group else "",
                     "group": 'group = "g"' if group else ""}
    orders = Orders(seed=7)
    with Streamobs(text) as engine:
        for i in range(12):
            broker.produce(topic, [json.dumps(event).encode() for event in orders.next(200)], 0)
            if i % 2:
                reply = reload(engine, text + (OTHER if i % 4 == 1 else ""))
                assert reply.status == 200, reply.body
        wait_for_rows(engine, orders)
        wait_for_outbox(engine)
        check(broker, f"{topic}-out", orders)
        assert engine.get("/api/v1/pipeline").json()["config"]["reloads"] == 6
        assert engine.stop() == 0

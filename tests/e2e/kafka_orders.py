"""Orders by the minute, the topic that their results go to, and what a reader of it must find."""

import collections
import json
import random
from datetime import datetime, timezone

CONFIG = """
[wal]
checkpoint_every = "2s"
[stream.orders]
time = "t"
id = "id"
fields = { id = "string", shop = "string", n = "int" }
[window.per_minute]
size = "1m"
by = ["shop"]
select = { events = "count(*)", total = "sum(n)" }
"""
SINK = """
[sink.out]
type = "kafka"
brokers = "%s"
from = "per_minute"
topic = "%s"
%s
"""
START = 1_767_960_000  # 2026-01-09T12:00:00Z


def config(broker, topic, extra=""):
    address = broker if isinstance(broker, str) else broker.address
    return CONFIG + SINK % (address, topic, extra)


def stamp(second):
    return datetime.fromtimestamp(START + second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Orders:
    """Events minute by minute, and what they come to."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.minute = 0
        self.count = 0
        self.expected = collections.defaultdict(lambda: [0, 0])

    def next(self, events=40):
        """A minute's events; the first of them closes the minute before."""
        made = []
        for i in range(events):
            self.count += 1
            shop, n = self.random.choice("abc"), self.random.randrange(1000)
            second = self.minute * 60 + i * 60 // events
            made.append({"id": str(self.count), "t": stamp(second), "shop": shop, "n": n})
            self.expected[stamp(self.minute * 60), shop][0] += 1
            self.expected[stamp(self.minute * 60), shop][1] += n
        self.minute += 1
        return made

    def closed(self):
        """Results of all minutes but the newest, which is still open."""
        newest = stamp((self.minute - 1) * 60)
        return {key: value for key, value in self.expected.items() if key[0] != newest}


def read(broker, topic):
    """What a reader of committed messages sees: (key, value) of each, in a partition's order."""
    done = broker.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-X",
                       "isolation.level=read_committed", "-f", "%k\\t%s\\n")
    return [line.split("\t", 1) for line in done.stdout.decode().splitlines()]


def check(broker, topic, orders):
    """Each result once, under its key, with the right values; and a key's in the order of time."""
    messages = read(broker, topic)
    rows = [(key, json.loads(value)) for key, value in messages]
    found = collections.Counter((row["window_start"], row["shop"]) for _, row in rows)
    assert [key for key, count in found.items() if count != 1] == []
    assert {(row["window_start"], row["shop"]): [row["events"], row["total"]]
            for _, row in rows} == orders.closed()
    assert all(key == row["shop"] and row["closed"] and row["revision"] == 0 for key, row in rows)
    for shop in "abc":
        times = [row["window_start"] for key, row in rows if key == shop]
        assert times == sorted(times)


def wait_for_outbox(engine, seconds=60):
    def empty():
        sink = engine.get("/api/v1/pipeline").json()["sinks"][0]
        return sink["outbox_rows"] == 0 and sink["state"] == "waiting"
    engine.wait(empty, "the outbox to be empty", seconds=seconds)


def wait_for_rows(engine, orders):
    engine.wait(lambda: len(engine.closed("per_minute")) == len(orders.closed()), "the windows",
                seconds=60)


def post(engine, events):
    """Until it is taken: what is sent twice has the same ids."""
    try:
        return engine.post("orders", events).status == 200
    except OSError:
        return False


def sink_state(engine):
    return engine.get("/api/v1/pipeline").json()["sinks"][0]["state"]

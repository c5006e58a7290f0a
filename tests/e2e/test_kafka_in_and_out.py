"""From a topic into a topic, against a real broker: an outside client (kcat) produces all the while,
streamobs counts, its results go out; streamobs dies at random moments and at each named place, the
broker too. In the end the windows and the output topic, read with read_committed, are what an
independent computation makes of the events: each result once, with the right value.

In the environment, for the long run (tests/crash/README.md):
STREAMOBS_KAFKA_EVENTS=2000000 STREAMOBS_KAFKA_KILLS=100 STREAMOBS_KAFKA_BROKER_DEATHS=20
(a quarter of these where the source is in a consumer group)
STREAMOBS_KAFKA_PLACE_DEATHS=10 (at each place; without it once at a few of them), STREAMOBS_KAFKA_SEED.
"""

import collections
import concurrent.futures
import json
import os
import random
import signal
import subprocess
import threading
import time
from datetime import datetime, timezone

import pytest

from harness import Streamobs
from kafka_broker import Broker

EVENTS = int(os.environ.get("STREAMOBS_KAFKA_EVENTS", 60_000))
KILLS = int(os.environ.get("STREAMOBS_KAFKA_KILLS", 6))
BROKER_DEATHS = int(os.environ.get("STREAMOBS_KAFKA_BROKER_DEATHS", 1))
PLACE_DEATHS = int(os.environ.get("STREAMOBS_KAFKA_PLACE_DEATHS", 0))
SEED = int(os.environ.get("STREAMOBS_KAFKA_SEED", 1))

PARTITIONS = 4
SHOPS = [f"shop-{i}" for i in range(8)]
MINUTE_EVENTS = 1000
START = 1_767_960_000  # 2026-01-09T12:00:00Z
CONFIG = """
instance = "a"
[source.orders]
type = "kafka"
brokers = "%(brokers)s"
topics = ["%(topic)s"]
%(source)s
[wal]
checkpoint_every = "1s"
[stream.orders]
time = "t"
fields = { shop = "string", n = "int" }
idle_timeout = "1h"
[window.per_minute]
size = "1m"
by = ["shop"]
allowed_lateness = "%(lateness)s"
select = { events = "count(*)", total = "sum(n)", least = "min(n)", most = "max(n)" }
[sink.out]
type = "kafka"
brokers = "%(brokers)s"
from = "per_minute"
topic = "%(topic)s-out"
key = ["shop"]
"""
GROUP = """group = "%s"
options = { "session.timeout.ms" = 6000, "heartbeat.interval.ms" = 500 }"""
PLACES = ["log.before_append", "log.before_sync", "log.after_sync", "checkpoint.before_save",
          "checkpoint.after_save", "recovery.record", "store.before_commit", "store.after_commit",
          "sink.before_produce", "sink.before_commit", "sink.after_commit", "sink.after_remove",
          "file.write", "file.sync_data", "file.allocate", "file.rename", "file.remove",
          "file.sync_directory"]
GROUP_PLACES = ["group.before_commit", "group.after_commit"]


@pytest.fixture(scope="module")
def broker():
    with Broker({"group.initial.rebalance.delay.ms": 0}) as running:
        yield running


def stamp(second):
    return datetime.fromtimestamp(START + second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def config_for(broker, topic, grouped):
    # Of a group's member that has died Kafka keeps the partitions for its session: what comes of
    # them then lags behind what the next life has read of the others meanwhile.
    return CONFIG % {"brokers": broker.address, "topic": topic,
                     "source": GROUP % topic if grouped else "",
                     "lateness": "20h" if grouped else "0s"}


class Load:
    """One kcat a partition that lives as long as this, and a thread that feeds them, in the order of
    the events' time, as many events as have been allowed, not faster than `rate`."""

    def __init__(self, broker, topic, seed, rate=20_000):
        self.random = random.Random(seed)
        self.rate = rate
        self.sent = self.allowed = 0
        self.expected = {}
        self.more = threading.Condition()
        self.finished = False
        self.clients = [subprocess.Popen(
            ["kcat", "-b", broker.address, "-P", "-E", "-q", "-t", topic, "-p", str(partition), "-X",
             "enable.idempotence=true", "-X", "message.timeout.ms=600000", "-X", "linger.ms=5"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for partition in range(PARTITIONS)]
        self.thread = threading.Thread(target=self.feed, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.kill()
            client.wait()

    def allow(self, count):
        with self.more:
            self.allowed += count
            self.more.notify()

    def feed(self):
        next_at = time.monotonic()
        while True:
            with self.more:
                self.more.wait_for(lambda: self.sent < self.allowed or self.finished)
                count = min(self.allowed - self.sent, self.rate // 50)
            if count == 0:
                break
            next_at = max(next_at + count / self.rate, time.monotonic() - 1)
            self.write(self.make(count))
            self.sent += count
            time.sleep(max(0, next_at - time.monotonic()))
        # An event that closes all before it, in each partition.
        self.write([[json.dumps({"t": stamp(self.sent // MINUTE_EVENTS * 60 + 86400), "shop": "closing",
                                 "n": 0})]] * PARTITIONS)
        for client in self.clients:
            client.stdin.close()

    def make(self, count):
        lines = [[] for _ in range(PARTITIONS)]
        for i in range(self.sent, self.sent + count):
            shop, n = self.random.choice(SHOPS), self.random.randrange(1_000_000)
            minute, second = divmod(i * 60 // MINUTE_EVENTS, 60)
            lines[self.random.randrange(PARTITIONS)].append(
                f'{{"t":"{stamp(minute * 60 + second)}","shop":"{shop}","n":{n}}}')
            row = self.expected.setdefault((stamp(minute * 60), shop), [0, 0, n, n])
            row[0] += 1
            row[1] += n
            row[2] = min(row[2], n)
            row[3] = max(row[3], n)
        return lines

    def write(self, lines):
        for client, part in zip(self.clients, lines):
            client.stdin.write("".join(line + "\n" for line in part).encode())
            client.stdin.flush()

    def finish(self):
        with self.more:
            self.finished = True
            self.more.notify()
        self.thread.join(timeout=300)
        assert [client.wait(timeout=600) for client in self.clients] == [0] * PARTITIONS


def kill(engine):
    engine.process.send_signal(signal.SIGKILL)
    engine.process.wait()


def closed(engine):
    return {(row["window_start"], row["shop"]): [row["events"], row["total"], row["least"], row["most"]]
            for row in engine.closed("per_minute")}


def read(broker, topic, level="read_committed"):
    done = broker.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X",
                       f"isolation.level={level}", "-f", "%k\\t%s\\n")
    return [line.split("\t", 1) for line in done.stdout.decode().splitlines()]


def check(broker, engine, topic, load):
    assert len(read(broker, topic)) == load.sent + PARTITIONS  # What kcat has said it has sent.
    engine.wait(lambda: engine.metric("streamobs_kafka_lag_messages") == 0
                and engine.metric("streamobs_kafka_messages_total") > 0, "all to be read", seconds=120)
    engine.wait(lambda: len(engine.closed("per_minute", metrics="events")) >= len(load.expected),
                "the windows", seconds=120)

    def empty():
        sink = engine.get("/api/v1/pipeline").json()["sinks"][0]
        return sink["outbox_rows"] == 0 and sink["state"] == "waiting"
    engine.wait(empty, "the outbox to be empty", seconds=120)
    assert closed(engine) == load.expected
    assert engine.get("/api/v1/dead-letters").json()["counts"] == []  # None was late, in any life.
    assert engine.stop() == 0
    rows = [(key, json.loads(value)) for key, value in read(broker, topic + "-out")]
    found = collections.Counter((row["window_start"], row["shop"]) for _, row in rows)
    assert [key for key, count in found.items() if count != 1] == []
    assert {(row["window_start"], row["shop"]): [row["events"], row["total"], row["least"], row["most"]]
            for _, row in rows} == load.expected
    assert all(key == row["shop"] and row["closed"] and row["revision"] == 0 for key, row in rows)
    aborted = len(read(broker, topic + "-out", "read_uncommitted")) - len(rows)
    for shop in SHOPS:
        times = [row["window_start"] for key, row in rows if key == shop]
        assert times == sorted(times)
    return f"{load.sent} events, {len(rows)} results, {aborted} more in aborted transactions, seed {SEED}"


@pytest.mark.parametrize("grouped", [False, True])
def test_killed_at_random_and_the_broker_too(broker, grouped):
    topic = f"random-{grouped}"
    broker.create(topic, partitions=PARTITIONS)
    broker.create(topic + "-out", partitions=3)
    # Each death in a group takes its six seconds.
    kills, broker_deaths = (KILLS // 4, BROKER_DEATHS // 4) if grouped else (KILLS, BROKER_DEATHS)
    draw = random.Random(SEED)
    with_broker = set(draw.sample(range(kills), broker_deaths))
    while_starting = while_away = 0
    begun = time.monotonic()
    config = config_for(broker, topic, grouped)
    with Load(broker, topic, SEED) as load, Streamobs(config) as engine, \
            concurrent.futures.ThreadPoolExecutor(1) as beside:
        killed = 0
        while killed < kills:
            load.allow(EVENTS * (killed + 1) // kills - load.allowed)
            up = None
            if killed in with_broker:
                time.sleep(draw.uniform(0, 1))
                broker.kill()
                up = beside.submit(broker.start)
            # The moment is what is random: also while the broker is away, and when it is back.
            time.sleep(draw.uniform(0, 10 if up or grouped else 1.5))
            while_away += up is not None and not up.done()
            kill(engine)
            killed += 1
            while killed < kills and killed not in with_broker and draw.random() < 0.2:
                engine.spawn()
                time.sleep(draw.uniform(0, 0.2))
                while_starting += engine.find_url() is None
                kill(engine)
                killed += 1
            engine.start()
            if up:
                up.result()
        load.allow(EVENTS - load.allowed)
        load.finish()
        told = check(broker, engine, topic, load)
    print(f"{told}: {killed} kills, {while_starting} "
          f"of them before it listened, {while_away} while the broker was away; {broker_deaths} "
          f"deaths of the broker; {time.monotonic() - begun:.0f} s")


def die_at(engine, load, place, count):
    """Whether it died there; else it is killed."""
    engine.spawn(STREAMOBS_FAILPOINT=f"{place}:{count}")
    deadline = time.monotonic() + 20
    listens = False
    while engine.process.poll() is None and time.monotonic() < deadline:
        # What happens while it starts does not come later.
        listens = listens or "listening on" in engine.messages()[engine.life_from:]
        if listens and place == "recovery.record":
            break
        if load.allowed - load.sent < 200:
            load.allow(200)
        time.sleep(0.02)
    died = engine.process.poll() is not None
    kill(engine)
    assert engine.process.returncode == -signal.SIGKILL, engine.messages()[-3000:]
    return died


@pytest.mark.parametrize("grouped", [False, True])
def test_killed_at_each_place(broker, grouped):
    topic = f"places-{grouped}"
    broker.create(topic, partitions=PARTITIONS)
    broker.create(topic + "-out", partitions=3)
    draw = random.Random(SEED)
    deaths = collections.Counter()
    with Load(broker, topic, SEED, rate=5000) as load, \
            Streamobs(config_for(broker, topic, grouped)) as engine:
        kill(engine)
        places = GROUP_PLACES if grouped else PLACES if PLACE_DEATHS else draw.sample(PLACES, 4)
        for place in places:
            wanted = PLACE_DEATHS or 1
            for _ in range(3 * wanted):
                deaths[place] += die_at(engine, load, place, draw.randrange(1, 5))
                if deaths[place] == wanted:
                    break
            assert deaths[place] == wanted, deaths
        engine.start()
        load.finish()
        print(f"{check(broker, engine, topic, load)}: {dict(deaths)}")

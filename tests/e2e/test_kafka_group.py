"""Sources in a consumer group: two instances share a topic, against a real broker.

What is to hold, whoever joins, leaves, dies or sleeps: the rows of all instances add up to what is
in the topic. STREAMOBS_GROUP_ROUNDS says how often each of it happens (20 for the long run).
"""

import collections
import contextlib
import json
import os
import random
import signal
import time

import pytest

from harness import Streamobs, run
from kafka_broker import Broker
from tcp_proxy import TcpProxy

ROUNDS = int(os.environ.get("STREAMOBS_GROUP_ROUNDS", "1"))
SESSION = 6  # Seconds: the least that brokers allow.

CONFIG = """
instance = "%(instance)s"
[source.orders]
type = "kafka"
brokers = "%(brokers)s"
topics = ["%(topic)s"]
group = "%(topic)s-readers"
options = { "session.timeout.ms" = 6000, "heartbeat.interval.ms" = 500, \
            "fetch.message.max.bytes" = 20000 }
%(extra)s
[wal]
checkpoint_every = "1s"
%(wal)s
[stream.orders]
time = "t"
fields = { shop = "string", n = "int" }
idle_timeout = "10m"
[window.per_hour]
size = "1h"
by = ["shop"]
allowed_lateness = "1d"
emit_every = "100ms"
select = { events = "count(*)", total = "sum(n)" }
"""


@pytest.fixture(scope="module")
def proxy():
    with TcpProxy(None) as running:
        yield running


@pytest.fixture(scope="module")
def broker(proxy):
    # Members that die are missed after their session; nobody waits for those that come.
    with Broker({"group.initial.rebalance.delay.ms": 0}, proxy=proxy) as running:
        yield running


def config(broker, topic, instance, extra="", wal=""):
    return CONFIG % {"brokers": broker if isinstance(broker, str) else broker.address, "topic": topic, "instance": instance,
                     "extra": extra, "wal": wal}


class Load:
    """Events that come without end, until enough: each of a number of its own, so that what is
    missing or there twice shows in the sum."""

    def __init__(self, broker, topic, partitions, seed=1):
        self.broker, self.topic, self.partitions = broker, topic, partitions
        self.random = random.Random(seed)
        self.sent = 0
        self.expected = collections.defaultdict(lambda: [0, 0])
        self.clients = []

    def send(self, count):
        """Some in the background, over all partitions."""
        for partition in range(self.partitions):
            messages = []
            for _ in range(count // self.partitions):
                self.sent += 1
                shop = self.random.choice("abc")
                messages.append(json.dumps({"t": f"2026-01-09T12:{self.random.randrange(60):02}:00Z",
                                            "shop": shop, "n": self.sent}).encode())
                self.expected[shop][0] += 1
                self.expected[shop][1] += self.sent
            self.clients.append(self.broker.produce_in_background(self.topic, messages, partition))

    def all_sent(self):
        assert [client.wait(timeout=120) for client in self.clients] == [0] * len(self.clients)
        self.clients = []
        return dict(self.expected)


def added(*engines):
    total = collections.defaultdict(lambda: [0, 0])
    for engine in engines:
        for row in engine.windows("per_hour"):
            total[row["shop"]][0] += row["events"]
            total[row["shop"]][1] += row["total"]
    return dict(total)


def wait_for(engines, expected, seconds=90):
    with contextlib.suppress(AssertionError):
        engines[0].wait(lambda: added(*engines) == expected, "the sums", seconds=seconds)
    assert added(*engines) == expected, [(detail(e), e.messages()[-3000:]) for e in engines]
    assert all(engine.metric("streamobs_late_events_total") == 0 for engine in engines)


def detail(engine):
    sources = engine.get("/api/v1/pipeline").json()["sources"]
    return next(s for s in sources if s["source"] == "orders")["detail"]


def assigned(engine):
    """How many partitions it has; -1 while its group is sharing them out."""
    if "generation" not in detail(engine):
        return -1
    return int(engine.metric("streamobs_kafka_group_partitions"))


def shared(partitions, *engines):
    parts = [assigned(engine) for engine in engines]
    return -1 not in parts and sum(parts) == partitions


def kill(engine):
    engine.process.send_signal(signal.SIGKILL)
    engine.process.wait()


def test_two_instances_share_a_topic(broker):
    broker.create("shared", partitions=4)
    load = Load(broker, "shared", 4)
    with Streamobs(config(broker, "shared", "a")) as a:
        a.wait(lambda: assigned(a) == 4, "all partitions")
        load.send(8000)
        wait_for([a], load.all_sent())
        with Streamobs(config(broker, "shared", "b")) as b:
            b.wait(lambda: assigned(a) == assigned(b) == 2, "half of them each")
            load.send(8000)
            wait_for([a, b], load.all_sent())
            assert {row["instance"] for row in a.windows("per_hour")} == {"a"}
            assert {row["instance"] for row in b.windows("per_hour")} == {"b"}
            assert sum(row["events"] for row in b.windows("per_hour")) == 4000
            assert "2 partitions, " in detail(b)
            assert "; b in group shared-readers, generation " in detail(b)
            topics = b.get("/api/v1/pipeline").json()["sources"][0]["topics"]
            assert len(topics["partitions"]) == 2
            group = topics["group"]
            assert (group["group"], group["instance"], group["state"]) == (
                "shared-readers", "b", "member")
            assert group["generation"] > 0 and group["proposed_ranges"] > 0
            assert group["discarded_ranges"] == group["refused_commits"] == 0
            assert a.stop() == 0
            # Who leaves says so: nobody waits for its session to end.
            b.wait(lambda: assigned(b) == 4, "the others' partitions", seconds=SESSION - 1)
            load.send(8000)
            expected = load.all_sent()
            a.start()
            wait_for([a, b], expected)
            assert a.stop() == 0
            assert b.stop() == 0


MANY = """
instance = "%s"
[source.orders]
type = "kafka"
brokers = "%s"
topics = ["sketched"]
group = "sketched"
[stream.orders]
time = "t"
fields = { shop = "string", n = "float" }
idle_timeout = "1s"
[window.per_hour]
size = "1h"
by = ["shop"]
select = { events = "count(*)", total = "sum(n)", least = "min(n)", mean = "avg(n)", p90 = "quantile(n, 0.9)" }
"""


def test_rows_of_several_instances_add_up(broker):
    """Also averages and quantiles: by the command that docs/store.md shows."""
    broker.create("sketched", partitions=2)
    values = list(range(1, 2001))
    random.Random(8).shuffle(values)
    with Streamobs(MANY % ("a", broker.address)) as a, Streamobs(MANY % ("b", broker.address)) as b:
        a.wait(lambda: assigned(a) == assigned(b) == 1, "one partition each")
        for partition in range(2):
            # Of unequal weight, so that a mean of means or of quantiles is another number.
            part = [v for v in values if (v > 1500) == (partition == 1)]
            broker.produce("sketched", [json.dumps(
                {"t": f"2026-01-09T12:{v % 60:02}:00Z", "shop": "x", "n": v}).encode()
                for v in part], partition)
        for engine in (a, b):
            engine.wait(lambda: engine.closed("per_hour"), "the hour to close")
        assert {r["instance"] for e in (a, b) for r in e.closed("per_hour")} == {"a", "b"}
        done = run("rows", "per_hour", a.data_dir, b.data_dir, "--config",
                   a.directory / "obs.toml", "--quantile", "n:0.5")
        (row,) = [json.loads(line) for line in done.stdout.splitlines()]
        assert "instance" not in row and row["closed"] and row["shop"] == "x"
        assert (row["events"], row["total"], row["least"]) == (2000, sum(values), 1)
        assert row["mean"] == pytest.approx(1000.5)
        assert row["p90"] == pytest.approx(1800, rel=0.011)
        assert row["n:0.5"] == pytest.approx(1000, rel=0.011)
        kept = run("rows", "per_hour", a.data_dir, b.data_dir, "--config", a.directory / "obs.toml",
                   "--by", "instance").stdout.splitlines()
        assert sorted(json.loads(line)["instance"] for line in kept) == ["a", "b"]
        failed = run("rows", "per_hour", "/nowhere", "--config", a.directory / "obs.toml",
                     check=False)
        assert failed.returncode == 78 and "/nowhere" in failed.stderr


def test_members_that_come_and_go_under_load(broker):
    broker.create("churn", partitions=4)
    load = Load(broker, "churn", 4, seed=2)
    with Streamobs(config(broker, "churn", "a")) as a, Streamobs(config(broker, "churn", "b")) as b:
        for _ in range(ROUNDS):
            load.send(8000)
            a.wait(lambda: shared(4, a, b), "both to have some")
            assert b.stop() == 0
            load.send(8000)
            a.wait(lambda: assigned(a) == 4, "all of them", seconds=SESSION - 1)
            b.start()
        wait_for([a, b], load.all_sent())
        assert a.metric("streamobs_kafka_group_rebalances_total") >= ROUNDS
        # Who is asked to give its partitions up may finish what it has begun.
        assert a.metric("streamobs_kafka_group_discarded_ranges_total") == 0


def test_members_that_are_killed(broker):
    """At any moment: also between the log and the commit, and the commit and what is counted."""
    broker.create("killed", partitions=4)
    load = Load(broker, "killed", 4, seed=3)
    random_ = random.Random(5)
    with Streamobs(config(broker, "killed", "a")) as a, Streamobs(config(broker, "killed", "b")) as b:
        for round_ in range(ROUNDS):
            engine = (a, b)[round_ % 2]
            before = engine.metric("streamobs_kafka_messages_total")
            load.send(40_000)
            some = random_.randrange(1, 4000)
            engine.wait(lambda: engine.metric("streamobs_kafka_messages_total") >= before + some
                        or all(c.poll() is not None for c in load.clients), "some of the messages")
            kill(engine)
            if random_.random() < 0.5:  # Else it is back before anybody has missed it.
                other = (b, a)[round_ % 2]
                other.wait(lambda: assigned(other) == 4, "the others' partitions")
            engine.start()
            a.wait(lambda: shared(4, a, b), "both to have some")
        wait_for([a, b], load.all_sent())


def test_a_zombie_changes_nothing(broker):
    broker.create("zombie", partitions=4)
    load = Load(broker, "zombie", 4, seed=4)
    with Streamobs(config(broker, "zombie", "a")) as a, Streamobs(config(broker, "zombie", "b")) as b:
        for round_ in range(ROUNDS):
            zombie, other = ((a, b), (b, a))[round_ % 2]
            a.wait(lambda: shared(4, a, b), "both to have some")
            before = zombie.metric("streamobs_kafka_messages_total")
            load.send(40_000)
            # In the middle of it: what it has read and not committed comes to the group too late.
            some = before + load.random.randrange(1, 8000)
            zombie.wait(lambda: zombie.metric("streamobs_kafka_messages_total") >= some
                        or all(c.poll() is not None for c in load.clients), "some of the messages")
            zombie.process.send_signal(signal.SIGSTOP)
            other.wait(lambda: assigned(other) == 4, "the zombie's partitions", seconds=60)
            load.send(8000)
            if round_ % 4 >= 2:  # The group is left without a member when the zombie wakes.
                kill(other)
                time.sleep(SESSION + 2)
            zombie.process.send_signal(signal.SIGCONT)
            if round_ % 4 >= 2:
                other.start()
        wait_for([a, b], load.all_sent())


def test_a_commit_that_comes_too_late(broker, proxy):
    """It is held up on its way until others have the partitions: the broker itself refuses it."""
    broker.create("held", partitions=2)
    load = Load(broker, "held", 2, seed=9)
    with Streamobs(config(proxy.address, "held", "a")) as a:
        a.wait(lambda: assigned(a) == 2, "all partitions")
        proxy.delay(0.05)  # Nearly always one is on its way.
        load.send(40_000)
        a.wait(lambda: a.metric("streamobs_kafka_messages_total") > 500, "some of the messages")
        proxy.stall()
        with Streamobs(config(broker, "held", "b")) as b:

            def refused():
                return a.metric("streamobs_kafka_group_refused_commits_total",
                                error="UNKNOWN_MEMBER_ID")

            for _ in range(5):
                b.wait(lambda: assigned(b) == 2, "the partitions")
                proxy.go_on()
                wait_for([a, b], load.all_sent())
                if refused():
                    break
                # None was on its way when it was stalled: once more.
                b.wait(lambda: assigned(a) == assigned(b) == 1, "it to have joined again")
                read = a.metric("streamobs_kafka_messages_total")
                load.send(40_000)
                a.wait(lambda: a.metric("streamobs_kafka_messages_total") > read + 500, "some more")
                proxy.stall()
            assert refused() > 0
            assert a.metric("streamobs_kafka_group_discarded_events_total") > 0
            assert "the group has refused a commit" in a.messages()
            b.wait(lambda: assigned(a) == assigned(b) == 1, "it to have joined again")


def failing(engine, place):
    """Starts it, to die where it comes to that place."""
    os.environ["STREAMOBS_FAILPOINT"] = place
    try:
        engine.start()
    finally:
        del os.environ["STREAMOBS_FAILPOINT"]


@pytest.mark.parametrize("place", ["group.before_commit", "group.after_commit", "log.after_sync"])
def test_killed_where_it_matters(broker, place):
    """What a crash leaves undecided the group decides, also when others have the partition."""
    topic = "dies-" + place.replace(".", "-")
    broker.create(topic, partitions=2)
    load = Load(broker, topic, 2, seed=6)
    with Streamobs(config(broker, topic, "a")) as a:
        a.wait(lambda: assigned(a) == 2, "all partitions")
        assert a.stop() == 0
        load.send(20_000)
        failing(a, place if place.startswith("group") else f"{place}:3")
        a.process.wait(timeout=60)
        with Streamobs(config(broker, topic, "b")) as b:
            load.send(20_000)
            b.wait(lambda: assigned(b) == 2, "the dead one's partitions")
            expected = load.all_sent()
            b.wait(lambda: b.metric("streamobs_kafka_lag_messages") == 0
                   and b.metric("streamobs_kafka_messages_total") > 0, "it to be read")
            a.start()
            wait_for([a, b], expected)
            if place.startswith("group."):
                a.wait(lambda: "was asked about what was proposed" in a.messages(), "the question")
                wait_for([a, b], expected)
            assert a.stop() == 0


def test_a_broker_that_dies_while_two_share_it(broker):
    broker.create("mortal", partitions=4)
    load = Load(broker, "mortal", 4, seed=7)
    with Streamobs(config(broker, "mortal", "a")) as a, Streamobs(config(broker, "mortal", "b")) as b:
        a.wait(lambda: shared(4, a, b), "both to have some")
        for _ in range(ROUNDS):
            load.all_sent()
            load.send(40_000)
            time.sleep(load.random.uniform(0, 0.5))  # The moment is what is random.
            broker.kill()
            broker.start()
        load.send(8000)
        wait_for([a, b], load.all_sent(), seconds=180)

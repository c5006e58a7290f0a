"""type = "kafka" as a source, against a real broker (tests/kafka/pom.xml), kcat as the client."""

import collections
import json
import random
import re
import signal
from datetime import datetime, timezone

import pytest

from harness import Streamobs, run
from kafka_broker import Broker, free_ports

CONFIG = """
[source.orders]
type = "kafka"
brokers = "%(brokers)s"
topics = %(topics)s
%(extra)s
[wal]
checkpoint_every = "2s"
[stream.orders]
time = "t"
fields = { shop = "string", n = "int" }
idle_timeout = "%(idle)s"
[window.per_minute]
size = "1m"
by = ["shop"]
select = { events = "count(*)", total = "sum(n)" }
"""
START = 1_767_960_000  # 2026-01-09T12:00:00Z


def config(broker, topics=("orders",), extra="", idle="10m"):
    return CONFIG % {"brokers": broker if isinstance(broker, str) else broker.address,
                     "topics": json.dumps(list(topics)), "extra": extra, "idle": idle}


@pytest.fixture(scope="module")
def broker():
    with Broker() as running:
        yield running


def stamp(second):
    return datetime.fromtimestamp(START + second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def event(second, shop, n):
    return json.dumps({"t": stamp(second), "shop": shop, "n": n}).encode()


def made_up(seed, count, seconds=600):
    """Events in the order of their time, and what they come to by minute and shop."""
    random_ = random.Random(seed)
    expected = collections.defaultdict(lambda: [0, 0])
    messages = []
    for i in range(count):
        second, shop, n = i * seconds // count, random_.choice("abc"), random_.randrange(1000)
        messages.append(event(second, shop, n))
        expected[stamp(second // 60 * 60), shop][0] += 1
        expected[stamp(second // 60 * 60), shop][1] += n
    return messages, expected


def added(all_expected):
    total = collections.defaultdict(lambda: [0, 0])
    for expected in all_expected:
        for key, (events, n) in expected.items():
            total[key][0] += events
            total[key][1] += n
    return dict(total)


def closing():
    """An event that closes everything before it, in its partition."""
    return event(7200, "closing", 0)


def results(engine):
    return {(row["window_start"], row["shop"]): [row["events"], row["total"]]
            for row in engine.closed("per_minute")}


def kill(engine):
    engine.process.send_signal(signal.SIGKILL)
    engine.process.wait()


def wait_for(engine, expected, seconds=60):
    engine.wait(lambda: results(engine) == expected, "the windows", seconds=seconds)


def test_partitions_wait_for_each_other(broker):
    broker.create("orders", partitions=3)
    made = [made_up(seed, 20_000) for seed in range(3)]
    with Streamobs(config(broker)) as engine:
        # One partition is all there before another has anything: nothing of it is late.
        for partition, (messages, _) in enumerate(made):
            broker.produce("orders", messages, partition)
            broker.produce("orders", [closing()], partition)
        wait_for(engine, added(expected for _, expected in made))
        assert engine.metric("streamobs_late_events_total") == 0
        assert engine.metric("streamobs_kafka_messages_total") == 60_003
        engine.wait(lambda: engine.metric("streamobs_kafka_lag_messages", topic="orders") == 0,
                    "the lag to be seen as none")
        sources = engine.get("/api/v1/pipeline").json()["sources"]
        source = next(s for s in sources if s["source"] == "orders")
        assert source["type"] == "kafka"
        assert source["detail"] == "3 partitions, 60003 messages, 0 behind"
        all_read = [{"topic": "orders", "partition": partition, "next": 20_001, "lag": 0,
                     "held": False, "ahead_seconds": None} for partition in range(3)]

        def shown():
            topics = engine.get("/api/v1/pipeline").json()["sources"][0]["topics"]
            return (topics["partitions"] == all_read and topics["brokers_up"] == 1
                    and topics["round_trip_seconds"] > 0 and topics["group"] is None)
        engine.wait(shown, "the partitions and the broker to be shown")
        assert engine.stop() == 0


def test_what_messages_may_look_like(broker):
    broker.create("shapes")
    several = event(1, "several", 1) + b"\n" + event(2, "several", 2) + b"\n"
    pretty = json.dumps(json.loads(event(3, "pretty", 3)), indent=2).encode()
    array = b"[" + event(4, "array", 4) + b",\n" + event(5, "array", 5) + b"]"
    broker.produce("shapes", [event(0, "plain", 1), several, b"{broken", pretty, b"  ", array,
                              b'{"n":"no time"}', event(6, "plain", 2), b" [ ]\n", b"\n \n",
                              b'\xef\xbb\xbf' + event(7, "marked", 1), b'\xff{"n":1}'])
    broker.produce_tombstone("shapes", "key", 0)
    broker.produce("shapes", [closing()])
    with Streamobs(config(broker, ["shapes"])) as engine:
        minute = stamp(0)
        wait_for(engine, {(minute, "plain"): [2, 3], (minute, "several"): [2, 3],
                          (minute, "pretty"): [1, 3], (minute, "array"): [2, 9],
                          (minute, "marked"): [1, 1]})
        letters = engine.get("/api/v1/dead-letters").json()["rows"]
        assert {(row["origin"], row["position"], row["payload"], row["reason"]) for row in letters} == {
            ("shapes/0", 2, "{broken", "not_json"), ("shapes/0", 6, '{"n":"no time"}', "wrong_type"),
            ("shapes/0", 11, '\ufffd{"n":1}', "bad_utf8")}
        skipped = "streamobs_kafka_skipped_messages_total"
        engine.wait(lambda: engine.metric(skipped, reason="tombstone") == 1, "the tombstone")
        assert engine.metric(skipped, reason="empty_array") == 1
        assert engine.metric(skipped, reason="empty") == 2


def test_killed_again_and_again_with_the_broker_too(broker):
    """Everything counts once, whoever dies."""
    partitions, per_partition, rounds = 4, 60_000, 10
    random_ = random.Random(4)
    broker.create("killed", partitions=partitions)
    made = [made_up(100 + seed, per_partition) for seed in range(partitions)]
    with Streamobs(config(broker, ["killed"])) as engine:
        for round_ in range(rounds):
            part = slice(round_ * per_partition // rounds, (round_ + 1) * per_partition // rounds)
            clients = [broker.produce_in_background("killed", messages[part], number)
                       for number, (messages, _) in enumerate(made)]
            broker_dies = round_ in (3, 7)
            if broker_dies:  # While it is being read; kcat gives up when it loses its broker.
                kill(engine)
                assert [client.wait(timeout=120) for client in clients] == [0] * partitions
                engine.start()
            wanted = random_.randrange(1, partitions * per_partition // rounds)
            engine.wait(lambda: engine.metric("streamobs_kafka_messages_total") >= wanted
                        or all(c.poll() is not None for c in clients), "some of the messages")
            if broker_dies:
                broker.kill()
                broker.start()
            kill(engine)
            engine.start()
            assert [client.wait(timeout=120) for client in clients] == [0] * partitions
        for number in range(partitions):
            broker.produce("killed", [closing()], number)
        wait_for(engine, added(expected for _, expected in made), seconds=120)
        rows = engine.database().execute(
            "SELECT count(*), sum(events), sum(total) FROM per_minute WHERE shop != 'closing'")
        expected = added(expected for _, expected in made).values()
        assert tuple(rows.fetchone()) == (len(expected), partitions * per_partition,
                                          sum(total for _, total in expected))
        assert engine.metric("streamobs_late_events_total") == 0


def test_a_broker_that_goes_and_comes_back_is_told_once(broker):
    broker.create("restarted")
    with Streamobs(config(broker, ["restarted"])) as engine:
        broker.produce("restarted", [event(0, "a", 1)])
        engine.wait(lambda: engine.windows("per_minute"), "the first event")
        engine.wait(lambda: engine.metric("streamobs_kafka_brokers_up") == 1, "the connection")
        broker.kill()
        engine.wait(lambda: "the broker is gone" in engine.messages(), "the loss to be told")
        broker.start()
        engine.wait(lambda: "the broker is back" in engine.messages(), "the return to be told",
                    seconds=60)
        broker.produce("restarted", [event(1, "a", 2), closing()])
        wait_for(engine, {(stamp(0), "a"): [2, 3]})
        assert engine.messages().count("the broker is gone") == 1
        assert engine.messages().count("the broker is back") == 1


def test_where_it_starts(broker):
    broker.create("starts")
    broker.produce("starts", [event(0, "before", 1)])
    with Streamobs(config(broker, ["starts"], 'start = "latest"')) as engine:
        engine.wait(lambda: "partitions are being read" in engine.messages(), "the partition")
        # Decided once: what comes while nobody reads is not passed over.
        kill(engine)
        broker.produce("starts", [event(1, "after", 1), closing()])
        engine.start()
        wait_for(engine, {(stamp(0), "after"): [1, 1]})
    with Streamobs(config(broker, ["starts"], 'start = "2020-01-01"')) as engine:
        wait_for(engine, {(stamp(0), "before"): [1, 1], (stamp(0), "after"): [1, 1]})


def test_patterns_and_topics_that_come_later(broker):
    with Streamobs(config(broker, ["late-*"])) as engine:
        engine.wait(lambda: "it is not there" in engine.messages(), "the missing topic to be told")
        broker.create("late-1")
        broker.produce("late-1", [event(0, "a", 1), closing()])
        wait_for(engine, {(stamp(0), "a"): [1, 1]})
        assert engine.messages().count("it is not there") == 1


def expired(broker, topic):
    """Reads some of a topic, then has the rest expire before it is read."""
    broker.create(topic)
    broker.produce(topic, [event(0, "a", 1)] * 10)
    return [event(1, "lost", 1)] * 20, [event(2, "a", 1)] * 5 + [closing()]


@pytest.mark.parametrize("goes_on", [False, True])
def test_messages_that_expired_unread(broker, goes_on):
    topic = f"expired-{goes_on}"
    lost, left = expired(broker, topic)
    extra = 'on_gap = "continue"' if goes_on else ""
    with Streamobs(config(broker, [topic], extra)) as engine:
        engine.wait(lambda: engine.metric("streamobs_events_accepted_total") == 10, "the first ten")
        assert engine.stop() == 0
        broker.produce(topic, lost + left)
        broker.delete_before(topic, 0, 30)
        engine.start()
        if goes_on:
            wait_for(engine, {(stamp(0), "a"): [15, 15]})
            assert engine.metric("streamobs_kafka_gap_messages_total") == 20
        else:
            engine.wait(lambda: "a source has failed" in engine.messages(), "the error")
            assert re.search(rf"topic {topic}, partition 0: message 10 was to be read next, and the "
                             r"brokers have 30 to 36: those before have expired\. To go on at 30, "
                             r"set on_gap", engine.messages())


def pipeline_detail(engine):
    sources = engine.get("/api/v1/pipeline").json()["sources"]
    return next(s for s in sources if s["source"] == "orders")["detail"]


def test_a_partition_far_ahead_waits_for_the_others(broker):
    broker.create("skewed", partitions=2)
    ahead = [event(60 * minute, "fast", 1) for minute in range(300)]
    with Streamobs(config(broker, ["skewed"], 'max_skew = "10m"', idle="12s")) as engine:
        # Event time of the slow one stands still, and it is alive.
        broker.produce("skewed", [event(0, "slow", 1)], 1)
        engine.wait(lambda: engine.metric("streamobs_kafka_messages_total") == 1, "the slow one")
        broker.produce("skewed", ahead[:100], 0)

        def waiting(second):
            broker.produce("skewed", [event(second, "slow", 1)], 1)
            return "1 wait for the others" in pipeline_detail(engine)
        engine.wait(lambda: waiting(0), "the fast one to be held")
        engine.wait(lambda: waiting(0) and  # It may have been held before all of the hundred came.
                    600 < engine.metric("streamobs_kafka_ahead_seconds", partition="0") <= 99 * 60,
                    "it to be seen by how much")
        broker.produce("skewed", ahead[100:], 0)
        engine.wait(lambda: waiting(1) and
                    engine.metric("streamobs_kafka_lag_messages", partition="0") > 0, "a lag")
        assert sum(r["events"] for r in engine.windows("per_minute", shop="fast")) <= 100
        # It is let go once the slow one has come near it, and also when that is silent.
        engine.wait(lambda: not waiting(97 * 60), "the fast one to be let go")
        engine.wait(lambda: "1 wait" in pipeline_detail(engine), "it to be held again")
        kill(engine)  # Being held is nothing that is kept.
        engine.start()
        engine.wait(lambda: sum(r["events"] for r in engine.windows("per_minute", shop="fast")) == 300,
                    "all of the fast one", seconds=60)
        assert engine.metric("streamobs_late_events_total") == 0
        assert engine.stop() == 0


FIELDS = """fields = { customer = "key", sent = "timestamp", trace = "header:trace-id", \
price = "header:price" }"""


def test_key_timestamp_and_headers_as_fields(broker):
    broker.create("parts")
    text = config(broker, ["parts"], FIELDS).replace('n = "int" }', """n = "int", \
customer = "int", sent = "timestamp", trace = "string", price = "decimal(2)" }""").replace(
        'by = ["shop"]', 'by = ["shop", "customer", "trace"]').replace(
        'total = "sum(n)" }', """total = "sum(n)", price = "sum(price)", \
fresh = "count(*) filter (where sent > '2026-06-01')" }""")

    def produce(value, *arguments):
        broker.kcat("-P", "-t", "parts", *arguments, input=value)
    produce(event(0, "a", 1), "-k", "7", "-H", "trace-id=x", "-H", "price=1.25")
    produce(event(1, "a", 2), "-k", "7", "-H", "trace-id=w", "-H", "trace-id=x", "-H", "price=2.5")
    produce(event(2, "a", 3), "-k", "7")
    broker.produce("parts", [event(3, "b", 4) + b"\n" + event(4, "b", 5)])
    # Both of the message and of its JSON; and not what the stream says it is.
    produce(event(5, "a", 6)[:-1] + b', "trace": "own"}', "-H", "trace-id=x")
    produce(event(6, "a", 7), "-k", "seven")
    broker.produce("parts", [closing()])
    with Streamobs(text) as engine:
        def rows():
            return {(r["shop"], r["customer"], r["trace"]): (r["events"], r["total"], r["price"])
                    for r in engine.closed("per_minute")}
        expected = {("a", 7, "x"): (2, 3, 3.75), ("a", 7, None): (1, 3, None),
                    ("b", None, None): (2, 9, None)}
        engine.wait(lambda: rows() == expected, "the windows")
        assert sum(r["fresh"] for r in engine.closed("per_minute")) == 5
        letters = engine.get("/api/v1/dead-letters").json()["rows"]
        assert {(row["position"], row["reason"]) for row in letters} == {
            (4, "duplicate_key"), (5, "wrong_type")}
        assert {row["place"] for row in letters} == {
            f"topic parts, partition 0, offset {offset}" for offset in (4, 5)}

        def replay():
            return engine.request("POST", "/api/v1/dead-letters/replay").json()
        # As long as the source gives what they have themselves, they are left alone.
        report = replay()
        assert (report["accepted"], report["rejected"], report["passed_over"]) == (0, 1, 1)
        assert any("still gives trace" in error["detail"] for error in report["errors"])
        assert engine.stop() == 0
        mended = text.replace(', trace = "header:trace-id"', "")
        (engine.directory / "obs.toml").write_text(mended)
        engine.start()
        report = replay()
        assert (report["accepted"], report["rejected"], report["passed_over"]) == (1, 1, 0)
        # Its window has closed; that it was taken with what it has itself shows in the letter.
        engine.wait(lambda: engine.get("/api/v1/dead-letters", reason="late").json()["rows"], "the late event")
        late, = engine.get("/api/v1/dead-letters", reason="late").json()["rows"]
        assert late["place"] == "replay of topic parts, partition 0, offset 4"
        assert json.loads(late["payload"])["trace"] == "own" and late["payload"].count("trace") == 1
        assert json.loads(late["payload"])["sent"] is not None


SERVICES = """
[source.in]
type = "kafka"
brokers = "%s"
topics = ["raw_events"]
fields = { owner = "key" }
[stream.requests]
time = "event_time"
fields = { service = "string", latency_ms = "float", status_code = "int", owner = "string" }
[window.per_minute]
size = "1m"
by = ["service"]
allowed_lateness = "10s"
[window.per_minute.select]
events = "count(*)"
errors = "count(*) filter (where status_code >= 500)"
longest = "max(latency_ms)"
keyed = "count(*) filter (where owner = service)"
"""


def test_the_load_generator_fills_topics(broker, tmp_path):
    broker.create("raw_events", partitions=3)
    truth = tmp_path / "truth.json"
    common = ["--rate", 0, "--start", "2026-01-01T00:00:00Z", "--target", f"kafka://{broker.address}"]
    done = run("loadgen", "services", *common, "--events", 50_000, "--event-rate", 100, "--truth",
               truth)
    assert "50000 delivered, 0 not delivered" in done.stderr
    known = json.loads(truth.read_text())
    assert known["delivery"] == {"accepted": 50_000, "rejected": 0, "undelivered": 0, "resent": 0}
    with Streamobs(SERVICES % broker.address) as engine:
        engine.wait(lambda: engine.metric("streamobs_events_accepted_total") == 50_000, "all of it")
        expected = {(w["window_start"], w["keys"]["service"]):
                    (w["count"], w["counts"]["errors"], w["values"]["latency_ms"]["max"], w["count"])
                    for w in known["windows"]}

        def rows():
            return {(r["window_start"], r["service"]):
                    (r["events"], r["errors"], r["longest"], r["keyed"])
                    for r in engine.windows("per_minute")}
        engine.wait(lambda: rows() == expected, "the windows to be those of the truth file")
        assert engine.metric("streamobs_late_events_total") == 0
    for topic in ("llm.requests", "llm.responses", "mine"):
        broker.create(topic)
    run("loadgen", "llm", *common, "--events", 200)
    ids = {}
    for topic in ("llm.requests", "llm.responses"):
        read = broker.kcat("-C", "-t", topic, "-e", "-q", "-f", "%k %s\n").stdout.decode()
        ids[topic] = []
        for line in read.splitlines():
            key, _, value = line.partition(" ")
            assert json.loads(value)["request_id"] == key
            ids[topic].append(key)
    assert len(ids["llm.requests"]) == 200
    assert 0 < len(ids["llm.responses"]) <= 200
    assert set(ids["llm.responses"]) <= set(ids["llm.requests"])
    run("loadgen", "logs", "--rate", 0, "--events", 10, "--target", f"kafka://{broker.address}/mine")
    assert len(broker.kcat("-C", "-t", "mine", "-e", "-q").stdout.splitlines()) == 10


def test_the_load_generator_where_nobody_takes_it(broker):
    there = f"kafka://{broker.address}"
    nowhere = f"kafka://127.0.0.1:{free_ports(1)[0]}"
    for target, code, words in (
            (nowhere, 75, "are the brokers up"),
            (there + "/not-there", 75, "make the topic"),
            (there + "/no topic", 78, "is no name of a topic"),
            ("kafka://", 78, "write kafka://HOST:PORT")):
        done = run("loadgen", "services", "--rate", 0, "--events", 10, "--target", target,
                   check=False)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_nobody_there():
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with Streamobs(config(address)) as engine:
        engine.wait(lambda: "the brokers cannot be asked" in engine.messages(), "the complaint")
        assert engine.get("/readyz").status == 200
        assert engine.stop() == 0


SASL = """options = { "security.protocol" = "sasl_plaintext", "sasl.mechanism" = "PLAIN", \
"sasl.username" = "obs", "sasl.password" = "env:STREAMOBS_TEST_KAFKA" }"""


def test_a_password_from_the_environment(broker, monkeypatch):
    broker.create("behind-a-door")
    broker.produce("behind-a-door", [event(0, "a", 1), closing()])
    monkeypatch.setenv("STREAMOBS_TEST_KAFKA", "open barley")
    with Streamobs(config(broker.sasl_address, ["behind-a-door"], SASL)) as engine:
        told = "and the user on the broker"
        engine.wait(lambda: told in engine.messages(), "the complaint")
        engine.wait(lambda: engine.metric("streamobs_kafka_errors_total") >= 2, "further tries")
        assert engine.messages().count(told) == 1

        def last_error():
            return engine.get("/api/v1/pipeline").json()["sources"][0]["last_error"]
        # Told again with each try, and not driven out by what follows from it.
        first = last_error()["at"]
        engine.wait(lambda: last_error()["at"] > first, "further tries to be told")
        for _ in range(50):
            assert "uthentication" in last_error()["error"], last_error()
            assert "sasl.password" in last_error()["advice"]
        assert engine.stop() == 0
        monkeypatch.setenv("STREAMOBS_TEST_KAFKA", "open sesame")
        engine.start()
        wait_for(engine, {(stamp(0), "a"): [1, 1]})
        assert "sesame" not in engine.messages()


def test_validate_needs_no_broker(tmp_path, monkeypatch):
    file = tmp_path / "obs.toml"

    def validate(extra):
        file.write_text(config("localhost:1", extra=extra))
        return run("validate", "--config", file, check=False)

    assert validate("").returncode == 0
    told = validate('options = { "group.id" = "g", "no.such" = 1, "fetch.min.bytes" = "many" }')
    assert told.returncode == 78
    assert 'the option "group.id" is not yours to set' in told.stderr + told.stdout
    assert 'refuses the option "no.such"' in told.stderr + told.stdout
    assert 'refuses the option "fetch.min.bytes"' in told.stderr + told.stdout
    assert validate('start = "yesterday"').returncode == 78
    told = validate('fields = { shp = "key" }')
    assert told.returncode == 78
    assert "no field of stream 'orders' reads \"shp\"" in told.stderr + told.stdout
    assert 'did you mean "shop"?' in told.stderr + told.stdout
    told = validate('fields = { shop = "string" }')
    assert told.returncode == 78
    assert "fields: shop names no part of a message" in told.stderr + told.stdout
    assert validate('fields = { t = "timestamp", shop = "header:shop", n = "key" }').returncode == 0
    assert validate('max_skew = "1ms"').returncode == 78
    secret = 'options = { "sasl.password" = "env:STREAMOBS_TEST_KAFKA" }'
    assert validate(secret).returncode == 78
    monkeypatch.setenv("STREAMOBS_TEST_KAFKA", "pass word")
    assert validate(secret).returncode == 0


def test_messages_of_lines(broker):
    broker.create("lines")
    broker.produce("lines", [b"t=%s shop=a n=1" % stamp(0).encode(), b"a line of words",
                             b'[t]=1 t=%s shop="b c" n=2' % stamp(1).encode()])
    broker.produce("lines", [b"t=%s shop=close n=0" % stamp(3600).encode()])
    with Streamobs(config(broker, ["lines"], 'format = "logfmt"')) as engine:
        wait_for(engine, {(stamp(0), "a"): [1, 1], (stamp(0), "b c"): [1, 2]})
        letters = engine.get("/api/v1/dead-letters").json()["rows"]
        assert [(row["origin"], row["position"], row["payload"]) for row in letters] == [
            ("lines/0", 1, "a line of words")]

"""type = "kafka" as a sink, against a real broker: each result once, whoever dies when."""

import json
import os
import random
import shutil
import signal
import time

import pytest

from harness import Streamobs, ndjson
from kafka_broker import Broker
from kafka_orders import (CONFIG, Orders, check, config, post, read, sink_state, stamp,
                          wait_for_outbox, wait_for_rows)

PLACES = ["store.before_commit", "store.after_commit", "sink.before_produce", "sink.before_commit",
          "sink.after_commit", "sink.after_remove"]


@pytest.fixture(scope="module")
def broker():
    with Broker() as running:
        yield running


def kill(engine):
    engine.process.send_signal(signal.SIGKILL)
    engine.process.wait()


def test_results_are_sent_as_the_api_shows_them(broker):
    broker.create("out", partitions=3)
    orders = Orders(1)
    with Streamobs(config(broker, "out", 'compression = "lz4"')) as engine:
        for _ in range(20):
            assert post(engine, orders.next())
        wait_for_rows(engine, orders)
        wait_for_outbox(engine)
        check(broker, "out", orders)
        sent = {json.dumps(json.loads(value), sort_keys=True) for _, value in read(broker, "out")}
        assert sent == {json.dumps(row, sort_keys=True) for row in engine.closed("per_minute")}
        assert engine.metric("streamobs_sink_sent_total", sink="out") == len(orders.closed())
        assert engine.metric("streamobs_sink_outbox_rows", sink="out") == 0
        sink = engine.get("/api/v1/pipeline").json()["sinks"][0]
        assert (sink["from"], sink["topic"], sink["sent"]) == ("per_minute", "out", len(sent))
        assert sink["transaction_seconds"] > 0
        engine.wait(lambda: engine.metric("streamobs_sink_brokers_up", sink="out") == 1,
                    "the broker to be seen")
        assert sink["errors"] == 0 and sink["last_error"] is None
        assert engine.stop() == 0
        # What is stopped and started sends nothing again.
        engine.start()
        assert post(engine, orders.next())
        wait_for_rows(engine, orders)
        wait_for_outbox(engine)
        assert engine.stop() == 0
    check(broker, "out", orders)


def test_anomalies_incidents_and_dead_letters(broker):
    for topic in ("alarms", "stories", "refused"):
        broker.create(topic, partitions=1)
    sinks = "".join(f"""
[sink.{topic}]
type = "kafka"
brokers = "{broker.address}"
from = "{of}"
topic = "{topic}"
""" for topic, of in (("alarms", "anomalies"), ("stories", "incidents"),
                      ("refused", "dead_letters")))
    rule = """
[rule.many]
on = "per_minute"
when = "events > 10"
severity = "high"
"""
    with Streamobs(CONFIG + rule + sinks) as engine:
        for minute, count in enumerate([20, 1, 1]):
            assert post(engine, [{"id": f"{minute}.{i}", "t": stamp(minute * 60), "shop": "a",
                                  "n": 1} for i in range(count)])
        engine.post("orders", b'{"id":"bad","shop":"a"}\n')
        engine.wait(lambda: len(read(broker, "alarms")) == 2, "the anomaly and its end", seconds=60)
        engine.wait(lambda: len(read(broker, "refused")) == 1, "the dead letter", seconds=60)
        anomaly = engine.get("/api/v1/anomalies").json()["rows"][0]
        (key, raised), (_, resolved) = read(broker, "alarms")
        assert key == anomaly["id"]
        assert json.loads(raised)["resolved"] is False and json.loads(resolved) == anomaly
        incident = engine.get("/api/v1/incidents").json()["rows"][0]
        engine.wait(lambda: json.loads(read(broker, "stories")[-1][1]) == incident, "the incident")
        assert {key for key, _ in read(broker, "stories")} == {incident["id"]}
        letter = engine.get("/api/v1/dead-letters").json()["rows"][0]
        letter.pop("id"), letter.pop("replayed_at")
        assert [("", letter)] == [(key, json.loads(value)) for key, value in read(broker, "refused")]
        assert engine.stop() == 0


def test_killed_at_random_with_the_broker_too(broker):
    broker.create("killed", partitions=2)
    rounds = int(os.environ.get("STREAMOBS_SINK_KILLS", 10))
    random_ = random.Random(int(os.environ.get("STREAMOBS_SINK_SEED", 4)))
    orders = Orders(2)
    with Streamobs(config(broker, "killed")) as engine:
        for round_ in range(rounds):
            for _ in range(random_.randrange(2, 8)):
                assert post(engine, orders.next())
            broker_dies = round_ % 5 == 2
            if broker_dies:
                broker.kill()
                for _ in range(3):
                    assert post(engine, orders.next())  # Nobody waits for the broker.
            else:
                time.sleep(random_.randrange(0, 400) / 1000)  # The moment is what is random.
            kill(engine)
            if broker_dies:
                broker.start()
            engine.start()
        wait_for_rows(engine, orders)
        wait_for_outbox(engine, seconds=120)
        check(broker, "killed", orders)
        assert engine.stop() == 0


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_each_place(broker, place):
    topic = "killed." + place
    broker.create(topic, partitions=2)
    deaths = int(os.environ.get("STREAMOBS_SINK_DEATHS", 2))
    orders = Orders(3)
    with Streamobs(config(broker, topic)) as engine:
        engine.stop()
        for death in range(deaths):
            events = orders.next()
            os.environ["STREAMOBS_FAILPOINT"] = f"{place}:{death + 1}"
            try:
                engine.start()
                while post(engine, events):
                    time.sleep(0.05)  # So that each of them may be a transaction.
                    events = orders.next()
            except AssertionError as error:  # It died before it listened.
                assert "exit -9" in str(error)
            finally:
                del os.environ["STREAMOBS_FAILPOINT"]
            assert engine.process.wait() == -signal.SIGKILL
            # What got no answer is sent again, and may have been taken.
            engine.start()
            assert post(engine, events)
            if death < deaths - 1:
                assert engine.stop() == 0
        wait_for_rows(engine, orders)
        wait_for_outbox(engine)
        assert engine.stop() == 0
    check(broker, topic, orders)


def test_the_broker_comes_later_and_goes_for_a_while(broker):
    broker.create("later", partitions=1)
    orders = Orders(5)
    broker.kill()
    with Streamobs(config(broker, "later")) as engine:
        for _ in range(5):
            assert post(engine, orders.next())
        wait_for_rows(engine, orders)
        engine.wait(lambda: "cannot deliver" in engine.messages(), "the warning")
        assert engine.metric("streamobs_sink_outbox_rows", sink="out") == len(orders.closed())
        assert engine.metric("streamobs_sink_oldest_seconds", sink="out") > 0
        sink = engine.get("/api/v1/pipeline").json()["sinks"][0]
        assert sink["state"] == "retrying" and sink["errors"] > 0
        assert "are the brokers up" in sink["last_error"]["advice"]
        broker.start()
        wait_for_outbox(engine)
        assert "delivers again" in engine.messages()
        broker.kill()
        for _ in range(5):
            assert post(engine, orders.next())
        wait_for_rows(engine, orders)
        broker.start()
        wait_for_outbox(engine)
        assert engine.messages().count("cannot deliver") <= 4  # Not once for each try.
        assert engine.stop() == 0
    check(broker, "later", orders)


def test_a_streams_events_are_sent_each_once(broker):
    """Neither what the filter leaves out nor repeats; in the order of the log; whoever dies when."""
    broker.create("requests", partitions=1)
    broker.create("answers", partitions=3)
    rounds = int(os.environ.get("STREAMOBS_SINK_KILLS", 6))
    draw = random.Random(12)
    text = """
[wal]
checkpoint_every = "1s"
[stream.llm_requests]
time = "timestamp"
id = "request_id"
paths = ["/v1/llm/request"]
fields = { request_id = "string", tenant_id = "string", route = "string", tokens = "int", "meta.trace" = "string" }
filter = "route <> 'internal'"
"""
    for name, topic, key in (("all", "requests", ""), ("keyed", "answers",
                                                       'key = ["tenant_id", "route"]')):
        text += f"""
[sink.{name}]
type = "kafka"
brokers = "{broker.address}"
from = "llm_requests"
topic = "{topic}"
{key}
"""
    sent = []

    def request(i):
        return {"request_id": f"r{i}", "tenant_id": draw.choice("ab"), "timestamp": stamp(i),
                "route": draw.choice(["chat", "internal", "search"]), "tokens": i,
                "meta": {"trace": f"t{i}"}, "undeclared": 1}

    with Streamobs(text) as engine:
        for round_ in range(rounds):
            for _ in range(draw.randrange(1, 5)):
                events = [request(len(sent) + i) for i in range(draw.randrange(1, 40))]
                body = ndjson(events + draw.sample(sent, min(3, len(sent))))
                assert engine.request("POST", "/v1/llm/request", body,
                                      {"Content-Type": "application/x-ndjson"}).status == 200
                sent += events
            if round_ == 1:
                broker.kill()
            time.sleep(draw.randrange(0, 300) / 1000)  # The moment is what is random.
            kill(engine)
            if round_ == 1:
                broker.start()
            engine.start()

        def all_sent():
            sinks = engine.get("/api/v1/pipeline").json()["sinks"]
            return all(s["outbox_rows"] == 0 and s["state"] == "waiting" for s in sinks)
        engine.wait(all_sent, "the outboxes to be empty", seconds=120)
        assert engine.stop() == 0
    wanted = [{k: v for k, v in event.items() if k != "undeclared"} for event in sent
              if event["route"] != "internal"]

    def as_sent(event):
        return dict(event, timestamp=event["timestamp"].replace(".000000Z", "Z"))
    assert [("", event) for event in wanted] == [
        (key, as_sent(json.loads(value))) for key, value in read(broker, "requests")]
    keyed = [(key, as_sent(json.loads(value))) for key, value in read(broker, "answers")]
    for tenant_route in {f"{e['tenant_id']}|{e['route']}" for e in wanted}:
        assert [e for key, e in keyed if key == tenant_route] == [
            e for e in wanted if f"{e['tenant_id']}|{e['route']}" == tenant_route]
    assert len(keyed) == len(wanted)


def test_a_filter_by_template_is_that_of_a_stream_s_sink_too(broker):
    broker.create("by-template", partitions=1)
    text = f"""
[stream.logs]
time = "t"
fields = {{ message = "string" }}
template = {{ from = "message" }}
filter = "template <> 'tick <*>'"
[sink.out]
type = "kafka"
brokers = "{broker.address}"
from = "logs"
topic = "by-template"
"""
    messages = [f"{'tick' if i % 3 == 0 else 'order'} {i}" for i in range(3000)]
    with Streamobs(text) as engine:
        engine.post("logs", [{"t": stamp(i), "message": m} for i, m in enumerate(messages)])
        engine.wait(lambda: engine.metric("streamobs_sink_sent_total", sink="out") == 2000,
                    "the orders", seconds=60)
    assert [json.loads(value)["message"] for _, value in read(broker, "by-template")] == [
        m for m in messages if m.startswith("order")]


def test_a_database_made_anew_sends_nothing_again(broker):
    broker.create("anew", partitions=1)
    orders = Orders(6)
    with Streamobs(config(broker, "anew").replace(
            'checkpoint_every = "2s"', 'checkpoint_every = "1h"\nkeep = { bytes = "1GB" }')) as engine:
        for _ in range(10):
            assert post(engine, orders.next())
        wait_for_rows(engine, orders)
        wait_for_outbox(engine)
        kill(engine)
        for suffix in ("", "-wal", "-shm"):
            (engine.data_dir / f"streamobs.db{suffix}").unlink(missing_ok=True)
        engine.start()
        assert post(engine, orders.next())
        wait_for_rows(engine, orders)
        wait_for_outbox(engine)
        assert engine.stop() == 0
    check(broker, "anew", orders)


def test_of_two_engines_with_one_log_one_stops(broker, tmp_path):
    broker.create("twins", partitions=1)
    orders = Orders(7)
    with Streamobs(config(broker, "twins")) as engine:
        for _ in range(3):
            assert post(engine, orders.next())
        wait_for_rows(engine, orders)
        wait_for_outbox(engine)
        assert engine.stop() == 0
        copy = tmp_path / "copy"
        shutil.copytree(engine.data_dir, copy)
        engine.start()
        with Streamobs(config(broker, "twins"), data_dir=copy) as twin:
            # The same events: the two have the same results at the same places.
            for _ in range(2):
                more = orders.next()
                assert post(twin, more)
                wait_for_outbox(twin)
                assert post(engine, more)
            engine.wait(lambda: sink_state(engine) == "stopped", "the sink to stop", seconds=60)
            assert "somebody else has delivered for the same log" in engine.messages()
            assert twin.stop() == 0
        # For good, and not just while the other one runs.
        assert engine.stop() == 0
        engine.start()
        engine.wait(lambda: sink_state(engine) == "stopped", "the sink to stop again", seconds=60)
        assert engine.stop() == 0
    check(broker, "twins", orders)


def test_an_older_data_directory_is_told_so(broker, tmp_path):
    broker.create("older", partitions=1)
    orders = Orders(8)
    with Streamobs(config(broker, "older")) as engine:
        assert post(engine, orders.next())
        assert engine.stop() == 0
        shutil.copytree(engine.data_dir, tmp_path / "backup")
        engine.start()
        for _ in range(5):
            assert post(engine, orders.next())
        wait_for_rows(engine, orders)
        wait_for_outbox(engine)
        assert engine.stop() == 0
    with Streamobs(config(broker, "older"), data_dir=tmp_path / "backup") as engine:
        engine.wait(lambda: "is older than what was sent" in engine.messages(), "to be told")
        for _ in range(20):  # All else goes on, also past what was sent.
            assert post(engine, orders.next())
        assert engine.stop() == 0
        engine.start()
        engine.wait(lambda: sink_state(engine) == "stopped", "the sink to stop again", seconds=60)
        assert engine.stop() == 0


def test_a_result_too_large_for_its_topic_is_passed_over(broker):
    broker.create("small", max_message_bytes=2000)
    orders = Orders(9)
    with Streamobs(config(broker, "small")) as engine:
        for i in range(30):
            events = orders.next()
            if i == 11:
                events.append(dict(events[-1], id="large", shop="x" * 3000))
            assert post(engine, events)
        engine.wait(lambda: len(engine.closed("per_minute")) == len(orders.closed()) + 1,
                    "the windows, the large one among them", seconds=60)
        wait_for_outbox(engine, seconds=120)
        assert "a result is too large for a message" in engine.messages()
        assert engine.metric("streamobs_sink_refused_total") == 1
        assert engine.stop() == 0
    check(broker, "small", orders)

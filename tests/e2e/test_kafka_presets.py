"""The presets between Kafka and Kafka: config/kafka/*.toml with a real broker, loadgen's truth held against
what comes out of the API and of the topics."""

import collections
import json
import os

import pytest

from harness import ROOT, Streamobs, run
from kafka_broker import Broker

START = "2026-01-05T00:00:00Z"
#: Preset: its stream, the window that loadgen's truth is about, and its name for the number of events.
TRUTHS = {"services": ("requests", "service_metrics", "request_count"),
          "transactions": ("transactions", "category_sales", "transaction_count"),
          "metrics": ("metrics", "metrics_1m", "count"),
          "llm": ("llm_requests", "llm_metrics", "requests")}
#: Preset: topics with their partitions and retention in days (None: compacted), as the config says.
TOPICS = {"services": {"raw_events": (6, 7), "service-metrics": (3, 7), "anomalies": (1, None),
                       "incidents": (1, None)},
          "transactions": {"transactions": (6, 7), "category-sales": (3, 30)},
          "metrics": {"metrics-events": (6, 7), "metrics-aggregated-1m": (3, 7),
                      "metrics-aggregated-5m": (3, 30), "metrics-dead-letter": (3, 14)},
          "logs": {"logs": (6, 7), "log-counts": (3, 7), "log-anomalies": (1, None)},
          "llm": {"llm.requests": (6, 7), "llm.responses": (6, 7), "llm.metrics": (3, 7),
                  "llm.dead-letter": (3, 14)}}


@pytest.fixture(scope="module")
def broker():
    with Broker() as running:
        os.environ["KAFKA_BROKERS"] = running.address
        yield running
        del os.environ["KAFKA_BROKERS"]


def text_of(preset):
    """The preset as a user has it, but for where its files are: the harness has a folder of its own."""
    text = (ROOT / f"config/kafka/{preset}.toml").read_text()
    if preset in TRUTHS:  # And for how long a test waits for the last windows.
        text += f'[stream.{TRUTHS[preset][0]}]\nidle_timeout = "1s"\n'
    if preset == "llm":
        text += '[stream.llm_responses]\nidle_timeout = "1s"\n'
    return text.replace('include = ["../', f'include = ["{ROOT}/config/')


def described(broker):
    """Partitions and settings of each topic, as Kafka's own tool says."""
    said = broker.tool("org.apache.kafka.tools.TopicCommand", "--describe")
    heads = [line for line in said.splitlines() if "PartitionCount: " in line]
    return {line.split("Topic: ")[1].split()[0]:
            (int(line.split("PartitionCount: ")[1].split()[0]), line.split("Configs: ")[1])
            for line in heads}


def read_all(broker, topic):
    """(key, value) of each message that a read_committed consumer sees."""
    out = broker.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X",
                      "isolation.level=read_committed", "-f", r"%k\t%s\n")
    return [(key, json.loads(value)) for key, _, value in
            (line.partition("\t") for line in out.stdout.decode().splitlines())]


@pytest.mark.parametrize("preset", sorted(TOPICS))
def test_a_preset_between_kafka_and_kafka(broker, preset, tmp_path):
    config = ROOT / f"config/kafka/{preset}.toml"
    run("kafka", "topics", "--create", "--config", config)
    listed = run("kafka", "topics", "--config", config).stdout
    made = described(broker)
    for topic, (partitions, days) in TOPICS[preset].items():
        assert topic in listed
        found, settings = made[topic]
        assert found == partitions, topic
        assert ("cleanup.policy=compact" if days is None
                else f"retention.ms={days * 86400000}") in settings, topic
    events = 6000
    run("loadgen", preset, "--rate", 0, "--events", events, "--seed", 5, "--start", START,
        "--event-rate", events / 900, "--target", f"kafka://{broker.address}",
        "--truth", tmp_path / "truth.json")
    truth = json.loads((tmp_path / "truth.json").read_text())
    with Streamobs(text_of(preset)) as engine:
        made = sum(truth["generated"].values())
        engine.wait(lambda: engine.metric("streamobs_events_accepted_total") == made, "the events")
        if preset in TRUTHS:
            check_against_truth(engine, broker, preset, truth)
        else:
            assert made >= events
        if preset == "metrics":
            check_dead_letters(engine, broker)


def check_against_truth(engine, broker, preset, truth):
    _, window, count = TRUTHS[preset]
    keys = list(truth["windows"][0]["keys"])
    expected = collections.Counter({(w["window_start"], *w["keys"].values()): w["count"]
                                    for w in truth["windows"]})

    def counted(rows):
        return collections.Counter({(r["window_start"], *(r[k] for k in keys)): r[count]
                                    for r in rows})

    engine.wait(lambda: counted(engine.closed(window)) == expected, "the windows", 120)
    topic = {"services": "service-metrics", "transactions": "category-sales",
             "metrics": "metrics-aggregated-1m", "llm": "llm.metrics"}[preset]
    messages = []

    def delivered():  # The API has rows before the store, and so the outbox, does.
        messages[:] = read_all(broker, topic)
        return len(messages) >= len(expected)
    engine.wait(delivered, "the messages", 60)
    engine.wait(lambda: all(s["outbox_rows"] == 0 for s in
                            engine.get("/api/v1/pipeline").json()["sinks"]), "the sinks", 60)
    messages[:] = read_all(broker, topic)
    assert len(messages) == len(expected)
    assert counted([value for _, value in messages]) == expected
    for key, value in messages:
        assert key == ("|".join(value[k] for k in keys) if preset == "llm" else value[keys[0]])
    if preset == "metrics":
        fives = read_all(broker, "metrics-aggregated-5m")
        assert sum(value["count"] for _, value in fives) == sum(expected.values())


def check_dead_letters(engine, broker):
    bad = json.dumps({"timestamp": "2026-01-05T00:00:00Z", "serviceId": "web", "metricName": "m"})
    broker.produce("metrics-events", [bad.encode(), b"{broken"])
    engine.wait(lambda: engine.metric("streamobs_events_rejected_total") == 2, "the refused ones")
    found = []
    engine.wait(lambda: found.extend(read_all(broker, "metrics-dead-letter")) or len(found) >= 2,
                "the dead letters")
    assert {(key, value["reason"]) for key, value in found} == {("web", "missing_field"),
                                                               ("", "not_json")}

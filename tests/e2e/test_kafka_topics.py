"""The topics of sinks: listed, made, waited for; against a real broker."""

import pytest

from harness import Streamobs, run
from kafka_broker import Broker, free_ports
from kafka_orders import Orders, check, config, post, wait_for_outbox, wait_for_rows


@pytest.fixture(scope="module")
def broker():
    with Broker() as running:
        yield running


def test_topics_are_listed_and_made(broker, tmp_path):
    text = config(broker, "made-1m", 'markers = "made-markers"') + """
[topic.made-1m]
partitions = 3
replication = 1
retention = "7d"
"""
    file = tmp_path / "obs.toml"
    file.write_text(text)
    done = run("kafka", "topics", "--config", file, check=False)
    listed = done.stdout
    assert done.returncode == 66 and "2 topics are missing; --create makes them" in done.stderr
    assert "made-1m" in listed and "missing: 3 partitions, replication 1, kept 7d" in listed
    made = run("kafka", "topics", "--config", file, "--create").stdout
    assert "made: 3 partitions, replication 1, kept 7d ([sink.out])" in made
    again = run("kafka", "topics", "--config", file, "--create").stdout
    assert "there: 3 partitions, replication 1 ([sink.out])" in again
    assert run("kafka", "topics", "--config", file).returncode == 0
    described = broker.tool("org.apache.kafka.tools.TopicCommand", "--describe", "--topic",
                            "made-1m")
    assert "retention.ms=604800000" in described and "PartitionCount: 3" in described
    markers = broker.tool("org.apache.kafka.tools.TopicCommand", "--describe", "--topic",
                          "made-markers")
    assert "cleanup.policy=compact" in markers and "PartitionCount: 1" in markers


def test_a_missing_topic_is_told_and_waited_for(broker):
    orders = Orders(9)
    with Streamobs(config(broker, "not-yet")) as engine:
        for _ in range(3):
            assert post(engine, orders.next())
        engine.wait(lambda: "the topic is not there" in engine.messages(), "to be told")
        assert "streamobs kafka topics --create" in engine.messages()
        broker.create("not-yet", partitions=1)
        wait_for_rows(engine, orders)
        wait_for_outbox(engine)
        assert engine.stop() == 0
    check(broker, "not-yet", orders)


def test_without_a_broker_topics_says_so(tmp_path):
    file = tmp_path / "obs.toml"
    address = f"127.0.0.1:{free_ports(1)[0]}"
    file.write_text(config(address, "out"))
    done = run("kafka", "topics", "--config", file, check=False)
    assert done.returncode == 75
    assert f"the brokers cannot be asked for their topics ({address})" in done.stderr
    assert "Connection refused" in done.stderr and "are the brokers up" in done.stderr


def test_a_refused_login_is_told_by_topics_and_by_the_sink(broker, tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMOBS_TEST_KAFKA", "open barley")
    options = """options = { "security.protocol" = "sasl_plaintext", "sasl.mechanism" = "PLAIN", \
"sasl.username" = "obs", "sasl.password" = "env:STREAMOBS_TEST_KAFKA" }"""
    text = config(broker.sasl_address, "out", options)
    file = tmp_path / "obs.toml"
    file.write_text(text)
    done = run("kafka", "topics", "--config", file, check=False)
    assert done.returncode == 75
    assert broker.sasl_address in done.stderr and "uthentication failed" in done.stderr
    assert '"sasl.password"' in done.stderr and "barley" not in done.stderr
    with Streamobs(text) as engine:
        def last_error():
            return engine.get("/api/v1/pipeline").json()["sinks"][0]["last_error"]
        engine.wait(lambda: last_error() is not None, "the complaint")
        assert "uthentication failed" in last_error()["error"]
        assert "sasl.password" in last_error()["advice"]

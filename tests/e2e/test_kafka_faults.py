"""What the Kafka source does when the brokers, the network or the config fail it, and what it says.

A real broker; between it and the engine a proxy of our own (tcp_proxy.py). More of it, with the broker
itself killed, is in test_kafka.py.
"""

import subprocess

import pytest

from harness import Streamobs
from kafka_broker import Broker
from tcp_proxy import TcpProxy
from test_kafka import closing, config, event, results, stamp, wait_for


def openssl(*arguments, directory):
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate authority that nobody knows, and a broker's certificate by it."""
    directory = tmp_path_factory.mktemp("certificates")
    (directory / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj",
            "/CN=somebody", directory=directory)
    openssl("req", *key, "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=broker",
            directory=directory)
    openssl("x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "san", "-out", "broker.crt",
            directory=directory)
    (directory / "broker.pem").write_text((directory / "broker.key").read_text() +
                                          (directory / "broker.crt").read_text())
    return directory


@pytest.fixture(scope="module")
def proxy():
    with TcpProxy(None) as running:
        yield running


@pytest.fixture(scope="module")
def broker(proxy, certificates):
    with Broker(proxy=proxy, certificate=certificates / "broker.pem") as running:
        yield running


@pytest.fixture(autouse=True)
def mended(proxy):
    yield
    proxy.mend()
    proxy.go_on()


def counts(engine, text):
    return engine.messages().count(text)


GONE, BACK = "the broker is gone", "the broker is back"


def test_a_broker_that_cannot_be_reached_for_a_while(broker, proxy):
    broker.create("cut")
    with Streamobs(config(proxy.address, ["cut"])) as engine:
        broker.produce("cut", [event(0, "a", 1)] * 10)
        engine.wait(lambda: engine.metric("streamobs_events_accepted_total") == 10, "the first ten")
        engine.wait(lambda: engine.metric("streamobs_kafka_brokers_up") == 1, "the connection")
        proxy.cut()
        engine.wait(lambda: counts(engine, GONE) == 1, "the loss to be told")
        engine.wait(lambda: engine.metric("streamobs_kafka_brokers_up") == 0, "it to be seen")
        broker.produce("cut", [event(1, "a", 2)] * 10 + [closing()])
        tries = engine.metric("streamobs_kafka_errors_total")
        engine.wait(lambda: engine.metric("streamobs_kafka_errors_total") > tries, "further tries",
                    seconds=60)
        assert engine.get("/readyz").status == 200
        assert results(engine) == {}
        source = engine.get("/api/v1/pipeline").json()["sources"][0]
        assert source["errors"] > 0 and source["topics"]["brokers_up"] == 0
        assert "are the brokers up" in source["last_error"]["advice"]
        proxy.mend()
        engine.wait(lambda: counts(engine, BACK) == 1, "the return to be told", seconds=60)
        wait_for(engine, {(stamp(0), "a"): [20, 30]})
        assert counts(engine, GONE) == 1
        assert "something is wrong" not in engine.messages()
        assert engine.stop() == 0


def test_it_stops_while_the_broker_is_away(broker, proxy):
    broker.create("stopped")
    with Streamobs(config(proxy.address, ["stopped"])) as engine:
        broker.produce("stopped", [event(0, "a", 1)])
        engine.wait(lambda: engine.metric("streamobs_events_accepted_total") == 1, "the first")
        proxy.cut()
        engine.wait(lambda: counts(engine, GONE) == 1, "the loss to be told")
        assert engine.stop() == 0
        broker.produce("stopped", [event(1, "a", 2), closing()])
        engine.start()  # Nobody there at the start.
        engine.wait(lambda: "the brokers cannot be asked" in engine.messages(), "the complaint")
        proxy.mend()
        wait_for(engine, {(stamp(0), "a"): [2, 3]})
        engine.wait(lambda: "the brokers answer" in engine.messages(), "the return to be told")


def test_a_broker_that_takes_requests_and_answers_none(broker, proxy):
    broker.create("stalled")
    options = 'options = { "socket.timeout.ms" = 2000, "reconnect.backoff.max.ms" = 1000 }'
    with Streamobs(config(proxy.address, ["stalled"], options)) as engine:
        broker.produce("stalled", [event(0, "a", 1)])
        engine.wait(lambda: engine.metric("streamobs_events_accepted_total") == 1, "the first")
        engine.wait(lambda: engine.metric("streamobs_kafka_brokers_up") == 1, "the connection")
        proxy.stall()
        engine.wait(lambda: GONE in engine.messages(), "the silence to be told", seconds=60)
        broker.produce("stalled", [event(1, "a", 2), closing()])
        proxy.go_on()
        wait_for(engine, {(stamp(0), "a"): [2, 3]})
        engine.wait(lambda: counts(engine, BACK) == counts(engine, GONE), "the return to be told")


def test_a_slow_broker(broker, proxy):
    broker.create("slow", partitions=2)
    proxy.delay(0.3)
    with Streamobs(config(proxy.address, ["slow"])) as engine:
        for partition in range(2):
            broker.produce("slow", [event(i // 200, "a", 1) for i in range(10_000)], partition)
            broker.produce("slow", [closing()], partition)
        wait_for(engine, {(stamp(0), "a"): [20_000, 20_000]})
        engine.wait(lambda: engine.metric("streamobs_kafka_round_trip_seconds") > 0.5,
                    "it to be seen how slow")
        assert "gone" not in engine.messages()
        assert "something is wrong" not in engine.messages()


def test_a_topic_that_is_not_there(broker):
    with Streamobs(config(broker, ["nowhere"])) as engine:
        engine.wait(lambda: 'topic \\"nowhere\\"' in engine.messages(), "the complaint")
        assert "streamobs kafka topics --create" in engine.messages()
        broker.create("nowhere")
        broker.produce("nowhere", [event(0, "a", 1), closing()])
        wait_for(engine, {(stamp(0), "a"): [1, 1]})
        assert counts(engine, "it is not there") == 1


def test_partitions_added_while_it_runs(broker):
    broker.create("grows")
    extra = 'start = "latest"\noptions = { "topic.metadata.refresh.interval.ms" = 1000 }'
    with Streamobs(config(broker, ["grows"], extra)) as engine:
        engine.wait(lambda: "partitions are being read" in engine.messages(), "the partition")
        broker.produce("grows", [event(0, "a", 1)], 0)
        broker.add_partitions("grows", 3)
        # What comes before anybody has noticed counts too, though it starts at the latest.
        for partition in (1, 2):
            broker.produce("grows", [event(partition, "a", 2)], partition)
        engine.wait(lambda: engine.metric("streamobs_events_accepted_total") == 3, "all three")
        for partition in range(3):
            broker.produce("grows", [closing()], partition)
        wait_for(engine, {(stamp(0), "a"): [3, 5]})
        assert engine.metric("streamobs_late_events_total") == 0


def test_tls(broker, certificates):
    broker.create("tls")
    broker.produce("tls", [event(0, "a", 1), closing()])

    def options(**more):
        text = ", ".join(f'"{name.replace("_", ".")}" = "{value}"' for name, value in more.items())
        return f"options = {{ {text} }}"
    # Not told to speak TLS.
    with Streamobs(config(broker.tls_address, ["tls"])) as engine:
        engine.wait(lambda: "the brokers cannot be asked" in engine.messages(), "the complaint")
        assert r'\"security.protocol\"' in engine.messages()
        assert engine.stop() == 0
    # A certificate by somebody unknown.
    with Streamobs(config(broker.tls_address, ["tls"], options(security_protocol="ssl"))) as engine:
        engine.wait(lambda: r'\"ssl.ca.location\" in' in engine.messages(), "the complaint")
        engine.wait(lambda: engine.metric("streamobs_kafka_errors_total") >= 2, "further tries")
        assert counts(engine, r'\"ssl.ca.location\" in') == 1
        assert engine.stop() == 0
    known = options(security_protocol="ssl", ssl_ca_location=certificates / "ca.pem")
    with Streamobs(config(broker.tls_address, ["tls"], known)) as engine:
        wait_for(engine, {(stamp(0), "a"): [1, 1]})
        assert "something is wrong" not in engine.messages()


@pytest.mark.parametrize("goes_on", [False, True])
def test_messages_that_expire_while_the_broker_is_away(broker, proxy, goes_on):
    topic = f"expires-{goes_on}"
    broker.create(topic)
    broker.produce(topic, [event(0, "a", 1)] * 10)
    extra = 'on_gap = "continue"' if goes_on else ""
    with Streamobs(config(proxy.address, [topic], extra)) as engine:
        engine.wait(lambda: engine.metric("streamobs_events_accepted_total") == 10, "the first ten")
        proxy.cut()
        broker.produce(topic, [event(1, "lost", 1)] * 20 + [event(2, "a", 1)] * 5 + [closing()])
        broker.delete_before(topic, 0, 30)
        proxy.mend()
        if goes_on:
            wait_for(engine, {(stamp(0), "a"): [15, 15]})
            assert engine.metric("streamobs_kafka_gap_messages_total") == 20
            assert counts(engine, "going on behind the gap") == 1
        else:
            engine.wait(lambda: "a source has failed" in engine.messages(), "the error")
            assert "message 10 was to be read next, and the brokers have 30 to 36" in engine.messages()
            assert engine.get("/readyz").status == 200
        assert engine.stop() == 0

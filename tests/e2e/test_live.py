"""Live readers of the real engine: by WebSocket, with its own small client of the protocol."""

import json
import time

import pytest

from harness import Streamobs
from web_socket import Closed, WebSocket

CONFIG = """
[stream.requests]
time = "at"
idle_timeout = "1h"
fields = { service = "string", ms = "float" }

[window.per_minute]
from = "requests"
size = "1m"
by = ["service"]
emit_every = "100ms"
[window.per_minute.select]
n = "count(*)"

[rule.slow]
on = "per_minute"
when = "n >= 5"
severity = "high"
"""

MINUTE = 60
T0 = int(time.time()) // MINUTE * MINUTE - 60 * MINUTE


def event(minute, service="checkout", ms=1.0):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(T0 + minute * MINUTE))
    return {"at": at, "service": service, "ms": ms}


def closed_row(live):
    while True:
        message = live.next("window")
        rows = [row for row in message["data"]["rows"] if row["closed"]]
        if rows:
            return message["id"], rows


def test_results_come_and_are_the_apis():
    with Streamobs(CONFIG) as engine, WebSocket(engine.url, "/api/v1/live") as live:
        engine.post("requests", [event(0)] * 7)
        row = live.next("window")["data"]["rows"][0]
        assert (row["closed"], row["service"], row["n"]) == (False, "checkout", 7)
        engine.post("requests", [event(1)])
        _, rows = closed_row(live)
        anomaly = live.next("anomaly")["data"]
        incident = live.next("incident")["data"]
        assert (anomaly["rule"], anomaly["keys"]) == ("slow", {"service": "checkout"})
        assert incident["anomaly_ids"] == [anomaly["id"]]
        engine.wait(lambda: engine.closed("per_minute"), "the row in the store")
        assert rows == engine.closed("per_minute")
        assert live.next("pipeline")["data"]["events_total"] == 8
        assert engine.metric("streamobs_live_readers") == 1


def test_a_restart_is_said_and_nothing_after_it_is_missed():
    with Streamobs(CONFIG) as engine:
        with WebSocket(engine.url, "/api/v1/live?windows=per_minute") as live:
            engine.post("requests", [event(0), event(1)])
            last, rows = closed_row(live)
            assert rows[0]["n"] == 1
            engine.process.terminate()
            with pytest.raises(Closed) as ended:
                while True:
                    last = live.message()["id"]
            assert (ended.value.code, ended.value.reason) == (1001, "the engine is stopping")
        assert engine.process.wait(timeout=60) == 0
        engine.log.close()
        engine.start()
        engine.post("requests", [event(1), event(2)])
        engine.wait(lambda: len(engine.closed("per_minute")) == 2, "the second window")
        # It comes late, and gets what there has been since.
        with WebSocket(engine.url, f"/api/v1/live?last_event_id={last}") as live:
            _, rows = closed_row(live)
            assert [(row["service"], row["n"]) for row in rows] == [("checkout", 2)]


def test_who_may_not_listen():
    with Streamobs(CONFIG + "\n[http]\nlive_connections_max = 2\n") as engine:
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"},
                        {"Sec-Fetch-Site": "cross-site"}):
            with WebSocket(engine.url, "/api/v1/live", headers) as live:
                assert live.status == 403, headers
        own = {"Origin": engine.url}
        with WebSocket(engine.url, "/api/v1/live", own) as one, \
                WebSocket(engine.url, "/api/v1/live", own) as two:
            assert (one.status, two.status) == (101, 101)
            with WebSocket(engine.url, "/api/v1/live", own) as third:
                assert third.status == 503
            one.send(1, b"x" * (65 << 10))
            with pytest.raises(Closed) as ended:
                while True:
                    one.message()
            assert ended.value.code == 1009
            assert two.next("pipeline")["data"]["events_total"] == 0
        assert engine.metric("streamobs_http_rejected_total", reason="web_socket_message") == 1
        # urllib says Connection: close.
        problem = engine.request("GET", "/api/v1/live", headers={"Upgrade": "websocket"})
        assert problem.status == 400
        assert "Connection does not say Upgrade" in json.loads(problem.body)["detail"]

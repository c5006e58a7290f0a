"""The running engine: what goes in over HTTP, and what can be seen of it from outside."""

import collections
import datetime
import json
import signal
import socket
import subprocess
import time

import pytest

from harness import BINARY, ROOT, SHARED, Streamobs, ndjson, query, run

BASIC = """
[stream.requests]
time = "event_time"
fields = { service = "string", latency_ms = "float", status_code = "int", note = "string" }
required = ["service"]
idle_timeout = "%(idle)s"
derive = { slow = "latency_ms > 100" }
filter = "service <> 'ignored'"
check = { positive_latency = "latency_ms is null or latency_ms >= 0" }

[window.per_service]
size = "1m"
by = ["service"]
allowed_lateness = "10s"
emit_every = "100ms"
max_keys = %(max_keys)d
[window.per_service.select]
requests = "count(*)"
slow = "count(*) filter (where slow)"
errors = "count(*) filter (where status_code >= 500)"
error_rate = "errors / requests"
total_ms = "sum(latency_ms)"
p95 = "quantile(latency_ms, 0.95)"
"""


def basic(idle="30s", max_keys=1000, extra=""):
    return BASIC % {"idle": idle, "max_keys": max_keys} + extra


def at(seconds, minute=0):
    return f"2026-01-09T12:{minute:02d}:{seconds:02d}Z"


def event(seconds, minute=0, service="checkout", latency_ms=10, **more):
    return {"event_time": at(seconds, minute), "service": service, "latency_ms": latency_ms, **more}


def test_open_windows_are_seen_and_closed_ones_are_stored():
    with Streamobs(basic()) as engine:
        reply = engine.post("requests", [event(1), event(2, status_code=503, latency_ms=250)])
        assert reply.status == 200
        assert reply.json() == {"accepted": 2, "rejected": 0, "errors": []}
        engine.wait(lambda: engine.windows("per_service"), "an open window")
        row = engine.windows("per_service")[0]
        assert row["closed"] is False and row["window_start"] == at(0) and row["revision"] == 0
        assert (row["requests"], row["slow"], row["errors"], row["error_rate"]) == (2, 1, 1, 0.5)
        # An event past the end and the lateness closes it: [start, end).
        engine.post("requests", [event(9, 1)])
        time.sleep(0.3)
        assert not engine.closed("per_service")
        engine.post("requests", [event(10, 1)])
        engine.wait(lambda: engine.closed("per_service"), "the window to close")
        row = engine.closed("per_service")[0]
        assert (row["requests"], row["total_ms"]) == (2, 260)
        engine.wait(lambda: engine.database().execute(
            "SELECT count(*) FROM per_service").fetchone()[0] == 1, "the row in SQLite")
        # As an outsider sees it, with the engine running.
        shown = subprocess.run(["sqlite3", "-header", f"{engine.data_dir}/streamobs.db",
                                "SELECT * FROM per_service"], capture_output=True, text=True)
        assert shown.stdout.splitlines() == [
            "window_start|window_end|service|requests|slow|errors|error_rate|total_ms|p95|closed|revision",
            f"{at(0)}|{at(0, 1)}|checkout|2|1|1|0.5|260.0|{float(row['p95'])}|1|0"]


def test_every_refused_event_is_named_and_kept():
    with Streamobs(basic()) as engine:
        body = b"\n".join([
            json.dumps(event(1)).encode(), b'{"event_time": "2026-01-09T12:00:01Z"}',
            b'{"event_time": "yesterday", "service": "a"}', b"not json",
            json.dumps(event(2, latency_ms="fast")).encode(),
            json.dumps(event(3, latency_ms=-1)).encode(),
            b'{"event_time": "2026-01-09T12:00:01Z", "service": "a", "service": "b"}',
            b'{"event_time": "2026-01-09T12:00:01Z", "service": "a", "latency_ms": 1e999}',
            b'{"event_time": "2026-01-09T12:00:01Z", "service": "\xff"}',
            b'{"event_time": "2026-01-09T12:00:01Z", "service": "a", "x": ' + b"[" * 40 + b"]" * 40 + b"}",
            json.dumps({**event(1), "event_time": "2999-01-01T00:00:00Z"}).encode()])
        # There before the first one: an increase from nothing is none.
        for reason in ["wrong_type", "positive_latency"]:
            assert f'reason="{reason}"' in engine.get("/metrics").body.decode()
        reply = engine.post("requests", body)
        assert reply.status == 200
        answer = reply.json()
        assert (answer["accepted"], answer["rejected"]) == (1, 10)
        assert [(e["index"], e["reason"]) for e in answer["errors"]] == [
            (1, "missing_field"), (2, "bad_time"), (3, "not_json"), (4, "wrong_type"),
            (5, "positive_latency"), (6, "duplicate_key"), (7, "out_of_range"), (8, "bad_utf8"),
            (9, "too_deep"), (10, "future")]
        engine.wait(lambda: len(engine.get("/api/v1/dead-letters").json()["rows"]) == 10,
                    "the dead letters")
        letters = {r["position"]: r for r in engine.get("/api/v1/dead-letters").json()["rows"]}
        assert letters[3]["payload"] == "not json" and letters[3]["stream"] == "requests"
        only = engine.get("/api/v1/dead-letters", reason="future").json()["rows"]
        assert [r["reason"] for r in only] == ["future"]
        assert engine.metric("streamobs_events_rejected_total", reason="wrong_type") == 1
        # None of them good: 400, with the same body.
        reply = engine.post("requests", b"nonsense\n")
        assert reply.status == 400 and reply.json()["errors"][0]["reason"] == "not_json"


def test_bodies_in_every_form():
    with Streamobs(basic()) as engine:
        headers = {"Content-Type": "application/json"}
        one = json.dumps(event(1)).encode()
        assert engine.request("POST", "/v1/events/requests", one, headers).json()["accepted"] == 1
        array = json.dumps([event(1), event(2)], indent=2).encode()
        assert engine.request("POST", "/v1/events/requests", array, headers).json()["accepted"] == 2
        assert engine.post("requests", [event(3)] * 1000, compress=True).json()["accepted"] == 1000
        host, port = engine.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(f"POST /v1/events/requests HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: "
                        "application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for piece in (one[:10], one[10:]):
                raw.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            raw.sendall(b"0\r\n\r\n")
            assert b'"accepted": 1' in raw.recv(4096)
        assert engine.request("POST", "/v1/events/nothing", one, headers).status == 404
        assert engine.request("POST", "/v1/events/requests", one,
                              {"Content-Type": "text/html"}).status == 415
        assert engine.request("POST", "/v1/events/requests", b"x" * (9 << 20), headers).status == 413
        engine.wait(lambda: sum(r["requests"] for r in engine.windows("per_service")) == 1004,
                    "all events counted")


def test_a_flood_of_refused_events_is_counted_in_full_but_kept_in_part():
    with Streamobs(basic()) as engine:
        reply = engine.request("POST", "/v1/events/requests", b"1\n" * 200_000,
                               {"Content-Type": "application/x-ndjson"})
        assert reply.status == 400
        assert reply.json()["rejected"] == 200_000 and len(reply.json()["errors"]) == 100
        assert engine.metric("streamobs_events_rejected_total", reason="not_json") == 200_000
        assert engine.metric("streamobs_dead_letters_dropped_total") == 190_000


def test_bad_live_requests_use_up_no_slots():
    with Streamobs("[http]\nlive_connections_max = 2\n" + basic()) as engine:
        host, port = engine.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as raw:
            for _ in range(5):
                raw.sendall(f"GET /api/v1/live?windows=nope HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
                assert b" 400 " in raw.recv(65536)
        with socket.create_connection((host, int(port)), timeout=20) as raw:
            raw.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert b" 200 " in raw.recv(65536)


def test_late_events_are_counted_and_kept():
    with Streamobs(basic()) as engine:
        engine.post("requests", [event(5), event(30, 2), event(7)])
        engine.wait(lambda: engine.closed("per_service"), "the first minute to close")
        assert engine.closed("per_service")[0]["requests"] == 1
        assert engine.metric("streamobs_late_events_total", window="per_service") == 1
        engine.wait(lambda: engine.get("/api/v1/dead-letters", reason="late").json()["rows"],
                    "the late event as a dead letter")
        letter = engine.get("/api/v1/dead-letters", reason="late").json()["rows"][0]
        assert letter["window"] == "per_service"
        assert json.loads(letter["payload"])["service"] == "checkout"


def test_silent_sources_close_windows_but_never_before_their_end():
    now = datetime.datetime.now(datetime.timezone.utc)
    with Streamobs(basic(idle="1s").replace('size = "1m"', 'size = "4s"')
                   .replace('allowed_lateness = "10s"', 'allowed_lateness = "0s"')) as engine:
        start = time.time()
        engine.post("requests", [{**event(0), "event_time": now.isoformat()}])
        engine.wait(lambda: engine.closed("per_service"), "the window to close by itself")
        row = engine.closed("per_service")[0]
        end = datetime.datetime.fromisoformat(row["window_end"].replace("Z", "+00:00")).timestamp()
        assert time.time() >= end
        assert time.time() - start < 10
        # Another window, old in event time: closed by silence as well, then the next is welcome.
        engine.post("requests", [{**event(0), "event_time": now.isoformat()}])


def test_keys_beyond_the_cap_share_a_group_and_totals_stay_exact():
    for lanes in (1, 3):
        with Streamobs(f"lanes = {lanes}\n" + basic(max_keys=3)) as engine:
            for i in range(20):
                engine.post("requests", [event(1, service=f"s{(i + j) % 8}", latency_ms=0.1)
                                         for j in range(8)])
            engine.post("requests", [event(30, 2, service="s0")])
            engine.wait(lambda: engine.closed("per_service"), "the window to close")
            rows = {r["service"]: r["requests"] for r in engine.closed("per_service")}
            assert rows == {"s0": 20, "s1": 20, "s2": 20, "__overflow__": 100}
            assert sum(r["total_ms"] for r in engine.closed("per_service")) == pytest.approx(16)


def test_queries_filter_and_explain_mistakes():
    with Streamobs(basic()) as engine:
        for minute in range(5):
            engine.post("requests", [event(1, minute, service=s) for s in ("a", "b", "c")])
        engine.post("requests", [event(30, 6)])
        engine.wait(lambda: len(engine.closed("per_service")) == 15, "five minutes to close")
        # The open one, once it is shown, is the newest.
        engine.wait(lambda: len(engine.windows("per_service", windows=2)) == 4, "the open window")
        assert len(engine.windows("per_service", limit=4)) == 4
        rows = engine.windows("per_service", service="b", from_=at(0, 1), to=at(0, 3))
        assert [(r["window_start"], r["service"]) for r in rows] == [(at(0, 2), "b"), (at(0, 1), "b")]
        assert engine.get("/api/v1/windows/nothing").status == 404
        for wrong in ("limit=x", "from=yesterday", "sevrice=a"):
            reply = engine.get("/api/v1/windows/per_service?" + wrong)
            assert reply.status == 400, wrong
            assert reply.headers["Content-Type"] == "application/problem+json"
            assert wrong.split("=")[0] in reply.json()["detail"]
        streams = engine.get("/api/v1/streams").json()["rows"]
        assert streams[0]["accepted"] == 16
        for path in ("/livez", "/readyz", "/healthz", "/health", "/-/healthy", "/-/ready"):
            assert engine.get(path).status == 200, path


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_window_that_is_open_at_a_stop_goes_on_after_the_restart(sent):
    with Streamobs(basic()) as engine:
        engine.post("requests", [event(5, service=f"s{i % 50}") for i in range(20000)])
        assert engine.stop(sent) == 0
        assert query(engine.data_dir / "streamobs.db", "SELECT * FROM per_service") == []
        engine.start()
        engine.post("requests", [event(6, service=f"s{i % 50}") for i in range(500)])
        engine.post("requests", [event(30, minute=2)])
        database = engine.data_dir / "streamobs.db"
        engine.wait(lambda: len(query(database, "SELECT * FROM per_service")) == 50,
                    "the window to close and to be stored")
        rows = query(database, "SELECT * FROM per_service")
        assert sum(r["requests"] for r in rows) == 20500
        assert {r["closed"] for r in rows} == {1}


def test_a_second_process_on_the_same_directory_is_refused():
    with Streamobs(basic()) as engine:
        second = subprocess.run(
            [str(BINARY), "--config", str(engine.directory / "obs.toml"), "--data-dir",
             str(engine.data_dir), "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=20)
        assert second.returncode == 75
        assert str(engine.process.pid) in second.stderr


def test_a_token_guards_everything_but_health(tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    with Streamobs(f'[http]\ntoken = "file:{tmp_path}/token"\n' + basic()) as engine:
        assert engine.get("/livez").status == 200
        assert engine.get("/api/v1/streams").status == 401
        assert engine.post("requests", [event(1)]).status == 401
        good = {"Authorization": "Bearer s3cret"}
        assert engine.request("GET", "/api/v1/streams", headers=good).status == 200
        assert engine.request("GET", "/metrics", headers={"Authorization": "Bearer x"}).status == 401
        assert "s3cret" not in engine.messages()


def test_foreign_origins_and_hosts_are_turned_away():
    with Streamobs(basic()) as engine:
        assert engine.request("POST", "/v1/events/requests", b"{}", {
            "Content-Type": "application/json", "Origin": "http://evil.example"}).status == 403
        assert engine.request("GET", "/api/v1/live", headers={
            "Origin": "http://evil.example"}).status == 403
        assert engine.request("GET", "/", headers={"Host": "evil.example"}).status in (400, 403, 421)


def test_live_events_arrive_while_windows_are_open():
    with Streamobs(basic()) as engine:
        host, port = engine.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as raw:
            raw.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            seen = b""
            while b"retry: 2000" not in seen:
                seen += raw.recv(65536)
            engine.post("requests", [event(1)])
            while b"event: window" not in seen:
                seen += raw.recv(65536)
            engine.post("requests", [event(30, 2)])
            while b'"closed":true' not in seen.replace(b" ", b""):
                seen += raw.recv(65536)


def test_replay_says_what_came_of_it(tmp_path):
    (tmp_path / "obs.toml").write_text(basic())
    (tmp_path / "in.ndjson").write_bytes(ndjson([event(1), event(2, 5), event(3)]) + b"junk\n")
    done = run("replay", "--config", tmp_path / "obs.toml", "--data-dir", tmp_path / "data",
               tmp_path / "in.ndjson")
    assert "4 events" in done.stderr and "rejected 1" in done.stderr and "late 1" in done.stderr
    rows = query(tmp_path / "data/streamobs.db", "SELECT * FROM per_service")
    assert [r["closed"] for r in rows] == [1, 1]
    letters = query(tmp_path / "data/streamobs.db", "SELECT * FROM dead_letters WHERE reason = 'not_json'")
    assert letters[0]["position"] == 4 and letters[0]["origin"].endswith("in.ndjson")
    missing = run("replay", "--config", tmp_path / "obs.toml", "--data-dir", tmp_path / "data2",
                  tmp_path / "nothing.ndjson", check=False)
    assert missing.returncode == 78 and "nothing.ndjson" in missing.stderr


def test_files_are_followed_and_stdin_is_read(tmp_path):
    log = tmp_path / "app.log"
    log.write_bytes(ndjson([event(1)]))
    config = basic() + f"""
[source.log]
type = "file"
path = "{log}"
follow = true
[source.pipe]
type = "stdin"
"""
    with Streamobs(config) as engine:
        count = lambda: sum(r["requests"] for r in engine.windows("per_service"))
        engine.wait(lambda: count() == 1, "the first line")
        with open(log, "ab") as file:
            file.write(ndjson([event(2), event(3)]))
        engine.wait(lambda: count() == 3, "the appended lines")
        log.rename(tmp_path / "app.log.1")
        log.write_bytes(ndjson([event(4)]))
        engine.wait(lambda: count() == 4, "the line after rotation")
        engine.process.stdin.write(ndjson([event(5)]))
        engine.process.stdin.close()
        engine.wait(lambda: count() == 5, "the line from stdin")
        assert engine.stop() == 0


# What must be refused is refused, what must be accepted is accepted: JSONTestSuite over HTTP.

GENERATED_JSON = {
    "y_nested": b'{"a":[1,{"b":null}]}', "y_escapes": rb'["\u00e9\n\"\\\/\ud83d\ude00"]', "y_number": b"-1.5e-3",
    "y_space": b" [ ] ", "n_comma": b"[1,]", "n_bare": b"abc", "n_open": b"[1", "n_control": b'["\x01"]',
    "n_leading_zero": b"[01]", "n_plus": b"[+1]", "n_nan": b"[NaN]", "n_single": b"['a']",
    "n_trailing": b"{} x", "n_colon": b'{"a" 1}', "n_surrogate": b'{"a":"\\uZZZZ"}', "n_utf8": b'["\xff"]'}


def json_cases():
    folder = SHARED / "json"
    if folder.exists():
        for path in sorted(folder.glob("*.json")):
            yield path.name, path.read_bytes()
    for name, text in GENERATED_JSON.items():
        yield name, text


def test_json_suite():
    cases = list(json_cases())
    if len(cases) == len(GENERATED_JSON):
        print(f"no {SHARED}/json here: only the generated cases run")
    headers = {"Content-Type": "application/json"}
    wrong = []
    with Streamobs(basic()) as engine:
        for name, document in cases:
            # As an undeclared field of an otherwise good event, so that any JSON value can stand there.
            prefix = b'[{"event_time":"2026-01-09T12:00:01Z","service":"a","x":'
            reply = engine.request("POST", "/v1/events/requests", prefix + document + b"}]", headers)
            # Deep nesting and duplicate keys are valid JSON that we refuse on purpose.
            ours = b"too_deep" in reply.body or b"duplicate_key" in reply.body
            if name.startswith("y_") and reply.status != 200 and not ours:
                wrong.append((name, reply.status, reply.body[:200]))
            if name.startswith("n_") and reply.status == 200 and reply.json()["accepted"] != 0:
                # Some n_ cases are only wrong at top level, as they close what we opened.
                if document.count(b"}") <= document.count(b"{"):
                    wrong.append((name, reply.status, reply.body[:200]))
            assert engine.process.poll() is None, f"crashed on {name}"
    assert not wrong, wrong


def test_what_a_changed_config_drops_is_told_in_windows_and_events():
    uncounted = """[window.sums]
size = "1m"
select = { total_ms = "sum(latency_ms)" }
"""
    with Streamobs(basic(idle="1h", extra=uncounted)) as engine:
        assert engine.post("requests", [event(i, service=f"s{i % 3}") for i in range(7)]).status == 200

        def told_after(text):
            engine.stop()
            (engine.directory / "obs.toml").write_text(text)
            engine.start()
            life = engine.messages()[engine.life_from:].splitlines()
            return {line["window"]: line for line in map(json.loads, filter(lambda l: l.startswith("{"), life))
                    if line["log.level"] == "warn" and "window" in line}
        told = told_after(basic(idle="1h", extra=uncounted).replace('latency_ms = "float"', 'latency_ms = "int"'))
        assert "begins anew" in told["per_service"]["message"]
        assert [told["per_service"][key] for key in ("open", "rows", "events")] == [1, 3, 7]
        assert [told["sums"][key] for key in ("open", "rows")] == [1, 1]
        assert told["sums"]["events"].startswith("not known")
        engine.post("requests", [event(8)])
        told = told_after(basic()[:basic().index("[window.per_service]")])
        assert told.keys() == {"per_service", "sums"} and "is dropped" in told["per_service"]["message"]
        assert told["per_service"]["events"] == 1


# Every invalid config is an error with a place, and exit code 78.

def test_invalid_configs_are_errors_with_a_place(tmp_path):
    files = sorted((SHARED / "toml/invalid").rglob("*.toml"))
    if not files:
        print(f"no {SHARED}/toml here: only the generated cases run")
    for i, text in enumerate(["a = ", "[x", 'a = "b', "a = 1\na = 2", "= 1", "[window]\nw = 3"]):
        path = tmp_path / f"bad{i}.toml"
        path.write_text(text)
        files.append(path)
    silent = []
    for path in files:
        done = run("validate", "--config", path, check=False)
        if done.returncode != 78 or f"{path.name}:" not in done.stderr:
            silent.append((str(path), done.returncode, done.stderr[:300]))
    assert not silent, silent


def test_shipped_configs_are_valid():
    for path in sorted((ROOT / "config").glob("*.toml")):
        done = run("validate", "--deny-warnings", "--config", path, check=False)
        assert done.returncode == 0, done.stderr


def test_help_teaches():
    text = run("--help").stdout
    for word in ("validate", "replay", "loadgen", "--config", "Examples"):
        assert word in text
    assert run("--version").stdout.startswith("streamobs ")
    assert run("--no-such-thing", check=False).returncode == 78

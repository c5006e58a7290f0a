"""Lines that are no JSON (syslog, logfmt, patterns), over HTTP, from files and standard input.

Of Kafka: test_kafka.py.
"""

import collections
import json
import random
from datetime import datetime, timedelta, timezone

from harness import Streamobs, query, run

SYSLOG = """
[stream.logs]
time = "timestamp"
format = "syslog"
fields = { severity = "int", hostname = "string", app_name = "string", message = "string" }
derive = { level = "log_level(severity)" }
idle_timeout = "300ms"
[window.levels]
size = "1m"
by = { app = "app_name", level = "level" }
select = { lines = "count(*)" }
"""
LEVELS = ["CRITICAL", "CRITICAL", "CRITICAL", "ERROR", "WARN", "INFO", "INFO", "DEBUG"]


def syslog_lines(seed, count):
    """Lines of both RFCs from the last hours, and how many there are of each minute, app, level."""
    source = random.Random(seed)
    moment = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=2)
    lines, expected = [], collections.Counter()
    for i in range(count):
        moment += timedelta(seconds=source.choice([0, 0, 1]))
        severity, facility = source.randrange(8), source.randrange(24)
        app = source.choice(["web", "db"])
        if source.random() < 0.5:
            lines.append(f"<{facility * 8 + severity}>1 {moment:%Y-%m-%dT%H:%M:%SZ} host {app} {i} "
                         f'- [x@1 a="b\\]"] number {i}')
        else:
            day = f"{moment.day:2d}"
            lines.append(f"<{facility * 8 + severity}>{moment:%b} {day} {moment:%H:%M:%S} host "
                         f"{app}[{i}]: number {i}")
        expected[(f"{moment:%Y-%m-%dT%H:%M:00Z}", app, LEVELS[severity])] += 1
    return lines, expected


def counted(rows):
    return collections.Counter({(r["window_start"], r["app"], r["level"]): r["lines"]
                                for r in rows})


def test_syslog_over_http_with_dead_letters_and_json_beside():
    lines, expected = syslog_lines(1, 400)
    with Streamobs(SYSLOG) as engine:
        for i in range(0, len(lines), 50):
            body = "\n".join(lines[i:i + 50]).encode()
            reply = engine.request("POST", "/v1/events/logs", body, {"Content-Type": "text/plain"})
            assert reply.json()["accepted"] == 50, reply.body
        reply = engine.request("POST", "/v1/events/logs",
                               b"<13>hello\n<34>1 now\n" + lines[-1].encode(),
                               {"Content-Type": "text/plain; charset=utf-8"})
        answer = reply.json()
        assert (answer["accepted"], answer["rejected"]) == (1, 2)
        assert [e["reason"] for e in answer["errors"]] == ["missing_field", "not_a_record"]
        # What curl says where nobody tells it otherwise.
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert engine.request("POST", "/v1/events/logs", b"x", form).status == 415
        minute, app, level = max(expected)
        last = lines[-1]
        sent = {"timestamp": minute, "app_name": "json", "severity": 4, "message": "as JSON"}
        assert engine.post("logs", [sent]).json()["accepted"] == 1
        expected[(minute, "json", "WARN")] += 1
        _, more = syslog_lines(1, 400)
        last_key = [key for key in more if key[0] == minute]
        assert last_key
        engine.wait(lambda: sum(r["lines"] for r in engine.windows("levels")) == 402, "all lines")
        got = counted(engine.windows("levels"))
        got.subtract(expected)
        # The line sent twice is the only one more.
        assert sum(got.values()) == 1 and set(got.values()) <= {0, 1}
        letters = engine.get("/api/v1/dead-letters").json()["rows"]
        assert {row["payload"] for row in letters} == {"<13>hello", "<34>1 now"}
        assert "number 399" in last
        assert engine.stop() == 0


def test_syslog_from_a_file_goes_on_after_a_kill(tmp_path):
    lines, expected = syslog_lines(2, 600)
    path = tmp_path / "syslog"
    config = f'[source.file]\ntype = "file"\npath = "{path}"\nfollow = true\n' + SYSLOG
    path.write_text("".join(line + "\n" for line in lines[:300]))
    with Streamobs(config) as engine:
        engine.wait(lambda: sum(r["lines"] for r in engine.windows("levels")) == 300, "a half")
        engine.process.kill()
        engine.process.wait()
        with path.open("a") as file:
            file.write("".join(line + "\n" for line in lines[300:]))
        engine.start()
        engine.wait(lambda: sum(r["lines"] for r in engine.windows("levels")) >= 600, "the rest")
        assert counted(engine.windows("levels")) == expected


PATTERN = """
[stream.logs]
time = "time"
format = "pattern"
idle_timeout = "10m"
pattern = ['{time} {+time} [{level}] {service}: {message}', '{time} {+time} {level} {message}']
fields = { level = "string", service = "string", message = "string" }
derive = { log_level = "coalesce(log_level(level), 'none')" }
[window.levels]
size = "1m"
by = { app = "coalesce(service, '-')", level = "log_level" }
select = { lines = "count(*)" }
"""


def test_files_are_replayed_in_the_stream_s_own_format(tmp_path):
    config = tmp_path / "obs.toml"
    config.write_text(PATTERN)
    log = tmp_path / "app.log"
    log.write_text("2024-01-09 12:34:56,789 [WARNING] shop: slow: 7 s\r\n"
                   "2024-01-09 12:34:57,001 [E] shop: no answer\n"
                   "    at shop.Cart.pay(Cart.java:12)\n"
                   "2024-01-09 12:34:58 INFO   up\n"
                   "2024-01-09 12:35:00 LOUD up\n")
    data = tmp_path / "data"
    run("replay", "--config", config, "--data-dir", data, log)
    assert counted(query(data / "streamobs.db", "SELECT * FROM levels")) == {
        ("2024-01-09T12:34:00Z", "shop", "WARN"): 1, ("2024-01-09T12:34:00Z", "shop", "ERROR"): 1,
        ("2024-01-09T12:34:00Z", "-", "INFO"): 1, ("2024-01-09T12:35:00Z", "-", "none"): 1}
    letters = query(data / "streamobs.db", "SELECT reason, position, payload FROM dead_letters")
    assert letters == [{"reason": "not_a_record", "position": 3,
                        "payload": "    at shop.Cart.pay(Cart.java:12)"}]
    # --format says otherwise for once.
    other = tmp_path / "other.log"
    other.write_text('time=2024-01-09T12:34:56Z level=warn service=x message="a b"\n')
    data = tmp_path / "other"
    run("replay", "--config", config, "--data-dir", data, "--format", "logfmt", other)
    assert counted(query(data / "streamobs.db", "SELECT * FROM levels")) == {
        ("2024-01-09T12:34:00Z", "x", "WARN"): 1}


def test_refused_lines_are_replayed_once_a_pattern_fits_them():
    only = PATTERN.replace(", '{time} {+time} {level} {message}']", "]")
    assert only != PATTERN
    with Streamobs(only) as engine:
        body = (b"2024-01-09 12:34:56,789 [WARNING] shop: slow\n"
                b"2024-01-09 12:34:58 INFO up and away\n")
        reply = engine.request("POST", "/v1/events/logs", body, {"Content-Type": "text/plain"})
        assert (reply.json()["accepted"], reply.json()["rejected"]) == (1, 1)
        engine.wait(lambda: len(engine.get("/api/v1/dead-letters").json()["rows"]) == 1, "it")
        assert engine.stop() == 0
        (engine.directory / "obs.toml").write_text(PATTERN)
        engine.start()
        engine.wait(lambda: engine.get("/readyz").status == 200, "recovery")
        reply = engine.request("POST", "/api/v1/dead-letters/replay")
        assert reply.json()["accepted"] == 1, reply.body
        engine.wait(lambda: counted(engine.windows("levels")) == {
            ("2024-01-09T12:34:00Z", "shop", "WARN"): 1,
            ("2024-01-09T12:34:00Z", "-", "INFO"): 1}, "both lines")


def test_refused_lines_are_replayed_by_the_pattern_they_came_with():
    """The lines of today look otherwise: what came before is cut as it was then."""
    checked = PATTERN.replace("[window.levels]", "check = { known = \"service <> 'cart'\" }\n"
                              "[window.levels]")
    later = PATTERN.replace("['{time} {+time} [{level}] {service}: {message}', "
                            "'{time} {+time} {level} {message}']", "'{level}|{time}|{message}'")
    json_now = later.replace('format = "pattern"', "").replace(
        "pattern = '{level}|{time}|{message}'", "")
    assert len({PATTERN, checked, later, json_now}) == 4
    with Streamobs(checked) as engine:
        body = (b"2024-01-09 12:34:56,789 [WARNING] cart: slow\n"
                b"2024-01-09 12:34:57,789 [E] cart: \xc3\xa9\n")
        reply = engine.request("POST", "/v1/events/logs", body, {"Content-Type": "text/plain"})
        assert reply.json()["rejected"] == 2, reply.body
        engine.wait(lambda: len(engine.get("/api/v1/dead-letters").json()["rows"]) == 2, "them")
        assert engine.stop() == 0
        ids = [row["id"] for row in query(engine.data_dir / "streamobs.db",
                                          "SELECT id FROM dead_letter ORDER BY event_index")]
        shown = run("dlq", "--data-dir", engine.data_dir, "show", ids[0]).stdout
        assert "patterns   {time} {+time} [{level}] {service}: {message}" in shown
        for config, letter in ((later, ids[0]), (json_now, ids[1])):
            (engine.directory / "obs.toml").write_text(config)
            engine.start()
            engine.wait(lambda: engine.get("/readyz").status == 200, "recovery")
            reply = engine.request("POST", f"/api/v1/dead-letters/replay?id={letter}")
            assert reply.json()["accepted"] == 1, reply.body
            engine.stop()
        engine.start()
        engine.wait(lambda: counted(engine.windows("levels")) == {
            ("2024-01-09T12:34:00Z", "cart", "WARN"): 1,
            ("2024-01-09T12:34:00Z", "cart", "ERROR"): 1}, "both lines")


def test_the_description_says_where_lines_are_taken():
    config = SYSLOG.replace("idle_timeout", 'paths = ["/lines"]\nidle_timeout').replace(
        "[window.levels]", "[window.levels]\nfrom = \"logs\"") + """
[stream.json]
time = "t"
paths = ["/objects"]
"""
    with Streamobs(config) as engine:
        assert {row["stream"]: row["format"] for row in engine.get("/api/v1/streams").json()["rows"]
                } == {"logs": "syslog", "json": "json"}
        paths = engine.get("/api/v1/openapi.json").json()["paths"]

        def taken(path, kind):
            return engine.request("POST", path, b"x", {"Content-Type": kind}).status != 415

        for path in ("/v1/events/{stream}", "/lines", "/objects"):
            told = set(paths[path]["post"]["requestBody"]["content"])
            kinds = {"application/json", "application/x-ndjson", "text/plain", "text/csv"}
            streams = ("logs", "json") if "{" in path else ("",)
            assert told == {kind for kind in kinds
                            if any(taken(path.replace("{stream}", s), kind) for s in streams)}
        assert "text/plain" in paths["/lines"]["post"]["requestBody"]["content"]
        assert "text/plain" not in paths["/objects"]["post"]["requestBody"]["content"]


def test_a_wrong_pattern_is_told_with_its_place(tmp_path):
    config = tmp_path / "obs.toml"
    config.write_text(PATTERN.replace("{time} {+time} {level} {message}", "{time} {level}{message}"))
    done = run("validate", "--config", config, check=False)
    assert done.returncode == 78
    assert "nothing stands between two parts" in done.stderr + done.stdout
    told = (done.stderr + done.stdout).splitlines()
    shown = next(i for i, line in enumerate(told) if "{time} {level}{message}" in line)
    assert told[shown + 1].index("^") == told[shown].index("{message}")


LOGFMT = """
[source.pipe]
type = "%s"
%s
[stream.logs]
time = "ts"
format = "logfmt"
fields = { level = "string", msg = "string", app = "string" }
derive = { log_level = "log_level(level)" }
idle_timeout = "300ms"
[window.levels]
size = "1m"
by = { app = "app", level = "log_level" }
select = { lines = "count(*)" }
"""
LOGFMT_LINES = [b'ts=2024-01-09T12:34:56Z level=warning app=a msg="slow \\"query\\""',
                b"ts=2024-01-09T12:34:57Z level=error app=b msg=no",
                b"a line of words",
                b"ts=2024-01-09T12:34:58Z level=err app=b msg=",
                b"ts=2024-01-09T12:39:00Z level=info app=a msg=x"]
LOGFMT_COUNTS = {("2024-01-09T12:34:00Z", "a", "WARN"): 1, ("2024-01-09T12:34:00Z", "b", "ERROR"): 2,
                 ("2024-01-09T12:39:00Z", "a", "INFO"): 1}


def test_logfmt_from_standard_input():
    with Streamobs(LOGFMT % ("stdin", "")) as engine:
        engine.process.stdin.write(b"\n".join(LOGFMT_LINES) + b"\n")
        engine.process.stdin.flush()
        engine.wait(lambda: counted(engine.windows("levels")) == LOGFMT_COUNTS, "the lines")
        letters = engine.get("/api/v1/dead-letters").json()["rows"]
        assert [row["payload"] for row in letters] == ["a line of words"]

"""Dead letters: seen, downloaded and, once the config has been mended, counted after all."""

import gzip
import json
import re
import signal
import sqlite3

from harness import Streamobs, ndjson, run

CONFIG = """
[stream.requests]
time = "event_time"
fields = { service = "string", latency_ms = "%(latency)s" }
required = ["service"]
%(check)s
[window.per_service]
from = "requests"
size = "1m"
by = ["service"]
allowed_lateness = "%(lateness)s"
[window.per_service.select]
requests = "count(*)"
total = "sum(latency_ms)"
%(extra)s
"""


def config(latency="float", check="", lateness="10s", extra=""):
    return CONFIG % {"latency": latency, "check": check, "lateness": lateness, "extra": extra}


BROKEN = config(check='check = { short = "latency_ms < 100" }')


def event(second, service="checkout", latency_ms=10.0):
    return {"event_time": f"2026-01-09T12:00:{second:02d}Z", "service": service,
            "latency_ms": latency_ms}


def letters(engine, **parameters):
    return engine.get("/api/v1/dead-letters", limit=100000, **parameters).json()["rows"]


def replay(engine, query=""):
    reply = engine.request("POST", "/api/v1/dead-letters/replay" + query)
    assert reply.status == 200, reply.body
    return reply.json()


def restart_with(engine, text, sent=signal.SIGTERM):
    engine.stop(sent)
    (engine.directory / "obs.toml").write_text(text)
    engine.start()


def json_free(text):
    """What is quoted within an answer of the API, as it was."""
    return text.replace('\\"', '"')


def counted(engine, key="requests"):
    return sum(row[key] for row in engine.windows("per_service"))


def test_after_a_fix_what_was_refused_counts_once():
    with Streamobs(BROKEN) as engine:
        slow = [event(i % 60, latency_ms=100.0 + i) for i in range(300)]
        assert engine.post("requests", [event(1), *slow, event(2)]).json()["rejected"] == 300
        # Pretty-printed, as an element of an array: its lines are one event.
        body = json.dumps([event(3, latency_ms=500.0)], indent=2).encode()
        engine.request("POST", "/v1/events/requests", body, {"Content-Type": "application/json"})
        engine.wait(lambda: len(letters(engine)) == 301, "the dead letters")
        assert all(row["replayed_at"] is None for row in letters(engine))

        # Before the fix they are refused again; each is one letter that waits, as before.
        report = replay(engine)
        assert (report["accepted"], report["rejected"]) == (0, 301)
        assert len(report["errors"]) == 100 and report["errors"][0]["reason"] == "short"
        engine.wait(lambda: len(letters(engine, replayed="true")) == 301, "the marks")
        engine.wait(lambda: len(letters(engine, replayed="false")) == 301, "the new letters")
        assert letters(engine)[0]["origin"].startswith("replay of request from 127.0.0.1, index ")

        restart_with(engine, config())
        report = replay(engine)
        assert (report["accepted"], report["rejected"], report["passed_over"]) == (301, 0, 0)
        assert report["stopped"] is None and report["more"] is False
        engine.wait(lambda: counted(engine) == 303, "the events to be shown")
        assert counted(engine, "total") == 20.0 + sum(100.0 + i for i in range(300)) + 500.0
        engine.wait(lambda: len(letters(engine, replayed="true")) == 602, "the marks")
        assert replay(engine) == {"accepted": 0, "rejected": 0, "repeated": 0, "passed_over": 0,
                                  "more": False, "stopped": None, "errors": []}
        assert counted(engine) == 303
        assert engine.database().execute(
            "SELECT count(*) FROM dead_letters WHERE replayed_at IS NOT NULL").fetchone()[0] == 602


def test_a_crash_in_the_midst_of_a_replay_counts_nothing_twice():
    with Streamobs(BROKEN) as engine:
        engine.post("requests", [event(i % 60, latency_ms=1000.0) for i in range(2000)])
        engine.wait(lambda: len(letters(engine)) == 2000, "the dead letters")
        restart_with(engine, config())
        assert replay(engine, "?limit=700") | {"errors": []} == {
            "accepted": 700, "rejected": 0, "repeated": 0, "passed_over": 0, "more": True,
            "stopped": None, "errors": []}
        engine.stop(signal.SIGKILL)
        engine.start()
        again = replay(engine)
        assert again["accepted"] == 1300
        engine.wait(lambda: counted(engine) == 2000, "the events to be shown")
        engine.wait(lambda: not letters(engine, replayed="false"), "the marks")


def test_lines_of_csv_and_of_access_logs_go_through_their_own_format(tmp_path):
    header = "event_time,service,latency_ms\r\n"
    lines = ["2026-01-09T12:00:01Z,checkout,10\r\n", "2026-01-09T12:00:02Z,\"search, and\nmore\",200\r\n",
             "2026-01-09T12:00:03Z,payments,\"300\"\r\n"]
    with gzip.open(tmp_path / "a.csv.gz", "wt", newline="") as file:
        file.write(header + "".join(lines))
    (tmp_path / "access.log").write_text(
        '10.0.0.1 - - [09/Jan/2026:12:00:04 +0000] "GET /cart HTTP/1.1" 200 1500 "-" "curl"\n')
    sources = f"""
[source.old]
type = "file"
stream = "requests"
path = "{tmp_path}/a.csv.gz"
format = "csv"
[stream.pages]
time = "time_local"
fields = {{ path = "string", bytes = "int" }}
%s
[window.pages]
from = "pages"
size = "1m"
by = ["path"]
[window.pages.select]
total = "sum(bytes)"
[source.web]
type = "file"
stream = "pages"
path = "{tmp_path}/access.log"
format = "access_log"
"""
    # Refused whole: the end of a file closes the windows that have events of it.
    broken = config(check='check = { short = "latency_ms < 5" }',
                    extra=sources % 'check = { small = "bytes < 1000" }')
    with Streamobs(broken) as engine:
        engine.wait(lambda: len(letters(engine)) == 4, "the dead letters")
        assert sorted(row["place"] for row in letters(engine)) == [
            f"file {tmp_path}/a.csv.gz, line {line}" for line in (2, 3, 5)] + [
            f"file {tmp_path}/access.log, line 1"]
        restart_with(engine, config(extra=sources % ""))
        assert replay(engine, "?stream=pages")["accepted"] == 1
        assert replay(engine, "?source=old&reason=short")["accepted"] == 3
        engine.wait(lambda: engine.windows("pages"), "the page")
        assert engine.windows("pages")[0]["total"] == 1500
        engine.wait(lambda: {row["service"]: row["total"] for row in engine.windows("per_service")}
                    == {"checkout": 10.0, "search, and\nmore": 200.0, "payments": 300.0}, "the rows")


def test_late_events_are_replayed_only_if_asked_for():
    second = '[window.hours]\nfrom = "requests"\nsize = "1h"\n[window.hours.select]\nn = "count(*)"\n'
    with Streamobs(config(extra=second)) as engine:
        engine.post("requests", [event(1)])
        engine.post("requests", [{**event(30), "event_time": "2026-01-09T12:05:00Z"}])
        engine.post("requests", [event(2)])
        engine.wait(lambda: len(letters(engine)) == 1, "the late event")
        assert letters(engine)[0]["window"] == "per_service"
        assert replay(engine)["accepted"] == 0
        # Taken, and late once more: a dead letter of its own, and the hour has it twice.
        assert replay(engine, "?reason=late")["accepted"] == 1
        engine.wait(lambda: len(letters(engine)) == 2, "it to be late again")
        engine.wait(lambda: engine.windows("hours")[0]["n"] == 4, "the hour")
        assert [row["replayed_at"] is None for row in letters(engine)] == [True, False]


def test_late_events_of_files_are_known_by_their_lines(tmp_path):
    """Although records go over several lines, and lines are blank; from the log, too."""
    newest = '2026-01-09T13:00:00Z'
    (tmp_path / "a.csv").write_text(
        f'event_time,latency_ms,service\n{newest},1,"a\nb"\n\n2026-01-09T12:00:01Z,2,a\n'
        'rubbish\n2026-01-09T12:00:02Z,3,"a\nb"\n2026-01-09T12:00:03Z,4,a\n')
    (tmp_path / "b.ndjson").write_text("\n".join([
        "", json.dumps({**event(1), "event_time": newest}), "", "", json.dumps(event(1)), "rubbish",
        json.dumps(event(2)), ""]))
    sources = "".join(f"""
[source.{name[0]}]
type = "file"
stream = "{stream}"
path = "{tmp_path}/{name}"
format = "{name[2:]}"
""" for name, stream in (("a.csv", "requests"), ("b.ndjson", "others"))) + """
[stream.others]
time = "event_time"
fields = { latency_ms = "float" }
[window.other_minutes]
from = "others"
size = "1m"
select = { n = "count(*)" }
"""
    wanted = sorted([("not_a_record", f"{tmp_path}/a.csv", 6), ("not_json", f"{tmp_path}/b.ndjson", 6)] + [
        ("late", f"{tmp_path}/a.csv", line) for line in (5, 7, 9)] + [
        ("late", f"{tmp_path}/b.ndjson", line) for line in (5, 7)])
    with Streamobs(config(extra=sources), data_dir=tmp_path / "data") as engine:
        engine.wait(lambda: len(letters(engine)) == len(wanted), "the dead letters")
        found = letters(engine)
        assert sorted((row["reason"], row["origin"], row["position"]) for row in found) == wanted
        assert {row["place"] for row in found} == {f"file {origin}, line {line}" for _, origin, line in wanted}
        assert engine.stop() == 0
        run("replay", "--config", engine.directory / "obs.toml", "--from-log", tmp_path / "data",
            "--data-dir", tmp_path / "again")
        again = sqlite3.connect(tmp_path / "again/streamobs.db").execute(
            "SELECT reason, origin, position FROM dead_letter WHERE reason = 'late'").fetchall()
        assert sorted(again) == [row for row in wanted if row[0] == "late"]


def test_download_pages_and_filters():
    with Streamobs(BROKEN) as engine:
        engine.post("requests", b"\n".join([b"not json"] * 5) + b"\n" + ndjson(
            [event(i, latency_ms=1000.0) for i in range(7)]))
        engine.wait(lambda: len(letters(engine)) == 12, "the dead letters")
        seen, below = [], {}
        while True:
            reply = engine.get("/api/v1/dead-letters", format="ndjson", limit=5, **below)
            assert reply.headers["Content-Type"] == "application/x-ndjson"
            rows = [json.loads(line) for line in reply.body.splitlines()]
            if not rows:
                break
            seen += rows
            below = {"below_id": rows[-1]["id"]}
        assert [row["id"] for row in seen] == list(range(12, 0, -1))
        assert sum(row["reason"] == "not_json" for row in seen) == 5
        one = engine.get("/api/v1/dead-letters", id=3).json()["rows"]
        assert [row["payload"] for row in one] == ["not json"]
        for bad in ({"id": "x"}, {"replayed": "maybe"}, {"format": "csv"}, {"colour": "red"}):
            reply = engine.get("/api/v1/dead-letters", **bad)
            assert reply.status == 400 and list(bad)[0] in reply.json()["detail"]
        assert engine.get("/api/v1/dead-letters/replay").status == 405


def test_the_command_line():
    with Streamobs(BROKEN) as engine:
        engine.post("requests", b"not json\n" + ndjson([event(1, latency_ms=1000.0)]))
        engine.wait(lambda: len(letters(engine)) == 2, "the dead letters")
        place = ["--data-dir", engine.data_dir]
        listed = run("dlq", *place, "list").stdout.splitlines()
        assert len(listed) == 3 and "short" in listed[1] and "not_json" in listed[2]
        assert all("request from 127.0.0.1" in line for line in listed[1:])
        assert ", index 1 " in listed[1] and ", index 0 " in listed[2], listed
        only = run("dlq", *place, "list", "--reason", "short", "--ndjson").stdout
        assert json.loads(only)["payload"] == json.dumps(event(1, latency_ms=1000.0),
                                                         separators=(",", ":"))
        shown = run("dlq", "show", "1", *place).stdout
        assert shown.endswith("payload\nnot json\n") and "stream     requests" in shown
        assert re.search(r"^place      request from 127\.0\.0\.1, index 0$", shown, re.M)
        missing = run("dlq", *place, "show", "77", check=False)
        assert missing.returncode != 0 and "no dead letter 77" in missing.stderr
        # A typo is no empty answer.
        for command, is_error in (("list",), False), (("replay", "--target", engine.url), True):
            typo = run("dlq", *place, *command, "--reason", "shirt", check=False)
            assert (typo.returncode != 0) == is_error
            assert len(typo.stdout.splitlines()) == (0 if is_error else 1)
            assert 'the reason "shirt": there have been not_json (1) and short (1)' in json_free(typo.stderr)
            typo = run("dlq", *place, *command, "--stream", "request", check=False)
            assert (typo.returncode != 0) == is_error
            assert 'of a stream "request": there have been requests (2)' in json_free(typo.stderr)
            nothing = run("dlq", *place, *command, "--reason", "late")  # Which there may be.
            assert len(nothing.stdout.splitlines()) == 1
        gone = run("dlq", *place, "replay", "--target", engine.url, "--id", "77", check=False)
        assert gone.returncode != 0 and "no dead letter 77" in gone.stderr
        restart_with(engine, config())
        done = run("dlq", *place, "replay", "--target", engine.url, check=False)
        assert done.returncode == 65
        assert done.stdout.splitlines()[0] == ("1 taken, 1 refused again, 0 replayed before, "
                                               "0 passed over")
        assert "1  not_json: " in done.stdout
        assert "`streamobs dlq list --reason late --waiting`" in done.stdout
        engine.wait(lambda: counted(engine) == 1, "the event")
        assert len(run("dlq", *place, "list", "--waiting").stdout.splitlines()) == 2
        engine.stop()
        # With the engine stopped they can still be looked at, not replayed.
        assert len(run("dlq", *place, "list").stdout.splitlines()) == 4
        refused = run("dlq", *place, "replay", "--target", engine.url, check=False)
        assert refused.returncode == 75 and "Is the engine running" in refused.stderr
    nowhere = run("dlq", "--data-dir", "/nonexistent", "list", check=False)
    assert nowhere.returncode != 0 and "no database" in nowhere.stderr


def test_a_raised_lateness_leaves_what_has_closed_as_it_is():
    def at(minute, second=10):
        return {"event_time": f"2026-01-09T12:{minute:02d}:{second:02d}Z", "service": "checkout",
                "latency_ms": 1.0}

    with Streamobs(config()) as engine:
        for minute, count in ((10, 100), (30, 7), (40, 7)):
            assert engine.post("requests", [at(minute)] * count).status == 200
        engine.wait(lambda: len(engine.closed("per_service")) == 2, "two windows to close")
        assert engine.post("requests", [at(10, 30)] * 3).status == 200
        engine.wait(lambda: len(letters(engine)) == 3, "the late events to be told")
        restart_with(engine, config(lateness="1h"), signal.SIGKILL)
        assert replay(engine, "?reason=late")["accepted"] == 3
        # Late once more; and one for the minute that was open goes on where it was.
        assert engine.post("requests", [at(10, 31), at(40)]).status == 200
        engine.wait(lambda: len(letters(engine)) == 7, "all of them to be late again")
        much_later = {**at(50), "event_time": "2026-01-09T14:00:00Z"}
        assert engine.post("requests", [much_later]).status == 200
        engine.wait(lambda: len(engine.closed("per_service")) == 3, "the last minute to close")
        rows = {row["window_start"][14:16]: row["requests"] for row in engine.closed("per_service")}
        assert rows == {"10": 100, "30": 7, "40": 8}

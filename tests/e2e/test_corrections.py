"""Late events into closed windows of the running binary: revisions everywhere rows go."""

import calendar
import collections
import json
import os
import random
import time

import pytest

from harness import Streamobs, query, run
from kafka_broker import Broker
from kafka_orders import read, wait_for_outbox
from test_tap import Tap

BEGIN = 1_735_689_600  # s; 2025-01-01T00:00:00Z

CONFIG = """
[wal]
checkpoint_every = "1s"
keep = { age = "1d", bytes = "1GB" }
[stream.requests]
time = "at"
idle_timeout = "IDLE"
fields = { at = "timestamp", service = "string", ms = "int" }
[window.per_minute]
from = "requests"
size = "1m"
by = ["service"]
allowed_lateness = "5s"
late = "update"
correct_for = "1h"
[window.per_minute.select]
requests = "count(*)"
ms = "sum(ms)"
[window.five]
from = "requests"
size = "5m"
hop = "1m"
late = "update"
correct_for = "30m"
[window.five.select]
requests = "count(*)"
"""


def event(second, service="a", ms=10):
    return {"at": (BEGIN + second) * 1000, "service": service, "ms": ms}


def time_of(second):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN + second))


def row_of(engine, window, second, **keys):
    rows = [row for row in engine.windows(window) if row["window_start"] == time_of(second) and
            row["closed"] and all(row[key] == value for key, value in keys.items())]
    assert len(rows) <= 1
    return rows[0] if rows else None


def test_a_late_event_comes_again_as_a_revision():
    """In the API, in SQLite, in the live stream, in the log; once for several of them."""
    with Streamobs(CONFIG.replace("IDLE", "1h")) as engine:
        engine.post("requests", [event(10), event(70), event(130)])
        engine.wait(lambda: row_of(engine, "per_minute", 0), "the first row")
        assert row_of(engine, "per_minute", 0)["revision"] == 0
        # Three that are late, one of them the first of its key; then time goes on.
        with Tap(engine, "per_minute", "closed=true", "service=a", "--json", "--count", 2) as tap:
            engine.post("requests", [event(20, ms=5), event(21, "b"), event(22, ms=7)])
            engine.post("requests", [event(190)])
            assert tap.end() == 0
        told = [json.loads(line) for line in tap.lines()]
        assert [(row["window_start"], row["revision"], row["ms"]) for row in told] == [
            (time_of(0), 1, 22), (time_of(120), 0, 10)]
        engine.wait(lambda: row_of(engine, "per_minute", 0, service="a")["revision"] == 1,
                    "the revision")
        assert row_of(engine, "per_minute", 0, service="a")["ms"] == 22
        assert row_of(engine, "per_minute", 0, service="b")["revision"] == 0
        # Hopping: all that hold it and had closed by then, [-240, 60) and the next.
        engine.wait(lambda: row_of(engine, "five", -120), "the third hop")
        hops = [row_of(engine, "five", start) for start in (-240, -180, -120)]
        assert [(hop["requests"], hop["revision"]) for hop in hops] == [(4, 1), (5, 1), (6, 0)]
        assert engine.metric("streamobs_late_events_total", window="per_minute", outcome="update") == 3
        assert engine.metric("streamobs_late_events_total", outcome="dead_letter") == 0
        engine.wait(lambda: engine.metric("streamobs_window_revisions_total",
                                          window="per_minute") == 1, "the counter")
        assert engine.metric("streamobs_windows_closed_total", window="per_minute") == 3
        # Too long ago.
        engine.post("requests", [event(3_700), event(30)])
        engine.wait(lambda: engine.metric("streamobs_late_events_total", window="per_minute",
                                          outcome="dead_letter") == 1, "the late one")
        info = engine.get("/api/v1/windows").json()["rows"][0]
        assert info["correct_for"] == "1h"
        assert engine.stop() == 0
        live = query(f"{engine.data_dir}/streamobs.db",
                     "SELECT service, revision, requests, ms FROM per_minute WHERE window_start = ? "
                     "ORDER BY service", time_of(0))
        assert live == [{"service": "a", "revision": 1, "requests": 3, "ms": 22},
                        {"service": "b", "revision": 0, "requests": 1, "ms": 10}]
        # The log says the same of another config.
        config = engine.directory / "obs.toml"
        out = run("replay", "--config", config, "--data-dir", engine.directory / "again",
                  "--from-log", engine.data_dir, "--stream", "requests")
        again = query(f"{engine.directory}/again/streamobs.db",
                      "SELECT service, revision, requests, ms FROM per_minute WHERE window_start = ? "
                      "ORDER BY service", time_of(0))
        assert again == live, out.stderr


def test_silence_does_not_keep_a_revision_for_ever():
    with Streamobs(CONFIG.replace("IDLE", "1s")) as engine:
        engine.post("requests", [event(10), event(70)])
        # Silence closes what there is.
        engine.wait(lambda: row_of(engine, "per_minute", 60), "the second row")
        engine.post("requests", [event(20)])
        engine.wait(lambda: row_of(engine, "per_minute", 0)["revision"] == 1, "the revision")
        assert row_of(engine, "per_minute", 0)["requests"] == 2


def expected(events):
    """service, minute → count, sum; and how many came too late."""
    rows = collections.defaultdict(lambda: [0, 0])
    late = 0
    watermark = float("-inf")
    for each in events:
        at = each["at"] // 1000
        end = at // 60 * 60 + 60
        # Late events wait for the next full minute.
        due = (watermark - 5) // 60 * 60 + 60
        if end + 5 <= watermark and due > end + 3_600:
            late += 1
        else:
            row = rows[each["service"], end - 60]
            row[0] += 1
            row[1] += each["ms"]
        watermark = max(watermark, at)
    return {place: tuple(row) for place, row in rows.items()}, late


def history(seed):
    """Events of which many are late; the last one closes all there is before it."""
    draw = random.Random(seed)
    now = BEGIN
    events = []
    for _ in range(4_000):
        now += draw.choice([0, 0, 1, 3, 9])
        behind = draw.choice([0] * 6 + [30, 120, 900, 3_000, 3_590, 3_700, 8_000])
        events.append({"at": (now - behind) * 1000, "service": draw.choice("abcd"),
                       "ms": draw.randrange(1_000)})
    events.append({"at": (now + 100_000) * 1000, "service": "end", "ms": 1})
    rows, late = expected(events)
    assert late > 100
    return events, {place: row for place, row in rows.items() if place[0] != "end"}, late


def test_old_events_are_filled_in_while_it_runs_and_across_restarts():
    """A backfill: sums are those of all events, wherever it was stopped and killed between them."""
    events, rows, late = history(1)
    with Streamobs(CONFIG.replace("IDLE", "1h")) as engine:
        engine.post_in_three_lives("requests", events)
        sql = ("SELECT service, CAST(strftime('%s', window_start) AS INTEGER) AS start, requests, "
               "ms, revision FROM per_minute WHERE closed")
        database = f"{engine.data_dir}/streamobs.db"
        engine.wait(lambda: len(query(database, sql)) >= len(rows), "all rows")
        engine.wait(lambda: engine.get("/api/v1/dead-letters", reason="late",
                                       window="per_minute", limit=10_000).json()["rows"], "late ones")
        assert engine.stop() == 0
        stored = query(database, sql)
        assert {(r["service"], r["start"]): (r["requests"], r["ms"]) for r in stored} == rows
        assert max(r["revision"] for r in stored) >= 3
        letters = query(database, "SELECT count(*) AS n FROM dead_letters WHERE reason = 'late' "
                        "AND window = 'per_minute'")
        assert letters[0]["n"] == late


def test_a_topic_has_each_revision_once_and_in_order():
    """Across a kill and a restart; a reader that keeps the newest of each has the right sums."""
    events, rows, _ = history(3)
    with Broker() as broker:
        broker.create("out", partitions=3)
        sink = f"""
[sink.out]
type = "kafka"
brokers = "{broker.address}"
from = "per_minute"
topic = "out"
"""
        with Streamobs(CONFIG.replace("IDLE", "1h") + sink) as engine:
            engine.post_in_three_lives("requests", events)
            database = f"{engine.data_dir}/streamobs.db"
            stored = ("SELECT service, CAST(strftime('%s', window_start) AS INTEGER) AS start, "
                      "revision FROM per_minute WHERE closed")
            engine.wait(lambda: len(query(database, stored)) >= len(rows), "all rows")
            wait_for_outbox(engine)
            assert engine.stop() == 0
            newest = {(r["service"], r["start"]): r["revision"] for r in query(database, stored)}
        sent = collections.defaultdict(list)
        for _, value in read(broker, "out"):
            row = json.loads(value)
            start = calendar.timegm(time.strptime(row["window_start"], "%Y-%m-%dT%H:%M:%SZ"))
            sent[row["service"], start].append(row)
    assert max(newest.values()) >= 3
    for place, revision in newest.items():
        assert [row["revision"] for row in sent[place]] == list(range(revision + 1)), place
    assert {place: (told[-1]["requests"], told[-1]["ms"]) for place, told in sent.items()} == rows


def test_the_hour_is_made_right_again():
    config = CONFIG.replace("IDLE", "1h").replace('correct_for = "1h"', 'correct_for = "3h"')
    with Streamobs(config) as engine:
        engine.post("requests", [event(second) for second in range(0, 7_200, 60)])

        def hour(second):
            rows = engine.windows("per_minute", step="1h", service="a", **{"from": time_of(0)})
            return {row["window_start"]: row["requests"] for row in rows}.get(time_of(second))

        engine.wait(lambda: hour(0) == 60, "the hour")
        engine.post("requests", [event(100), event(101, "b"), event(7_300)])
        engine.wait(lambda: engine.metric("streamobs_window_revisions_total",
                                          window="per_minute") == 1, "the revision")
        engine.wait(lambda: hour(0) == 61, "the hour to be right again")


def minutes(*names, by='["service"]', late='late = "update"\ncorrect_for = "1h"'):
    """Windows of a minute of these names."""
    return """
[stream.requests]
time = "at"
idle_timeout = "1h"
fields = { at = "timestamp", service = "string", ms = "int" }
""" + "".join(f"""
[window.{name}]
from = "requests"
size = "1m"
by = {by}
{late}
[window.{name}.select]
n = "count(*)"
""" for name in names)


def go_on_with(engine, text, restart=False):
    """With another config, by a reload or a restart."""
    path = engine.directory / "obs.toml"
    if restart:
        assert engine.stop() == 0
        path.write_text(text)
        engine.start()
        return
    (engine.directory / "next.toml").write_text(text)
    os.replace(engine.directory / "next.toml", path)
    assert engine.request("POST", "/-/reload").status == 200


def counts(engine, window):
    """minute → n, revision of the rows that have closed."""
    return {(calendar.timegm(time.strptime(row["window_start"], "%Y-%m-%dT%H:%M:%SZ")) - BEGIN) // 60:
            (row["n"], row["revision"]) for row in engine.windows(window) if row["closed"]}


def late_letters(engine, window):
    rows = engine.get("/api/v1/dead-letters", reason="late", window=window).json()["rows"]
    return [row["detail"] for row in rows]


@pytest.mark.parametrize("restart", [False, True])
def test_a_window_begins_with_those_that_end_behind_the_watermark(restart):
    """No row of what is left takes the place of a whole one, nor stands where there was no window."""
    whole = {minute: (6, 0) for minute in range(6)}
    with Streamobs(minutes("a")) as engine:
        engine.post("requests", [event(second) for second in range(0, 400, 10)])
        engine.wait(lambda: counts(engine, "a") == whole, "the rows")
        # A new one, which is the only one meanwhile.
        go_on_with(engine, minutes("b"), restart)
        engine.post("requests", [event(405), event(65), event(485)])
        engine.wait(lambda: counts(engine, "b") == {6: (1, 0)}, "the minute of the change")
        engine.wait(lambda: late_letters(engine, "b"), "the late one")
        assert "before this config took effect" in late_letters(engine, "b")[0]
        # One that was away: rows of it are there.
        go_on_with(engine, minutes("a", "b"), restart)
        engine.post("requests", [event(505), event(125), event(406), event(605)])
        engine.wait(lambda: counts(engine, "a").get(8) == (1, 0), "the row behind the change")
        engine.wait(lambda: len(late_letters(engine, "a")) == 2, "the late ones")
        assert counts(engine, "a") == {**whole, 8: (1, 0)}
        # The other went on, and is corrected from its beginning.
        engine.wait(lambda: counts(engine, "b").get(6) == (2, 1), "the revision")
        engine.wait(lambda: len(late_letters(engine, "b")) == 2, "the late one")
        assert 2 not in counts(engine, "b")
        # Another by: its rows go to a table of their own, and begin now, too.
        go_on_with(engine, minutes("a", "b", by="[]"), restart)
        engine.post("requests", [event(665), event(126), event(725)])
        engine.wait(lambda: counts(engine, "a").get(11) == (1, 0), "the row by nothing")
        assert sorted(counts(engine, "a")) == [11]
        # From then on it is corrected as ever.
        engine.post("requests", [event(666), event(785)])
        engine.wait(lambda: counts(engine, "a").get(11) == (2, 1), "the revision")


@pytest.mark.parametrize("restart", [False, True])
def test_what_waits_comes_though_windows_are_corrected_no_more(restart):
    forms = ["", 'late = "update"\ncorrect_for = "1m"']
    for form in forms:
        with Streamobs(minutes("a")) as engine:
            engine.post("requests", [event(second) for second in range(0, 400, 10)])
            engine.post("requests", [event(5), event(6)])
            engine.wait(lambda: engine.metric("streamobs_late_events_total", window="a",
                                              outcome="update") == 2, "the late ones")
            go_on_with(engine, minutes("a", late=form), restart)
            engine.post("requests", [event(8), event(485)])
            engine.wait(lambda: counts(engine, "a").get(0) == (8, 1), "the revision")
            engine.wait(lambda: late_letters(engine, "a"), "what is late by the config of now")
            engine.post("requests", [event(9), event(605)])
            engine.wait(lambda: len(late_letters(engine, "a")) == 2, "the next")
            assert counts(engine, "a")[0] == (8, 1)
            assert "begins anew" not in engine.messages()
            assert "lost" not in engine.messages()


def test_what_cannot_be_is_told():
    for part, told in (('gap = "1m"', "sessions are not corrected"),
                       ('size = "1m"\ncorrect_for = "20d"', "in memory at a time"),
                       ('size = "1h"\ncorrect_for = "4d"\nkeep = { raw = "1d" }',
                        'keep = { raw = "4d1h" } or longer')):
        config = ('[stream.s]\ntime = "at"\nfields = { at = "timestamp" }\n[window.w]\nfrom = "s"\n'
                  f'late = "update"\n{part}\n[window.w.select]\nn = "count(*)"\n')
        done = run("validate", "--config", "/dev/stdin", input=config, check=False)
        assert done.returncode == 78
        assert told in done.stderr, done.stderr


RULED = """
[stream.requests]
time = "at"
idle_timeout = "1h"
fields = { at = "timestamp", service = "string", ms = "int" }
[window.w]
from = "requests"
size = "1m"
by = ["service"]
late = "update"
correct_for = "1h"
[window.w.select]
m = "avg(ms)"
[rule.slow]
on = "w"
when = "m > 50"
keep_firing_for = "1h"
severity = "high"
"""


def anomaly_of(engine):
    rows = engine.get("/api/v1/anomalies").json()["rows"]
    assert len(rows) <= 1
    return rows[0] if rows else {"revision": -1}


def phases(engine):
    rules = engine.get("/api/v1/pipeline").json()["rules"]
    return {rule["key"]: rule["phase"] for rule in rules}


def test_an_anomaly_becomes_its_corrected_self():
    """Raised, corrected, withdrawn and raised once more: everywhere the newest word, said once."""
    with Streamobs(RULED) as engine:
        def correct(events, second, revision):
            engine.post("requests", events)
            engine.post("requests", [event(second, "b", 1)])
            engine.wait(lambda: anomaly_of(engine)["revision"] == revision, f"revision {revision}")
            return anomaly_of(engine)

        with Tap(engine, "anomalies", "--json", "--count", 3) as tap:
            raised = correct([event(1, "a", 100), event(1, "b", 1)], 61, 0)
            assert (raised["metric_value"], raised["resolved"]) == (100, False)
            corrected = correct([event(2, "a", 200)], 125, 1)
            assert (corrected["metric_value"], corrected["resolved"]) == (150, False)
            assert "150" in corrected["description"]
            incident = engine.get("/api/v1/incidents").json()["rows"][0]
            assert incident["title"] == "a: m 150 (limit 50)"

            withdrawn = correct([event(3 + i, "a", 0) for i in range(8)], 185, 2)
            assert (withdrawn["metric_value"], withdrawn["resolved"], withdrawn["withdrawn"]) == (
                30, True, True)
            engine.wait(lambda: "corrected by late events" in
                        engine.get("/api/v1/incidents").json()["rows"][0]["title"], "the incident")
            engine.wait(lambda: phases(engine) == {"a": "ok", "b": "ok"}, "the rule")
            assert tap.end() == 0
            told = [json.loads(line) for line in tap.lines()]
            assert [(each["revision"], each["resolved"]) for each in told] == [
                (0, False), (1, False), (2, True)]
        # What was known of it outlives the process, and the rules say so before anything comes.
        assert engine.stop() == 0
        engine.start()
        assert phases(engine) == {"a": "ok", "b": "ok"}
        again = correct([event(20, "a", 10_000)], 245, 3)
        assert (again["resolved"], again["withdrawn"], again["resolved_at"]) == (False, False, None)
        assert again["id"] == raised["id"]
        # Found once, by the process before.
        assert engine.metric("streamobs_anomalies_total", rule="slow") == 0
        incidents = engine.get("/api/v1/incidents").json()["rows"]
        assert [(each["status"], each["anomaly_count"]) for each in incidents] == [("open", 1)]
        assert engine.stop() == 0
        stored = query(f"{engine.data_dir}/streamobs.db",
                       "SELECT metric_value, resolved, revision, withdrawn FROM anomalies")
        assert stored == [{"metric_value": again["metric_value"], "resolved": 0, "revision": 3,
                           "withdrawn": 0}]


def test_an_anomaly_that_is_said_again_is_counted_once():
    with Streamobs(RULED) as engine:
        engine.post("requests", [event(1, "a", 100)])
        for minute in range(1, 6):
            engine.post("requests", [event(minute * 60 + 1, "b", 1), event(2, "a", 100)])
        engine.post("requests", [event(3_000, "b", 1)])
        engine.wait(lambda: anomaly_of(engine)["revision"] == 5, "the last revision")
        assert engine.metric("streamobs_anomalies_total", rule="slow") == 1


def test_the_last_of_many_windows_shows_in_the_rules():
    """Though nothing comes behind it."""
    with Streamobs(RULED.replace("[window.w.select]",
                                 'emit_every = "1h"\n[window.w.select]')) as engine:
        for hour in range(4):
            for minute in range(30):
                engine.post("requests", [event(hour * 3_600 + minute * 60, "a")])
            engine.wait(lambda: [rule["last_window_end"] for rule in
                                 engine.get("/api/v1/pipeline").json()["rules"]] ==
                        [time_of(hour * 3_600 + 29 * 60)], "the newest window", seconds=10)

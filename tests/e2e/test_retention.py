"""What is kept of windows: as they closed, merged to hours and days, each for its own time."""

import collections
import datetime
import gzip
import json
import math
import random
import sqlite3

from harness import Streamobs, ndjson, run

DAYS = 9
CONFIG = """
[stream.requests]
time = "event_time"
fields = { service = "string", latency_ms = "float", cents = "int", user = "string" }
[window.per_minute]
from = "requests"
size = "1m"
by = ["service"]
keep = { raw = "2d", hourly = "5d", daily = "30d" }
[window.per_minute.select]
n = "count(*)"
cents = "sum(cents)"
mean = "avg(latency_ms)"
p99 = "quantile(latency_ms, 0.99)"
users = "count(distinct user)"
per_second = "rate()"
[window.hops]
from = "requests"
size = "10m"
hop = "5m"
by = ["service"]
keep = { raw = "2d", hourly = "5d", daily = "30d" }
[window.hops.select]
n = "count(*)"
[window.visits]
from = "requests"
gap = "30m"
by = ["service"]
[window.visits.select]
n = "count(*)"
[window.kept]
from = "requests"
size = "1h"
[window.kept.select]
n = "count(*)"
"""
MIDNIGHT = datetime.datetime(2026, 1, 5, tzinfo=datetime.timezone.utc)


def text(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def history():
    """An event every minute and service, more of them now and then."""
    draw = random.Random(11)
    for minute in range(DAYS * 1440):
        for service in ("checkout", "search"):
            for _ in range(draw.choice([0, 1, 1, 3])):
                moment = MIDNIGHT + datetime.timedelta(minutes=minute, seconds=draw.randrange(60))
                yield {"event_time": text(moment), "service": service,
                       "latency_ms": math.exp(draw.gauss(4, 1.2)), "cents": draw.randrange(1000),
                       "user": f"u{draw.randrange(900)}"}
    yield {"event_time": text(MIDNIGHT + datetime.timedelta(days=DAYS, seconds=-1)),
           "service": "search", "latency_ms": 50.0, "cents": 1, "user": "u1"}


def truth_of(events, length):
    """By length of the start's text: 13 characters are an hour, 10 a day."""
    groups = collections.defaultdict(list)
    for event in events:
        groups[event["event_time"][:length], event["service"]].append(event)
    return groups


def check(rows, groups, length, seconds):
    for row in rows:
        events = groups[row["window_start"][:length], row["service"]]
        values = sorted(e["latency_ms"] for e in events)
        assert row["n"] == len(events)
        assert row["cents"] == sum(e["cents"] for e in events)
        assert row["users"] == len({e["user"] for e in events})
        assert math.isclose(row["mean"], math.fsum(values) / len(values), rel_tol=1e-12)
        assert math.isclose(row["per_second"], len(events) / seconds, rel_tol=1e-12)
        exact = values[math.floor(0.99 * (len(values) - 1))]
        assert abs(row["p99"] - exact) <= 0.01 * exact


def oldest(database, table):
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute(f"SELECT min(window_start) / 86400000000 FROM {table}").fetchone()[0]


def day(n):
    return int(MIDNIGHT.timestamp()) // 86400 + n


def test_old_rows_are_merged_then_removed_and_queries_say_what_they_read(tmp_path):
    events = list(history())
    file = tmp_path / "old.ndjson"
    file.write_bytes(ndjson(sorted(events, key=lambda e: e["event_time"])))
    config = tmp_path / "obs.toml"
    config.write_text(CONFIG)
    data = tmp_path / "data"
    # Twice: what has been merged and changes is merged anew, and counts once.
    for _ in range(2):
        run("replay", "--config", config, "--data-dir", data, file)
        # It ends when all is merged and removed that is due.
        assert oldest(data / "streamobs.db", "window_per_minute") == day(DAYS - 2)
        assert oldest(data / "streamobs.db", "streamobs_hourly_per_minute") == day(DAYS - 5)
        assert oldest(data / "streamobs.db", "streamobs_daily_per_minute") == day(0)
    with Streamobs(CONFIG, data_dir=data) as engine:
        end = MIDNIGHT + datetime.timedelta(days=DAYS)
        days, hours = truth_of(events, 10), truth_of(events, 13)
        until = {"to": text(end), "limit": 100000}

        reply = engine.get("/api/v1/windows/per_minute", step="1d", **until).json()
        assert len(reply["rows"]) == len(days) == 2 * DAYS
        check(reply["rows"], days, 10, 86400)
        assert reply["resolution"][-1] == "daily"

        reply = engine.get("/api/v1/windows/per_minute", step="1h", **until).json()
        shown = [h for h in hours if h[0] >= text(MIDNIGHT + datetime.timedelta(days=DAYS - 5))[:13]]
        assert len(reply["rows"]) == len(shown)
        check(reply["rows"], hours, 13, 3600)
        assert reply["resolution"][-1] == "hourly"

        # Without a step: what reaches back to `from`.
        for back, resolution, length in ((1, ["raw"], 0), (4, "hourly", 13), (8, "daily", 10)):
            begin = MIDNIGHT + datetime.timedelta(days=DAYS - back)
            reply = engine.get("/api/v1/windows/per_minute", from_=text(begin), **until).json()
            if length == 0:
                assert reply["resolution"] == resolution
            else:
                assert reply["resolution"][-1] == resolution
                groups = days if length == 10 else hours
                check(reply["rows"], groups, length, 86400 if length == 10 else 3600)
            assert sum(row["n"] for row in reply["rows"]) == sum(
                e["event_time"] >= text(begin) for e in events)
            # Nor does it matter what else is asked of them.
            for asked in ({"by": "service"}, {"quantile": "latency_ms:0.5"}, {"by": ""}):
                reply = engine.get("/api/v1/windows/per_minute", from_=text(begin), **asked,
                                   **until).json()
                assert sum(row["n"] for row in reply["rows"]) == sum(
                    e["event_time"] >= text(begin) for e in events)
        # Steps that do not divide what is removed at a time: none that lacks a part is told.
        for step, seconds in (("20m", 1200), ("5h", 18000), ("50h", 180000)):
            reply = engine.get("/api/v1/windows/per_minute", step=step, **until).json()
            sums = collections.Counter()
            for event in events:
                at = datetime.datetime.fromisoformat(event["event_time"]).timestamp()
                sums[at // seconds * seconds, event["service"]] += 1
            told = {(datetime.datetime.fromisoformat(row["window_start"]).timestamp(),
                     row["service"]): row["n"] for row in reply["rows"] if row["closed"]}
            assert told and all(sums[place] == n for place, n in told.items())
        # One key, and quantiles over all of it.
        row = engine.windows("per_minute", step="9d", by="service", service="search",
                             from_=text(MIDNIGHT), to=text(end), quantile="latency_ms:0.5")
        assert sum(r["n"] for r in row) == sum(e["service"] == "search" for e in events)
        assert len(engine.windows("kept", to=text(end))) == DAYS * 24
        # Hopping windows overlap, and each event counts once all the same; sessions are not merged.
        hops = engine.windows("hops", step="1d", **until)
        assert {(r["window_start"][:10], r["service"]): r["n"] for r in hops} == {
            key: len(of_day) for key, of_day in days.items()}
        with sqlite3.connect(f"file:{data}/streamobs.db?mode=ro", uri=True) as connection:
            tables = {name for name, in connection.execute(
                "SELECT name FROM sqlite_master WHERE name LIKE 'streamobs_hourly%'")}
        assert tables == {"streamobs_hourly_per_minute", "streamobs_hourly_hops"}


def test_an_engine_that_nothing_comes_to_merges_and_removes(tmp_path):
    events = list(history())
    file = tmp_path / "old.ndjson"
    file.write_bytes(ndjson(sorted(events, key=lambda e: e["event_time"])))
    config = tmp_path / "obs.toml"
    every_row = CONFIG.replace('raw = "2d"', 'raw = "90d"')
    config.write_text(every_row)
    data = tmp_path / "data"
    run("replay", "--config", config, "--data-dir", data, file)
    assert oldest(data / "streamobs.db", "window_per_minute") == day(0)
    with Streamobs(CONFIG, data_dir=data) as engine:
        engine.wait(lambda: oldest(data / "streamobs.db", "window_per_minute") == day(DAYS - 2),
                    "what is old to be removed", seconds=60)


def test_keep_is_checked(tmp_path):
    config = tmp_path / "obs.toml"
    for keep, words in (('"7d"', "expected how long rows are kept"), ('{ raw = "1s" }', "raw"),
                        ('{ weekly = "7d" }', "weekly"), ("{ hourly = true }", "hourly")):
        config.write_text(CONFIG.replace('{ raw = "2d", hourly = "5d", daily = "30d" }', keep))
        done = run("validate", "--config", config, check=False)
        assert done.returncode == 78 and words in done.stderr
    config.write_text(CONFIG.replace('{ raw = "2d", hourly = "5d", daily = "30d" }',
                                     '{ raw = "7d", hourly = false, daily = false }'))
    run("validate", "--config", config)


def test_what_is_removed_is_in_the_archive(tmp_path):
    config = CONFIG.split("[window.hops]")[0].replace(
        'keep = { raw = "2d", hourly = "5d", daily = "30d" }',
        'keep = { raw = "2d", hourly = "5d", daily = "30d", archive = "old" }')
    lines = tmp_path / "lines.ndjson"
    lines.write_bytes(ndjson(sorted(history(), key=lambda e: e["event_time"])))
    (tmp_path / "obs.toml").write_text(config)

    def replay(to, text=None):
        if text:
            (tmp_path / "obs.toml").write_text(text)
        run("replay", "--config", tmp_path / "obs.toml", "--data-dir", tmp_path / to, lines)

    replay("kept")
    replay("all", config.replace('"2d", hourly = "5d"', '"90d", hourly = "90d"'))
    with sqlite3.connect(tmp_path / "all/streamobs.db") as database:
        wanted = database.execute("select window_start, service, n, cents, p99, users from per_minute "
                                  "order by window_start, service").fetchall()
    files = sorted((tmp_path / "kept/old/per_minute/raw").iterdir())
    assert [f.name for f in files] == [f"2026-01-{day:02d}.ndjson.gz" for day in range(5, 12)]
    rows = []
    for file in files:
        with gzip.open(file, "rt") as opened:
            rows += [json.loads(line) for line in opened]
        assert {r["window_start"][:10] for r in rows[-3:]} == {file.name[:10]}
    with sqlite3.connect(tmp_path / "kept/streamobs.db") as database:
        left = database.execute("select window_start, service, n, cents, p99, users from per_minute "
                                "order by window_start, service").fetchall()
    assert sorted((r["window_start"], r["service"], r["n"], r["cents"], r["p99"], r["users"])
                  for r in rows) + left == wanted
    assert len(list((tmp_path / "kept/old/per_minute/hourly").iterdir())) == 4
    assert not (tmp_path / "all/old").exists()


def test_an_archive_that_cannot_be_written_is_shown():
    config = """
[stream.requests]
time = "event_time"
[window.per_minute]
size = "1m"
select = { n = "count(*)" }
keep = { raw = "1d", hourly = false, daily = false, archive = "old" }
"""
    with Streamobs(config) as engine:
        (engine.data_dir / "old").write_text("in the way")
        assert engine.post("requests", [{"event_time": text(MIDNIGHT + datetime.timedelta(days=day))}
                                        for day in range(5)]).status == 200
        engine.wait(lambda: len(engine.closed("per_minute")) == 4, "the windows to close")
        assert engine.stop() == 0
        engine.start()  # It tidies up at once.

        def archive():
            states = engine.get("/api/v1/pipeline").json()["store"]["archives"]
            assert [(a["window"], a["resolution"]) for a in states] == [("per_minute", "raw")]
            return states[0]
        engine.wait(lambda: archive()["error"] != "", "the failure to be shown")
        assert archive()["directory"] == str(engine.data_dir / "old/per_minute/raw")
        assert archive()["failures"] >= 1 and archive()["since"] is not None
        assert engine.metric("streamobs_archive_failures", window="per_minute",
                             resolution="raw") == archive()["failures"]
        assert "the archive cannot be written" in engine.messages()
        assert len(engine.closed("per_minute")) == 4
        assert engine.stop() == 0
        (engine.data_dir / "old").unlink()
        engine.start()
        engine.wait(lambda: len(engine.closed("per_minute")) == 2, "the rows to be in files")
        assert archive()["error"] == "" and archive()["since"] is None

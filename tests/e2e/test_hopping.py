"""Hopping windows of the running binary against what a few lines of Python make of the same events."""

import collections
import datetime
import random

from harness import Streamobs, ndjson, query, run

SIZE, HOP, LATENESS = 60, 10, 7

CONFIG = """
[wal]
checkpoint_every = "1s"
[stream.requests]
time = "at"
idle_timeout = "1h"
fields = { at = "timestamp", service = "string", ms = "float", cents = "int" }
[window.hopping]
from = "requests"
size = "1m"
hop = "10s"
by = ["service"]
allowed_lateness = "7s"
[window.hopping.select]
requests = "count(*)"
cents = "sum(cents)"
slowest = "max(ms)"
p50 = "quantile(ms, 0.5)"
[window.tumbling]
from = "requests"
size = "1m"
[window.tumbling.select]
requests = "count(*)"
"""

BEGIN = 1_735_689_600


def rfc3339(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%SZ")


def made_up(count, seed):
    """Some out of order by a little, some by much, and gaps now and then."""
    draw = random.Random(seed)
    now = BEGIN
    events = []
    for _ in range(count):
        now += draw.choice([0, 0.05, 0.3, 1]) + (draw.randrange(200) if draw.random() < 0.004 else 0)
        behind = draw.choice([0, 0, 0, 0, 2, 9, 30, 90])
        events.append({"at": round(now - behind, 3), "service": draw.choice("abc"),
                       "ms": draw.randrange(100_000) / 8, "cents": draw.randrange(-500, 5_000)})
    return events


def expected(events):
    """By window and key; and how many came too late for all windows, and for some."""
    rows = collections.defaultdict(list)
    late = partly_late = 0
    watermark = float("-inf")
    for event in events:
        at = round(event["at"] * 1000)
        pane = at // (HOP * 1000) * HOP
        starts = range(pane - SIZE + HOP, pane + 1, HOP)
        open_ones = [s for s in starts if (s + SIZE + LATENESS) * 1000 > watermark]
        for start in open_ones:
            rows[start, event["service"]].append(event)
        late += not open_ones
        partly_late += bool(open_ones) and len(open_ones) < len(starts)
        watermark = max(watermark, at)
    return {place: (len(found), sum(e["cents"] for e in found), max(e["ms"] for e in found))
            for place, found in rows.items()}, late, partly_late


def stored(data_dir):
    return {(row["window_start"], row["service"]): (row["requests"], row["cents"], row["slowest"])
            for row in query(f"{data_dir}/streamobs.db",
                             "SELECT CAST(strftime('%s', window_start) AS INTEGER) AS window_start, "
                             "CAST(strftime('%s', window_end) AS INTEGER) AS window_end, "
                             "service, requests, cents, slowest FROM hopping WHERE closed")
            if row["window_end"] == row["window_start"] + SIZE}


def test_an_event_is_in_each_window_that_was_open_when_it_came():
    events = made_up(4_000, seed=1)
    # Closes all there is behind it, and is in no window that does.
    events.append({"at": events[-1]["at"] + 10_000, "service": "end", "ms": 1, "cents": 1})
    rows, late, partly_late = expected(events)
    closed = {place: row for place, row in rows.items() if place[1] != "end"}
    assert late > 100 and partly_late > 100
    with Streamobs(CONFIG) as engine:
        engine.post_in_three_lives("requests", events)
        engine.wait(lambda: len(stored(engine.data_dir)) >= len(closed), "the last window to close")
        assert stored(engine.data_dir) == closed
        by_api = {row["window_start"] for row in engine.closed("hopping")}
        assert len(by_api) == len({start for start, _ in closed})


def test_what_is_late_for_all_windows_and_for_some_is_counted():
    events = made_up(1_500, seed=4)
    rows, late, partly_late = expected(events)
    with Streamobs(CONFIG) as engine:
        for at in range(0, len(events), 70):
            assert engine.post("requests", events[at:at + 70]).status == 200
        engine.wait(lambda: engine.metric("streamobs_windowed_events_total") == len(events),
                    "all events to be counted")
        assert engine.metric("streamobs_late_events_total", window="hopping") == late
        assert engine.metric("streamobs_partly_late_events_total", window="hopping") == partly_late
        assert engine.metric("streamobs_windows_open") >= SIZE / HOP - 1
        # The newest window of all, still open, has the panes of those that closed before it.
        newest = max(start for start, _ in rows)
        shown = newest - SIZE + HOP
        expected_now = {service: (found[0], found[1]) for (start, service), found in rows.items()
                        if start == shown}

        def open_rows():
            return {row["service"]: (row["requests"], row["cents"])
                    for row in engine.windows("hopping")
                    if not row["closed"] and row["window_start"] == rfc3339(shown)}

        engine.wait(lambda: open_rows() == expected_now, "an early result")


def test_a_replayed_file_gives_the_same_rows(tmp_path):
    events = made_up(6_000, seed=3)
    rows, late, partly_late = expected(events)
    assert late > 100 and partly_late > 100
    (tmp_path / "obs.toml").write_text(CONFIG)
    (tmp_path / "events.ndjson").write_bytes(ndjson(events))
    run("replay", "--config", tmp_path / "obs.toml", "--data-dir", tmp_path / "data", "--stream",
        "requests", tmp_path / "events.ndjson")
    assert stored(tmp_path / "data") == rows
    per_minute = query(f"{tmp_path}/data/streamobs.db", "SELECT sum(requests) AS n FROM tumbling")
    assert 0 < per_minute[0]["n"] <= len(events)


def test_a_hop_that_does_not_fit_says_so(tmp_path):
    (tmp_path / "obs.toml").write_text(CONFIG.replace('hop = "10s"', 'hop = "7s"'))
    done = run("validate", "--config", tmp_path / "obs.toml", check=False)
    assert done.returncode == 78
    assert "size must be a whole number of hops" in done.stderr + done.stdout

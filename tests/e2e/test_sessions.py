"""Sessions of the running binary against what a few lines of Python make of the same events."""

import collections
import random

from harness import Streamobs, ndjson, query, run

GAP, LATENESS, STEP = 8_000, 5_000, 1_000  # ms; times are rounded up to an eighth of the gap.
BEGIN = 1_735_689_600_000

CONFIG = """
[wal]
checkpoint_every = "1s"
[stream.pages]
time = "at"
idle_timeout = "1h"
fields = { at = "timestamp", visitor = "string", page = "string", ms = "int" }
[window.visits]
from = "pages"
gap = "8s"
by = ["visitor"]
allowed_lateness = "5s"
emit_every = "20ms"
[window.visits.select]
pages = "count(*)"
ms = "sum(ms)"
landing = "first(page)"
"""

# The same, but none beyond a full minute.
CUT = """
[window.minutes]
cut_every = "60s"
""" + CONFIG.split("[window.visits]\n")[1].replace("visits", "minutes")


def made_up(count, seed):
    draw = random.Random(seed)
    now = BEGIN
    events = []
    for i in range(count):
        now += draw.choice([0, 50, 300, 900]) + (draw.randrange(60_000) if draw.random() < 0.01 else 0)
        behind = draw.choice([0, 0, 0, 0, 1_000, 4_000, 12_000, 40_000])
        events.append({"at": now - behind, "visitor": draw.choice("abcdefgh"), "page": f"/{i}",
                       "ms": draw.randrange(5_000)})
    return events


def closes_at(last):
    return last // STEP * STEP + STEP + GAP + LATENESS


def expected(events, cut=None):
    """Rows by first event and visitor, and how many came too late. Times differ, or the first wins."""

    def end_of(time):
        """Where the session of an event ends at the latest."""
        return time // cut * cut + cut if cut else float("inf")

    open_ones = collections.defaultdict(list)  # visitor → lists of events
    closed = []
    late = 0
    watermark = float("-inf")

    def close():
        for visitor, sessions in open_ones.items():
            for session in list(sessions):
                if closes_at(max(e["at"] for e in session)) <= watermark:
                    sessions.remove(session)
                    closed.append((visitor, session))

    for event in events:
        close()
        if closes_at(event["at"]) <= watermark:
            late += 1
        else:
            sessions = open_ones[event["visitor"]]
            joined = [s for s in sessions if min(e["at"] for e in s) - GAP < event["at"]
                      < max(e["at"] for e in s) + GAP and end_of(s[0]["at"]) == end_of(event["at"])]
            for session in joined:
                sessions.remove(session)
            sessions.append(sum(joined, []) + [event])
        watermark = max(watermark, event["at"])
    watermark = float("inf")
    close()
    rows = {}
    for visitor, session in closed:
        first = min(e["at"] for e in session)
        landing = min((e for e in session if e["at"] == first), key=lambda e: int(e["page"][1:]))
        until = min(max(e["at"] for e in session) + GAP, end_of(first))
        rows[first, visitor] = (until, len(session),
                                sum(e["ms"] for e in session), landing["page"])
    return rows, late


def stored(data_dir, window="visits"):
    ms = "CAST(round((julianday(%s) - 2440587.5) * 86400000) AS INTEGER)"
    return {(row["first"], row["visitor"]): (row["until"], row["pages"], row["ms"], row["landing"])
            for row in query(f"{data_dir}/streamobs.db",
                             f"SELECT {ms % 'window_start'} AS first, {ms % 'window_end'} AS until, "
                             f"visitor, pages, ms, landing FROM {window} WHERE closed")}


def test_sessions_across_two_restarts():
    events = made_up(3_000, seed=1)
    # Closes all there is behind it, and is in no session that does.
    events.append({"at": events[-1]["at"] + 1_000_000, "visitor": "end", "page": "/9999", "ms": 1})
    rows, late = expected(events)
    closed = {place: row for place, row in rows.items() if place[1] != "end"}
    assert late > 100 and len(closed) > 200
    with Streamobs(CONFIG) as engine:
        engine.post_in_three_lives("pages", events)
        engine.wait(lambda: len(stored(engine.data_dir)) >= len(closed), "the last session to close")
        assert stored(engine.data_dir) == closed
        # What is open is shown as well.
        engine.wait(lambda: len(engine.windows("visits")) == len(closed) + 1, "the open session")
        newest = engine.windows("visits", windows=1)[0]
        assert (newest["visitor"], newest["closed"], newest["pages"]) == ("end", False, 1)


def test_late_events_are_counted_and_kept_as_dead_letters():
    events = made_up(1_500, seed=3)
    _, late = expected(events)
    assert late > 50
    with Streamobs(CONFIG) as engine:
        for at in range(0, len(events), 70):
            assert engine.post("pages", events[at:at + 70]).status == 200
        engine.wait(lambda: engine.metric("streamobs_windowed_events_total") == len(events),
                    "all events to be counted")
        assert engine.metric("streamobs_late_events_total", window="visits") == late
        letters = engine.get("/api/v1/dead-letters", limit=1).json()["rows"]
        assert "this event alone would make" in letters[0]["detail"]


def test_a_replayed_file_gives_the_same_sessions(tmp_path):
    events = made_up(5_000, seed=5)
    rows, late = expected(events)
    assert late > 100
    cut_rows, _ = expected(events, cut=60_000)
    assert cut_rows != rows
    (tmp_path / "obs.toml").write_text(CONFIG + CUT)
    (tmp_path / "events.ndjson").write_bytes(ndjson(events))
    run("replay", "--config", tmp_path / "obs.toml", "--data-dir", tmp_path / "data", "--stream",
        "pages", tmp_path / "events.ndjson")
    assert stored(tmp_path / "data") == rows
    assert stored(tmp_path / "data", "minutes") == cut_rows


def test_each_key_of_a_minute_closes_when_it_has_been_idle():
    with Streamobs(CONFIG + CUT) as engine:
        came = [{"at": BEGIN + second * 1_000, "visitor": visitor, "page": "/", "ms": 1}
                for visitor, seconds in (("a", (0, 5)), ("b", range(0, 40, 2)))
                for second in seconds]
        engine.post("pages", sorted(came, key=lambda e: e["at"]))
        engine.wait(lambda: len(engine.windows("minutes")) == 2 and engine.closed("minutes"),
                    "a's row to close")
        state = {row["visitor"]: (row["closed"], row["pages"]) for row in engine.windows("minutes")}
        assert state == {"a": (True, 2), "b": (False, 20)}
        # It comes back within the minute: another row, and nothing is late.
        engine.post("pages", [{"at": BEGIN + 50_000, "visitor": "a", "page": "/", "ms": 1}])
        engine.wait(lambda: len(engine.windows("minutes")) == 3, "its next row")
        assert engine.metric("streamobs_late_events_total", window="minutes") == 0

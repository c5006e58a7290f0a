"""Joins at the engine's edges: silence, replays, commands, configs that change.

What is joined to what is checked in tests/app/joins_test.cpp and tests/window/stream_join_test.cpp.
"""

import json
import re
import sqlite3
import threading
import time

import pytest

from harness import Streamobs, run

CONFIG = """
[stream.asked]
time = "at"
idle_timeout = "1s"
fields = { id = "string", who = "string" }
[stream.answered]
time = "at"
idle_timeout = "1s"
fields = { id = "string", n = "int" }
[join.calls]
left = "asked"
right = "answered"
on = "id"
within = "1m"
[window.per_minute]
from = "calls"
size = "1m"
by = ["who"]
select = { calls = "count(*)", total = "sum(n)" }
"""


def at(second):
    return f"2026-01-05T{10 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def asked(second, name, who="a"):
    return json.dumps({"at": at(second), "id": name, "who": who})


def answered(second, name, n=1):
    return json.dumps({"at": at(second), "id": name, "n": n})


def send(engine, stream, *lines):
    reply = engine.post(stream, "\n".join(lines).encode())
    assert reply.status == 200, reply.body
    assert reply.json()["rejected"] == 0


def rows(found):
    return sorted((row["window_start"], row["who"], row["calls"], row["total"]) for row in found)


def test_windows_close_when_both_sides_fall_silent():
    """However the silences of the two overlap: nothing is left open once both have ended."""
    with Streamobs(CONFIG) as engine:
        for minute in range(3):
            # The right goes on for a while after the left has stopped.
            send(engine, "asked", asked(60 * minute, f"k{minute}"))
            send(engine, "answered", answered(60 * minute + 1, f"k{minute}", minute))
        for second in range(200, 230, 10):
            send(engine, "answered", answered(second, f"lone{second}"))
        engine.wait(lambda: len(engine.closed("per_minute")) == 3, "the windows", 30)
        engine.wait(lambda: engine.metric("streamobs_join_pending") == 0, "those alone to leave", 30)
        assert rows(engine.closed("per_minute")) == [(at(60 * m), "a", 1, m) for m in range(3)]
        assert engine.metric("streamobs_join_unmatched_total", side="right") == 3
        assert engine.metric("streamobs_events_rejected_total") == 0  # They have been taken.
        assert engine.stop() == 0


def test_the_log_is_joined_again(tmp_path):
    data = tmp_path / "data"
    with Streamobs(CONFIG, data_dir=data) as engine:
        for minute in range(5):
            lines = [asked(60 * minute + i, f"k{minute}.{i}", "ab"[i % 2]) for i in range(20)]
            send(engine, "asked", *lines)
            send(engine, "answered", *(answered(60 * minute + i, f"k{minute}.{i}", i) for i in range(15)))
        engine.wait(lambda: len(engine.closed("per_minute")) == 10, "the windows", 30)
        expected = rows(engine.closed("per_minute"))
        assert engine.stop() == 0
        # A start with the same config has nothing to complain of.
        before = len(engine.messages())
        engine.start()
        assert engine.stop() == 0
        assert '"log.level":"warn"' not in engine.messages()[before:]
        config = engine.directory / "obs.toml"
        done = run("replay", "--config", config, "--from-log", data, "--data-dir", tmp_path / "again")
        assert "warn" not in done.stderr, done.stderr
        found = sqlite3.connect(tmp_path / "again/streamobs.db").execute(
            "SELECT window_start, who, calls, total FROM per_minute").fetchall()
        assert sorted(map(tuple, found)) == expected
        assert "without a partner 25, still waiting for one 0" in done.stderr
        for command in (("query",), ("replay", "--config", config)):
            refused = run(*command, "--from-log", data, "--stream", "calls", check=False)
            assert refused.returncode != 0 and "that is a join" in refused.stderr
        # Gone: what waited is told of, once.
        engine.config = CONFIG[:CONFIG.index("[join")]
        config.write_text(engine.config + '[window.per_minute]\nfrom = "asked"\nsize = "1m"\n'
                          'by = ["who"]\nselect = { calls = "count(*)", total = "count(*)" }\n')
        before = len(engine.messages())
        engine.start()
        assert "the config has no such join any more" in engine.messages()[before:]
        assert engine.stop() == 0


def test_a_file_of_one_side_alone(tmp_path):
    """Nothing will come to the other side, so each event leaves alone, and is counted."""
    config = tmp_path / "obs.toml"
    config.write_text(CONFIG)
    events = tmp_path / "asked.ndjson"
    events.write_text("\n".join(asked(i, f"k{i}") for i in range(500)))
    done = run("replay", "--config", config, "--stream", "asked", "--data-dir", tmp_path / "d", events)
    assert "without a partner 500, still waiting for one 0" in done.stderr
    letters = sqlite3.connect(tmp_path / "d/streamobs.db").execute(
        "SELECT count(*) FROM dead_letter WHERE reason = 'unmatched'").fetchone()
    assert letters == (500,)


def test_what_a_hopeless_file_was_like_is_kept(tmp_path):
    config = tmp_path / "obs.toml"
    config.write_text(CONFIG)
    events = tmp_path / "asked.ndjson"
    events.write_text('{"when": 1}\n' * 5000)
    done = run("replay", "--config", config, "--stream", "asked", "--data-dir", tmp_path / "d", events, check=False)
    assert done.returncode != 0
    letters = sqlite3.connect(tmp_path / "d/streamobs.db").execute(
        "SELECT count(*) FROM dead_letter WHERE reason = 'missing_field'").fetchone()
    assert letters[0] == 1000, done.stderr


def test_names_that_mean_two_things(tmp_path):
    config = tmp_path / "obs.toml"
    config.write_text(CONFIG.replace("[join.calls]", "[join.per_minute]").replace('"calls"', '"per_minute"'))
    refused = run("validate", "--config", config, check=False)
    assert refused.returncode != 0
    assert 'there is a window "per_minute" as well' in refused.stderr + refused.stdout
    config.write_text(CONFIG.replace('who = "string"', 'who = "string", n = "int"'))
    refused = run("validate", "--config", config, check=False)
    assert "which one: asked.n or answered.n?" in refused.stderr + refused.stdout


@pytest.mark.parametrize("wal", ['durability = "sync"', 'durability = "interval"\nsync_every = "2s"'])
def test_many_pairs_of_one_request(wal):
    """A hundred partners for each of 20,000 events: two million rows, taken in pieces."""
    with Streamobs(CONFIG.replace('within = "1m"', 'within = "1h"') + f"[wal]\n{wal}\n") as engine:
        send(engine, "asked", *(asked(0, "k") for _ in range(100)))
        text = "\n".join(answered(1, "k", 1) for _ in range(20_000))
        assert engine.post("answered", text.encode()).json()["accepted"] == 20_000
        engine.wait(lambda: engine.metric("streamobs_join_rows_total") == 2_000_000, "the rows", 60)
        engine.wait(lambda: sum(r["calls"] for r in engine.windows("per_minute")) == 2_000_000, "their windows", 60)
        assert sum(row["total"] for row in engine.windows("per_minute")) == 2_000_000
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", open(f"/proc/{engine.process.pid}/status").read())[1])
        assert peak < 400_000
        assert engine.stop() == 0


@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.9])
def test_what_leaves_a_join_in_a_batch_that_is_lost_counts_once(seconds):
    """Killed while a batch is being joined, piece by piece, before it is in the log; then it is sent again."""
    with Streamobs(CONFIG + '[wal]\ncheckpoint_every = "1h"\n') as engine:
        # They leave with the first row of the batch that follows.
        send(engine, "asked", *(asked(0, f"lone{i}") for i in range(500)))
        send(engine, "asked", *(asked(240, "k", "a" * 20) for _ in range(100)))
        body = "\n".join(answered(250, "k") for _ in range(20_000)).encode()
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "once"}

        def answer():
            try:
                return engine.request("POST", "/v1/events/answered", body, headers).status
            except OSError:
                return None
        sender = threading.Thread(target=answer)
        sender.start()
        time.sleep(seconds)  # Wherever that is.
        engine.process.kill()
        engine.process.wait()
        sender.join()
        engine.start()
        assert answer() == 200

        def letters():
            return dict(engine.database().execute("SELECT reason, sum(count) FROM dead_letter_count GROUP BY 1"))
        engine.wait(lambda: letters().get("unmatched", 0) >= 500, "the letters")
        engine.wait(lambda: sum(r["calls"] for r in engine.windows("per_minute")) == 2_000_000, "the rows")
        # All of them left with the second request.
        of_join = engine.database().execute(
            "SELECT DISTINCT origin, position, sequence FROM dead_letters").fetchall()
        assert [tuple(row) for row in of_join] == [("join calls", of_join[0]["sequence"], of_join[0]["sequence"])]
        row, = engine.get("/api/v1/dead-letters", limit=1).json()["rows"]
        assert row["place"] == f"join calls, log position {row['position']}"
        assert engine.stop() == 0
        assert letters() == {"unmatched": 500}

"""What is acknowledged is on disk: killed, repeated, out of space, looked at."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from harness import BINARY, ROOT, Streamobs, ndjson, query, run

CONFIG = """
[wal]
checkpoint_every = "%(every)s"
[stream.orders]
time = "t"
id = "id"
fields = { id = "string", n = "int" }
[stream.plain]
time = "t"
fields = { n = "int" }
[window.per_hour]
from = "orders"
size = "1h"
[window.per_hour.select]
events = "count(*)"
total = "sum(n)"
[window.plain_per_hour]
from = "plain"
size = "1h"
[window.plain_per_hour.select]
events = "count(*)"
total = "sum(n)"
"""


def config(every="1h"):
    return CONFIG % {"every": every}


def order(name, n=1, hour=12):
    return {"id": name, "n": n, "t": f"2026-01-09T{hour}:00:05Z"}


def keyed(engine, key, events):
    return engine.request("POST", "/v1/events/plain", ndjson(events),
                          {"Content-Type": "application/x-ndjson", "Idempotency-Key": key})


def closed(engine, window, hour=14):
    """Closes what is before that hour, and gives the rows."""
    stream = "orders" if window == "per_hour" else "plain"
    engine.post(stream, [order("close", hour=hour)])
    engine.wait(lambda: engine.closed(window), "the window to close")
    return engine.closed(window)


@pytest.mark.parametrize("every", ["1h", "1s"])
def test_killed_right_after_the_answer_nothing_is_lost(every):
    with Streamobs(config(every)) as engine:
        for life in range(4):
            for i in range(20):
                reply = engine.post("orders", [order(f"{life}-{i}-{k}", n=k) for k in range(5)])
                assert reply.status == 200 and reply.json()["accepted"] == 5
            engine.stop(signal.SIGKILL)
            engine.start()
        row = closed(engine, "per_hour")[0]
        assert (row["events"], row["total"]) == (400, 800)


def test_an_event_sent_again_counts_once_also_after_a_kill():
    with Streamobs(config()) as engine:
        body = [order("a", 5), order("b", 7), order("a", 5)]
        assert engine.post("orders", body).json()["accepted"] == 3
        engine.stop(signal.SIGKILL)
        engine.start()
        engine.post("orders", body)
        assert engine.metric("streamobs_events_duplicate_total", stream="orders") == 3
        row = closed(engine, "per_hour")[0]
        assert (row["events"], row["total"]) == (2, 12)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_request_with_a_key_is_answered_once_more_and_counted_once(how):
    with Streamobs(config()) as engine:
        events = [{"n": 5, "t": "2026-01-09T12:00:05Z"}, {"n": "bad", "t": "2026-01-09T12:00:06Z"}]
        first = keyed(engine, "k1", events)
        assert first.status == 200 and "Idempotency-Replayed" not in first.headers
        for _ in range(2):
            again = keyed(engine, "k1", events)
            assert again.status == 200 and again.headers["Idempotency-Replayed"] == "true"
            assert again.json() == first.json()
            engine.stop(how)
            engine.start()
        other = keyed(engine, "k1", [{"n": 6, "t": "2026-01-09T12:00:05Z"}])
        assert other.status == 422
        row = closed(engine, "plain_per_hour")[0]
        assert (row["events"], row["total"]) == (1, 5)
        letters = engine.get("/api/v1/dead-letters").json()["rows"]
        assert [l["reason"] for l in letters] == ["wrong_type"]


def test_a_changed_config_takes_effect_behind_what_was_logged_under_the_old_one():
    with Streamobs(config()) as engine:
        engine.post("orders", [order("a", 5)])
        engine.stop(signal.SIGKILL)
        changed = config().replace('size = "1h"\n[window.per_hour.select]',
                                   'size = "2h"\n[window.per_hour.select]')
        (engine.directory / "obs.toml").write_text(changed)
        engine.start()
        assert "defined differently now" in engine.messages()
        engine.post("orders", [order("a", 5), order("b", 7)])  # The one is known still.
        row = closed(engine, "per_hour", hour=17)[0]
        assert (row["events"], row["total"]) == (1, 7)


def test_a_lost_database_is_rebuilt_from_the_log():
    with Streamobs(config("1s")) as engine:
        engine.post("orders", [order(f"x{i}") for i in range(50)])
        rows = closed(engine, "per_hour")
        assert engine.stop() == 0
        for name in ("streamobs.db", "streamobs.db-wal", "streamobs.db-shm"):
            (engine.data_dir / name).unlink(missing_ok=True)
        engine.start()
        assert "rebuilt" in engine.messages()
        assert engine.closed("per_hour") == rows


def test_the_log_can_be_looked_at_and_damage_inside_is_refused_with_its_place():
    with Streamobs(config()) as engine:
        for i in range(30):
            engine.post("orders", [order(f"x{i}")])
        busy = run("wal", "verify", "--data-dir", engine.data_dir, check=False)
        assert busy.returncode == 75
        engine.stop(signal.SIGKILL)
        assert "segment-" in run("wal", "inspect", "--data-dir", engine.data_dir).stdout
        run("wal", "verify", "--data-dir", engine.data_dir)
        segment = sorted((engine.data_dir / "wal").glob("segment-*"))[0]
        content = bytearray(segment.read_bytes())
        content[len(bytes(content).rstrip(b"\0")) // 2] ^= 1
        segment.write_bytes(content)
        wrong = run("wal", "verify", "--data-dir", engine.data_dir, check=False)
        assert wrong.returncode == 74 and segment.name in wrong.stdout + wrong.stderr
        started = run("--config", engine.directory / "obs.toml", "--data-dir", engine.data_dir,
                      "--listen", "127.0.0.1:0", check=False)
        assert started.returncode == 74
        assert segment.name in started.stderr and "repair" in started.stderr


def test_a_full_disk_refuses_and_heals_by_itself(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", disk],
                      capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted here; tests/wal/log_faults_test.cpp has the twin")
    try:
        with Streamobs(config(), data_dir=disk / "data") as engine:
            engine.post("plain", [{"n": 1, "t": "2026-01-09T12:00:05Z"}])
            ballast = disk / "ballast"
            sent = 1
            with open(ballast, "wb") as out:
                try:
                    while True:
                        out.write(b"x" * 65536)
                        out.flush()
                except OSError:
                    pass
            noise = os.urandom(30000).hex()
            status = 200
            for i in range(4000):
                reply = engine.post("plain", [{"n": i, "t": "2026-01-09T12:00:05Z"}] +
                                    [{"n": noise}] * 20)
                status = reply.status
                if status != 200:
                    break
                sent += 1
            assert status == 507, status
            assert engine.get("/api/v1/streams").status == 200
            ballast.unlink()
            engine.wait(lambda: engine.post("plain", [{"n": 1, "t": "2026-01-09T12:00:05Z"}]).status
                        == 200, "events to be taken again")
            row = closed(engine, "plain_per_hour")[0]
            assert row["events"] >= sent + 1
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def test_open_windows_are_seen_after_a_restart_before_the_next_event():
    with Streamobs(config()) as engine:
        engine.post("orders", [order(f"x{i}") for i in range(3)])
        for how in (signal.SIGTERM, signal.SIGKILL):
            engine.stop(how)
            engine.start()
            engine.wait(lambda: engine.windows("per_hour"), "what is open to be shown")
            row = engine.windows("per_hour")[0]
            assert (row["events"], row["closed"]) == (3, False)


def test_while_it_recovers_the_engine_is_alive_and_not_ready():
    with Streamobs(config()) as engine:
        for i in range(600):
            engine.post("plain", [{"n": i, "t": "2026-01-09T12:00:05Z"}])
        engine.stop(signal.SIGKILL)
        command = [BINARY, "--config", engine.directory / "obs.toml", "--data-dir",
                   engine.data_dir, "--listen", engine.url.removeprefix("http://")]
        # Killed in the middle, so that the next replay goes slowly, record by record.
        killed = subprocess.run(command, capture_output=True,
                                env={**os.environ, "STREAMOBS_FAILPOINT": "recovery.record:300"})
        assert killed.returncode == -signal.SIGKILL
        engine.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        seen = []

        def ready():
            try:
                reply = engine.get("/readyz")
                if reply.status == 503:
                    seen.append(reply.json()["detail"])
                    posted = engine.post("plain", [{"n": 1, "t": "2026-01-09T12:00:05Z"}])
                    if posted.status == 503:
                        seen.append(posted.headers["Retry-After"])
                        assert engine.get("/livez").status == 200
                        assert engine.get("/api/v1/pipeline").status == 200
                return reply.status == 200
            except OSError:
                return False
        engine.wait(ready, "the end of recovery")
        assert any("recovering" in detail for detail in seen) and "1" in seen, seen
        row = closed(engine, "plain_per_hour")[0]
        assert row["events"] >= 600


def test_out_of_memory_ends_the_process_and_loses_nothing():
    text = config("1s").replace('[window.per_hour]\nfrom = "orders"',
                                '[window.per_hour]\nfrom = "orders"\nby = ["n"]\nmax_keys = 50000000')
    # A thread more is an arena more.
    text = "threads = 2\nlanes = 2\n" + text.replace('id = "id"\n', "")
    with Streamobs(text) as engine:
        engine.stop()
        limited = subprocess.Popen(
            ["prlimit", f"--as={700 << 20}", BINARY, "--config", engine.directory / "obs.toml",
             "--data-dir", engine.data_dir, "--listen", engine.url.removeprefix("http://")],
            stderr=subprocess.PIPE, text=True)
        engine.wait(lambda: reachable(engine), "the engine with little memory")
        acknowledged = sent = 0
        while sent < 20_000_000:
            body = b"".join(b'{"id":"x","t":"2026-01-09T12:00:05Z","n":%d}\n' % n
                            for n in range(sent, sent + 10_000))
            sent += 10_000
            try:
                reply = engine.post("orders", body)
            except OSError:
                break
            if reply.status != 200:
                assert reply.status == 503
                break
            acknowledged += reply.json()["accepted"]
        _, messages = limited.communicate(timeout=30)
        assert limited.returncode == 71, (limited.returncode, messages)
        assert "out of memory" in messages and "max_keys" in messages
        assert acknowledged > 100_000
        engine.start()
        engine.post("orders", [order("close", hour=14)])
        engine.stop(seconds=120)
        row = query(f"{engine.data_dir}/streamobs.db",
                    "SELECT count(*) AS keys, sum(events) AS events FROM per_hour "
                    "WHERE window_start LIKE '2026-01-09T12%'")[0]
        # The request that got no answer may have been logged.
        assert row["events"] in (acknowledged, acknowledged + 10_000)
        assert row["keys"] == row["events"]


def reachable(engine):
    try:
        return engine.get("/readyz").status == 200
    except OSError:
        return False


def crash(*arguments):
    done = subprocess.run([sys.executable, ROOT / "tests/crash/crash.py", *map(str, arguments)],
                          capture_output=True, text=True, timeout=280,
                          env={**os.environ, "STREAMOBS": str(BINARY)})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[0])


def test_killed_at_random_moments_every_event_is_counted_once():
    summary = crash("--kills", 25, "--seed", 11)
    assert summary["acknowledged"] > 0 and summary["violations"] == 0


def test_killed_at_named_places_every_event_is_counted_once():
    places = ["log.before_append", "log.before_sync", "log.after_sync", "file.write",
              "file.sync_data", "file.rename", "file.sync_directory", "file.allocate",
              "checkpoint.before_save", "checkpoint.after_save", "recovery.record"]
    arguments = [a for place in places for a in ("--failpoint", place)]
    summary = crash("--kills", 2 * len(places), "--seed", 12, *arguments)
    assert summary["violations"] == 0 and len(summary["died_at"]) >= 6

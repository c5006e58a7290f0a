"""`wal verify` and `wal repair` on the log of a whole engine: what they say is what the next start
does."""

import re
import shlex
import signal
import subprocess

from harness import Streamobs, run

CONFIG = """
[wal]
checkpoint_every = "1h"
keep = { age = "1d", bytes = "1GB" }

[stream.events]
time = "t"
fields = { n = "string" }

[window.per_minute]
from = "events"
size = "1m"
select = { events = "count(*)" }
emit_every = "100ms"
"""


def send(engine, batches, hour=0):
    for i in range(batches):
        events = [{"n": f"{i}-{j}", "t": f"2026-01-09T{hour:02}:{i:02}:05Z"} for j in range(20)]
        assert engine.post("events", events).status == 200


def events_counted(engine):
    return sum(row["events"] for row in engine.windows("per_minute"))


def wal(engine, what, *arguments):
    done = run("wal", what, "--data-dir", engine.data_dir, *arguments, check=False)
    return done.returncode, done.stdout + done.stderr


def segments(engine):
    return sorted((engine.data_dir / "wal").glob("segment-*"))


def flip(segment, share=0.5):
    content = bytearray(segment.read_bytes())
    content[int(len(bytes(content).rstrip(b"\0")) * share)] ^= 1
    segment.write_bytes(content)


def test_damage_in_history_costs_history_and_never_what_recovery_needs():
    with Streamobs(CONFIG) as engine:
        for hour in range(4):  # Each stop makes a checkpoint, and each start a segment.
            send(engine, 30, hour)
            assert engine.stop() == 0
            engine.start()
        send(engine, 30, 4)
        engine.stop(signal.SIGKILL)
        before = segments(engine)
        assert len(before) >= 3, before
        flip(before[0])
        engine.start()  # It does not read there.
        code, said = wal(engine, "verify")
        assert code == 75 and f"process {engine.process.pid}" in said
        assert "backup --whole-log" in said and "--data-dir" not in said
        code, said = wal(engine, "repair")
        assert code == 75 and "`wal repair` needs the engine stopped" in said
        engine.stop(signal.SIGKILL)

        code, said = wal(engine, "verify")
        assert code == 74 and before[0].name in said
        assert "recovery does not need it" in said
        code, said = wal(engine, "repair")
        assert code == 74 and "Lost is history" in said and before[0].exists()
        code, said = wal(engine, "repair", "--yes")
        assert code == 0 and said.rstrip().endswith("repaired"), said
        assert not before[0].exists() and before[1].exists()
        assert wal(engine, "verify")[0] == 0
        assert wal(engine, "repair") == (0, "nothing to repair\n")
        engine.start()
        engine.wait(lambda: events_counted(engine) == 5 * 30 * 20, "all events")
        assert engine.stop() == 0


def test_a_cut_tail_says_the_next_step_and_the_step_works():
    with Streamobs(CONFIG) as engine:
        send(engine, 60)
        engine.wait(lambda: len(engine.closed("per_minute")) > 50, "results to be stored")
        engine.stop(signal.SIGKILL)
        flip(segments(engine)[-1])
        code, said = wal(engine, "verify")
        assert code == 74 and "recovery needs it" in said
        code, said = wal(engine, "repair", "--yes")
        assert code == 0 and "repaired" in said, said
        database = engine.data_dir / "streamobs.db"
        assert f"mv {database} " in said, said
        started = run("--config", engine.directory / "obs.toml", "--data-dir", engine.data_dir,
                      "--listen", "127.0.0.1:0", check=False)
        assert started.returncode == 74, started.stderr
        # No circle: it is still known what is to be done.
        code, again = wal(engine, "repair")
        assert code == 74 and f"mv {database} " in again, again
        move = re.search(r"^  (mkdir .*)$", again, re.M).group(1)
        assert "before-repair" in shlex.split(move)[1]
        subprocess.run(move, shell=True, check=True)
        engine.start()
        engine.wait(lambda: engine.windows("per_minute"), "rows")
        assert 0 < events_counted(engine) < 1200
        assert wal(engine, "verify")[0] == 75
        assert engine.stop() == 0
        assert wal(engine, "verify")[0] == 0


def test_a_cut_before_the_checkpoint_is_refused_and_the_way_that_is_named_works():
    with Streamobs(CONFIG) as engine:
        send(engine, 60)
        assert engine.stop() == 0  # With a checkpoint of the newest record.
        assert len(segments(engine)) == 1
        flip(segments(engine)[0])
        names = [path.name for path in segments(engine)]
        code, said = wal(engine, "repair", "--yes")
        assert code == 74 and "nothing is cut" in said, said
        assert "move the checkpoint directory and the database away" in said
        assert [path.name for path in segments(engine)] == names
        away = engine.directory / "away"
        away.mkdir()
        for path in [engine.data_dir / "checkpoint", *engine.data_dir.glob("streamobs.db*")]:
            path.rename(away / path.name)
        code, said = wal(engine, "repair", "--yes")
        assert code == 0 and said.rstrip().endswith("repaired"), said
        engine.start()
        engine.wait(lambda: engine.windows("per_minute"), "rows")
        assert 0 < events_counted(engine) < 1200
        assert engine.stop() == 0


def test_a_log_that_ends_before_the_checkpoint_has_a_way_out():
    with Streamobs(CONFIG) as engine:
        for hour in range(2):
            send(engine, 60, hour)
            assert engine.stop() == 0
            if hour == 0:
                engine.start()
        assert len(segments(engine)) >= 2
        segments(engine)[-1].unlink()
        code, said = wal(engine, "repair")
        assert code == 74 and "checkpoint and database have got to record" in said, said
        move = re.search(r"^  (mkdir .*)$", said, re.M).group(1)
        assert f" {engine.data_dir}/checkpoint " in move
        subprocess.run(move, shell=True, check=True)
        assert wal(engine, "repair") == (0, "nothing to repair\n")
        engine.start()
        engine.wait(lambda: events_counted(engine) == 1200, "all events of the first hour")
        assert engine.stop() == 0

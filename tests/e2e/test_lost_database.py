"""Starts beside a damaged, lost or foreign database: what the log still has comes back, and nobody says otherwise."""

import shutil
import signal
import sqlite3

import pytest

from harness import Streamobs, query, run

CONFIG = """
[stream.requests]
time = "at"
idle_timeout = "1h"
fields = { service = "string", x = "float" }
[window.per_minute]
from = "requests"
size = "1m"
by = ["service"]
allowed_lateness = "0s"
select = { n = "count(*)"%s }
"""
CHANGED = CONFIG % ', total = "sum(x)"'
LIVES = 3
MINUTES = 5


def lived(engine, last_is_killed=False):
    """Three lives of five minutes each: a segment of the log for each, two checkpoints that are kept. Gives the rows."""
    for life in range(LIVES):
        if life:
            engine.start()
        for minute in range(MINUTES * life, MINUTES * (life + 1)):
            events = [{"at": f"2026-01-09T10:{minute:02d}:{second:02d}Z", "service": "a", "x": 1}
                      for second in range(0, 50, 10)]
            assert engine.post("requests", events).status == 200
        newest = MINUTES * (life + 1) - 1  # The newest minute is still open.
        engine.wait(lambda: len(engine.closed("per_minute")) == newest, "the closed windows")
        rows = counted(engine)
        killed = last_is_killed and life == LIVES - 1
        assert engine.stop(signal.SIGKILL if killed else signal.SIGTERM) == (-9 if killed else 0)
    return rows


def counted(engine):
    return sorted((row["window_start"], row["service"], row["n"]) for row in engine.windows("per_minute"))


def change(database, *statements):
    connection = sqlite3.connect(database)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def damage_table(data_dir):
    """The first page of the window's table; all else is sound."""
    database = data_dir / "streamobs.db"
    change(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    page = query(database, "SELECT rootpage FROM sqlite_schema WHERE name = 'window_per_minute'")[0]["rootpage"]
    with open(database, "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 200)


def lose_database(data_dir):
    for path in data_dir.glob("streamobs.db*"):
        path.unlink()


def doctor(engine, code):
    done = run("doctor", "--offline", "--data-dir", engine.data_dir, check=False)
    assert done.returncode == code, done.stdout
    return done.stdout


def line_of(said, check):
    lines = [line for line in said.splitlines() if line[9:].startswith(check + " ")]
    assert len(lines) == 1, said
    return lines[0]


def refusal(engine):
    """What a start says that does not come up, and its exit code."""
    before = len(engine.messages())
    engine.spawn()
    code = engine.process.wait(timeout=60)
    engine.log.close()
    return engine.messages()[before:], code


def assert_whole(engine, rows):
    """All is there, and belongs to the log; also behind one more restart."""
    engine.wait(lambda: counted(engine) == rows, "the rows of before")
    assert list(engine.data_dir.glob("streamobs.db.corrupt-*"))
    assert query(engine.data_dir / "streamobs.db", "SELECT log_id FROM streamobs_log")[0]["log_id"] != 0
    assert engine.stop() == 0
    assert "recovery                 log, checkpoint and database belong together" in doctor(engine, 0)
    engine.start()
    assert counted(engine) == rows


@pytest.mark.parametrize("killed", [True, False])
def test_a_window_table_that_is_damaged_is_rebuilt_from_the_whole_log(killed):
    with Streamobs(CONFIG % "") as engine:
        rows = lived(engine, killed)
        damage_table(engine.data_dir)
        said = doctor(engine, 2)
        assert line_of(said, "database").startswith("FAILING"), said
        assert line_of(said, "recovery").startswith("warning"), said
        assert "sets it aside" in line_of(said, "recovery") and "whole log" in line_of(said, "recovery")
        engine.start()
        assert "It is set aside" in engine.messages() and "from the whole of the log" in engine.messages()
        assert_whole(engine, rows)


def test_damage_that_the_replay_of_an_old_config_meets_is_judged_as_well():
    with Streamobs(CONFIG % "") as engine:
        rows = lived(engine, last_is_killed=True)
        damage_table(engine.data_dir)
        (engine.directory / "obs.toml").write_text(CHANGED)
        engine.start()
        assert "It is set aside" in engine.messages() and "from the whole of the log" in engine.messages()
        closed = rows[:-1]  # The window is another one now: what was open of it begins anew.
        engine.wait(lambda: counted(engine)[:len(closed)] == closed, "the rows of before")
        assert query(engine.data_dir / "streamobs.db", "SELECT log_id FROM streamobs_log")[0]["log_id"] != 0


def test_damage_that_a_reload_meets_is_judged_as_well():
    with Streamobs(CONFIG % "") as engine:
        rows = lived(engine)
        engine.start()
        damage_table(engine.data_dir)
        assert engine.request("POST", "/-/reload").status == 200
        assert "It is set aside" in engine.messages() and "from the whole of the log" in engine.messages()
        assert_whole(engine, rows)


def test_of_a_log_without_its_beginning_all_comes_back_that_the_older_checkpoint_is_followed_by():
    with Streamobs(CONFIG % "") as engine:
        rows = lived(engine, last_is_killed=True)
        whole = engine.directory / "whole"
        shutil.copytree(engine.data_dir, whole)
        (engine.data_dir / "wal" / "segment-0000000001.log").unlink()
        lose_database(engine.data_dir)
        recovery = line_of(doctor(engine, 2), "recovery")
        assert recovery.startswith("FAILING") and "begins with record 8" in recovery, recovery
        assert "results of records 1 to 7 that" in recovery, recovery
        engine.start()
        assert "cannot be rebuilt" in engine.messages()
        # What was open at the older checkpoint is in that.
        engine.wait(lambda: counted(engine) == rows[MINUTES - 1:], "the rows behind the older checkpoint")
        assert engine.stop() == 0
        assert "belong together" in line_of(doctor(engine, 0), "recovery")


def test_a_database_between_two_checkpoints_lacks_nothing():
    with Streamobs(CONFIG % "") as engine:
        lived(engine)
        early = engine.directory / "early.db"
        lose_database(engine.data_dir)  # The first life is rebuilt, and kept for later.
        engine.start()
        assert engine.stop() == 0
        shutil.copy(engine.data_dir / "streamobs.db", early)
        engine.start()
        at = "2026-01-09T10:20:00Z"
        assert engine.post("requests", [{"at": at, "service": "b", "x": 1}]).status == 200
        engine.wait(lambda: len(engine.closed("per_minute")) == LIVES * MINUTES, "the closed windows")
        rows = counted(engine)
        assert engine.stop() == 0
        # The log's beginning, and what the database has got since: an older checkpoint gives that.
        (engine.data_dir / "wal" / "segment-0000000001.log").unlink()
        lose_database(engine.data_dir)
        shutil.copy(early, engine.data_dir / "streamobs.db")
        recovery = line_of(doctor(engine, 1), "recovery")
        assert recovery.startswith("warning") and "from an earlier one" in recovery, recovery
        engine.start()
        assert "cannot be rebuilt" not in engine.messages()
        assert "an earlier one is taken" in engine.messages()
        assert counted(engine) == rows


@pytest.mark.parametrize("statement", [
    "UPDATE streamobs_log SET applied_position = 3", "DELETE FROM streamobs_log"])
def test_a_note_of_the_position_that_is_not_as_it_was_written_is_damage(statement):
    with Streamobs(CONFIG % "") as engine:
        rows = lived(engine, last_is_killed=True)
        change(engine.data_dir / "streamobs.db", statement)
        said = doctor(engine, 2)
        assert line_of(said, "database").startswith("FAILING"), said
        assert "(streamobs_log) is not as it was written" in line_of(said, "database"), said
        assert "The next start sets it aside" in said
        assert line_of(said, "recovery").startswith("warning") and "record 0" not in said, said
        engine.start()
        assert "It is set aside" in engine.messages()
        assert_whole(engine, rows)


def test_a_start_that_is_refused_leaves_no_log_behind():
    with Streamobs(CONFIG % "") as engine:
        rows = lived(engine)
        kept = engine.directory / "kept"
        kept.mkdir()
        shutil.move(engine.data_dir / "wal", kept / "wal")
        shutil.move(engine.data_dir / "checkpoint", kept / "checkpoint")
        first, code = refusal(engine)
        assert code == 78 and "wal holds no log" in first, first
        again, code = refusal(engine)
        assert code == 78 and "wal holds no log" in again, again
        said = doctor(engine, 2)
        assert "wal holds no log" in line_of(said, "recovery"), said
        assert line_of(said, "log").startswith("no data"), said
        assert not list(engine.data_dir.glob("wal/*"))
        # Put back, all is as it was.
        for name in ("wal", "checkpoint"):
            shutil.copytree(kept / name, engine.data_dir / name, dirs_exist_ok=True)
        engine.start()
        assert counted(engine) == rows


def test_of_a_damaged_database_it_is_judged_first_what_it_says_of_itself():
    with Streamobs(CONFIG % "") as engine:
        lived(engine)
        damage_table(engine.data_dir)
        for name in ("wal", "checkpoint"):
            shutil.rmtree(engine.data_dir / name)
        recovery = line_of(doctor(engine, 2), "recovery")
        assert recovery.startswith("FAILING") and "wal holds no log" in recovery, recovery
        said, code = refusal(engine)
        assert code == 78 and "wal holds no log" in said, said
        assert not list(engine.data_dir.glob("streamobs.db.corrupt-*"))


def test_a_checkpoint_without_its_log_is_told_by_what_is_known_of_it():
    with Streamobs(CONFIG % "") as engine:
        lived(engine)
        shutil.rmtree(engine.data_dir / "wal")
        before = doctor(engine, 2)
        said, code = refusal(engine)
        assert doctor(engine, 2) == before  # No trace of it, not even an empty directory.
        assert code == 74 and "checkpoint or database have got to record" in said, said
        assert "0000000000" not in said, said

"""`streamobs backup` beside a running engine, and `streamobs restore`: what was acknowledged before a
backup began is in it, counted once."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

from harness import BINARY, Streamobs, query, run

CONFIG = """
[wal]
checkpoint_every = "1s"
[stream.events]
time = "t"
idle_timeout = "1h"
fields = { name = "string", pad = "string" }
[window.names]
from = "events"
size = "1h"
by = ["name"]
allowed_lateness = "1h"
max_keys = 2000000
[window.names.select]
events = "count(*)"
"""

PER_REQUEST = 20
# A log segment is 64 MiB: so that several are begun and freed in a few seconds.
PAD = os.urandom(150_000).hex()


def event(name, hour=12, **more):
    return {"name": name, "t": f"2026-01-09T{hour}:00:05Z", **more}


class Load:
    """Sends events on several threads, none twice, and notes what was acknowledged."""

    def __init__(self, engine, threads=3):
        self.engine = engine
        self.stopping = threading.Event()
        self.sent = [0] * threads
        self.acknowledged = [0] * threads
        self.failures = []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, i):
        while not self.stopping.is_set():
            first = self.sent[i]
            events = [event(f"{i}-{n}") for n in range(first, first + PER_REQUEST)]
            events[0]["pad"] = PAD
            self.sent[i] += PER_REQUEST
            reply = self.engine.post("events", events)
            if reply.status != 200 or reply.json()["accepted"] != PER_REQUEST:
                self.failures.append((reply.status, reply.body))
                return
            self.acknowledged[i] += PER_REQUEST

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def backup(engine_or_dir, to, **options):
    data_dir = getattr(engine_or_dir, "data_dir", engine_or_dir)
    return run("backup", "--data-dir", data_dir, "--to", to, **options)


def restore(source, data_dir, **options):
    return run("restore", "--from", source, "--data-dir", data_dir, **options)


def oldest_segment(engine):
    """Its number, raw or sealed."""
    names = [path.name for path in (engine.data_dir / "wal").glob("segment-*")]
    return min(int(name.removeprefix("segment-").split(".")[0]) for name in names)


def counted(engine):
    """How often each name was counted: closes what is open, ends the engine, asks the database."""
    for hour in (15, 20):
        assert engine.post("events", [event("end", hour=hour)]).status == 200
    assert engine.stop() == 0
    rows = query(engine.data_dir / "streamobs.db",
                 "SELECT name, sum(events) AS n FROM names WHERE closed GROUP BY name")
    return {row["name"]: row["n"] for row in rows if row["name"] != "end"}


def test_backups_under_load_hold_what_was_acknowledged_before_them_once(tmp_path):
    draw = random.Random(5)
    taken = []
    with Streamobs(CONFIG) as engine:
        load = Load(engine)
        deadline = time.monotonic() + 120
        try:
            # Until something was freed meanwhile.
            while len(taken) < 4 or oldest_segment(engine) == 1:
                assert time.monotonic() < deadline, "no segment was freed"
                time.sleep(draw.uniform(0.5, 2.5))
                before = list(load.acknowledged)
                done = backup(engine, tmp_path / f"backup-{len(taken)}")
                assert "backed up" in done.stdout and "records up to" in done.stdout
                taken.append((before, list(load.sent)))
        finally:
            load.stop()
        assert not load.failures
        assert engine.stop() == 0
        assert "error" not in engine.messages().lower()
    assert sum(taken[-1][0]) > sum(taken[0][0]) > 0
    for i, (before, sent) in enumerate(taken):
        restore(tmp_path / f"backup-{i}", tmp_path / f"restored-{i}")
        with Streamobs(CONFIG, data_dir=tmp_path / f"restored-{i}") as engine:
            assert engine.post("events", [event("new", hour=13)]).status == 200
            counts = counted(engine)
            assert counts.pop("new") == 1
            assert set(counts.values()) == {1}
            for thread, acknowledged in enumerate(before):
                missing = [n for n in range(acknowledged) if f"{thread}-{n}" not in counts]
                assert not missing, f"backup {i}, thread {thread}: {missing[:10]}"
            assert sum(before) <= len(counts) <= sum(sent)


def test_a_backup_after_a_kill_restores_with_the_config_of_the_engine(tmp_path):
    with Streamobs(CONFIG) as engine:
        for i in range(50):
            assert engine.post("events", [event(f"x{i}")]).status == 200
        engine.stop(signal.SIGKILL)
        config = engine.directory / "obs.toml"
        config.write_text(f'data_dir = "{engine.data_dir}"\n' + CONFIG)
        run("backup", "--config", config, "--to", tmp_path / "b")
        assert oct((tmp_path / "b").stat().st_mode & 0o777) == "0o700"
        config.write_text(f'data_dir = "{tmp_path}/restored"\n' + CONFIG)
        run("restore", "--config", config, "--from", tmp_path / "b")
    with Streamobs(CONFIG, data_dir=tmp_path / "restored") as engine:
        assert counted(engine) == {f"x{i}": 1 for i in range(50)}


def test_a_damaged_log_is_not_backed_up_as_a_shorter_one(tmp_path):
    # No checkpoint, so that nothing but the log itself knows how far it went.
    with Streamobs(CONFIG.replace('"1s"', '"1h"')) as engine:
        for i in range(41):
            assert engine.post("events", [event(f"x{i}")]).status == 200
        engine.stop(signal.SIGKILL)
        segment = engine.data_dir / "wal" / "segment-0000000001.log"
        content = bytearray(segment.read_bytes())
        middle = len(content.rstrip(b"\0")) * 2 // 3
        content[middle] ^= 8
        segment.write_bytes(content)
        refused = backup(engine, tmp_path / "b", check=False)
        assert refused.returncode == 74
        assert segment.name in refused.stderr and "wal repair" in refused.stderr
        assert list(tmp_path.iterdir()) == []
        content[middle] ^= 8
        segment.write_bytes(content)
        backup(engine, tmp_path / "b")
    restore(tmp_path / "b", tmp_path / "restored")
    with Streamobs(CONFIG, data_dir=tmp_path / "restored") as engine:
        assert counted(engine) == {f"x{i}": 1 for i in range(41)}


@pytest.fixture
def made(tmp_path):
    """A backup, and the data directory of an engine that still runs."""
    with Streamobs(CONFIG) as engine:
        assert engine.post("events", [event("a")]).status == 200
        backup(engine, tmp_path / "b")
        yield tmp_path / "b", engine


def test_what_is_wrong_with_a_backup_is_named(made, tmp_path):
    taken, engine = made
    assert "is whole" in run("restore", "--from", taken, "--check").stdout
    files = [p for p in taken.rglob("*") if p.is_file()]
    assert len(files) >= 3
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        wrong = restore(taken, tmp_path / "wrong", check=False)
        assert wrong.returncode == 74 and path.name in wrong.stderr
        path.unlink()
        wrong = restore(taken, tmp_path / "wrong", check=False)
        if path.name == "backup.manifest":
            assert wrong.returncode == 78 and "no backup" in wrong.stderr
        else:
            assert wrong.returncode == 74 and path.name in wrong.stderr
        assert not (tmp_path / "wrong").exists()
        path.write_bytes(content)


def test_nothing_is_written_over(made, tmp_path):
    taken, engine = made
    again = backup(engine, taken, check=False)
    assert again.returncode == 78 and "another name" in again.stderr
    running = restore(taken, engine.data_dir, check=False)
    assert running.returncode == 75 and "in use" in running.stderr
    assert engine.stop() == 0
    onto = restore(taken, engine.data_dir, check=False)
    assert onto.returncode == 78 and "not empty" in onto.stderr and "--data-dir" in onto.stderr
    nothing = backup(tmp_path / "nothing", tmp_path / "b2", check=False)
    assert nothing.returncode == 78 and not (tmp_path / "nothing").exists()


def test_a_backup_that_was_cut_short_does_not_look_like_one(made, tmp_path):
    taken, engine = made
    for place in ("file.write", "file.sync_data", "file.rename"):
        to = tmp_path / place
        died = backup(engine, to, check=False, env={**os.environ, "STREAMOBS_FAILPOINT": place})
        assert died.returncode == -signal.SIGKILL
        assert not to.exists()
        assert restore(f"{to}.unfinished", tmp_path / "r", check=False).returncode == 78
        again = backup(engine, to, check=False)
        assert again.returncode == 78 and "rm -r" in again.stderr


def test_an_interrupted_backup_leaves_nothing(made, tmp_path):
    taken, engine = made
    draw = random.Random(3)
    codes = []
    for i in range(40):
        to = tmp_path / f"interrupted-{i}"
        unfinished = pathlib.Path(f"{to}.unfinished")
        process = subprocess.Popen([BINARY, "backup", "--data-dir", engine.data_dir, "--to", to],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        begun = i % 4 != 0
        if begun:
            while not unfinished.exists() and not to.exists() and process.poll() is None:
                pass
        time.sleep(draw.choice([0.0, draw.uniform(0.0, 0.05)]))
        process.send_signal(draw.choice([signal.SIGINT, signal.SIGTERM]))
        _, messages = process.communicate()
        assert not unfinished.exists()
        assert to.exists() == (process.returncode == 0)
        if process.returncode == 75:
            assert b"interrupted" in messages
        # Killed only where the signal may come before anything was begun.
        assert process.returncode in (0, 75) or (not begun and process.returncode < 0)
        codes.append(process.returncode)
    assert codes.count(75) >= 5


def test_a_disk_too_small_for_a_backup(made, tmp_path):
    taken, engine = made
    disk = tmp_path / "disk"
    disk.mkdir()
    codes = []
    for size in (8, 24, 40, 64, 80, 96, 112, 128, 160, 400):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk],
                          capture_output=True).returncode != 0:
            pytest.skip("mounting is not permitted here; tests/app/backup_test.cpp has the twin")
        try:
            for work, made_there in ((lambda to: backup(engine, to, check=False), disk / "b"),
                                     (lambda to: restore(taken, to, check=False), disk / "r")):
                done = work(made_there)
                if done.returncode != 0:
                    assert done.returncode == 75 and "not enough space" in done.stderr
                    assert list(disk.iterdir()) == []
                else:
                    assert list(disk.iterdir()) == [made_there]
                    shutil.rmtree(made_there)
                codes.append(done.returncode)
        finally:
            subprocess.run(["umount", "-l", disk], check=False)
    assert codes[:2] == [75, 75] and codes[-2:] == [0, 0] and codes.count(75) > 6
    assert engine.post("events", [event("b")]).status == 200


def test_the_root_of_a_volume_can_be_restored_into(made, tmp_path):
    taken, engine = made
    disk = tmp_path / "volume"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m,mode=700", "tmpfs", disk],
                      capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted here")
    try:
        (disk / "lost+found").mkdir()
        restore(taken, disk)
        with Streamobs(CONFIG, data_dir=disk) as restored:
            assert counted(restored) == {"a": 1}
    finally:
        subprocess.run(["umount", "-l", disk], check=False)

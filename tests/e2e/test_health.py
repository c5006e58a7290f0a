"""The engine's checks of itself and its data, and `streamobs doctor`, over the real binary."""

import json
import os
import shutil
import sqlite3
import time

from harness import Streamobs, run

CONFIG = """
[health]
quick_every = "1s"
deep_every = "{deep_every}"
freshness = "{freshness}"

[stream.requests]
time = "at"
fields = {{ service = "string", user = "string", ms = "float" }}
nulls_max = {{ user = 0.1 }}

[stream.silent]
time = "at"

[window.per_minute]
from = "requests"
size = "1m"
by = ["service"]
select = {{ n = "count(*)" }}

[rule.slow]
on = "per_minute"
when = "n >= 5"
severity = "high"
"""


def config(freshness="1h", deep_every="1h"):
    return CONFIG.format(freshness=freshness, deep_every=deep_every)


def event(**fields):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"at": at, "service": "checkout", "user": "u", "ms": 1.0} | fields


def report(engine, now=False):
    reply = engine.request("POST" if now else "GET", "/api/v1/health")
    assert reply.status == 200, reply.body
    return reply.json()


def check(engine, name, of="", now=False):
    return next((row for row in report(engine, now)["rows"]
                 if row["check"] == name and row["of"] == of), None)


def wait_for_state(engine, name, of, state):
    engine.wait(lambda: (check(engine, name, of) or {}).get("state") == state,
                f"{name} {of} to be {state}; it is {check(engine, name, of)}")


def doctor(*arguments, code=0):
    done = run("doctor", *arguments, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def test_a_stream_that_goes_stale_fails_and_is_fresh_again_with_the_next_event():
    with Streamobs(config(freshness="3s")) as engine:
        assert check(engine, "freshness", "silent", now=True)["state"] == "no_data"
        engine.post("requests", [event()])
        wait_for_state(engine, "freshness", "requests", "ok")
        wait_for_state(engine, "freshness", "requests", "failing")
        stale = check(engine, "freshness", "requests")
        assert stale["value"] >= 3 and stale["bound"] == 3 and stale["unit"] == "seconds"
        assert "the newest event is" in stale["detail"] and "pipeline" in stale["advice"]
        assert report(engine)["state"] == "failing"
        assert engine.metric("streamobs_check_state", check="freshness", of="requests") == 2
        assert engine.metric("streamobs_check_state", check="freshness", of="silent") == -1
        assert engine.metric("streamobs_check_state", check="disk") == 0
        done = doctor("--target", engine.url, code=2)
        assert "FAILING  freshness requests" in done.stdout and "→ See whether" in done.stdout

        engine.post("requests", [event()])
        wait_for_state(engine, "freshness", "requests", "ok")
        again = check(engine, "freshness", "requests")
        assert again["since"] > stale["since"] and again["advice"] == ""
        engine.wait(lambda: "a check is over" in engine.messages(), "the log's word of it")
        assert "a check fails" in engine.messages()
        assert engine.stop() == 0


def test_a_restarted_engine_gives_its_senders_time():
    with Streamobs(config(freshness="2s")) as engine:
        engine.post("requests", [event()])
        sent_at = time.monotonic()
        wait_for_state(engine, "freshness", "requests", "failing")
        assert engine.stop() == 0
        (engine.directory / "obs.toml").write_text(config(freshness="5s"))
        engine.wait(lambda: time.monotonic() > sent_at + 6, "the event to be older than 5 s")
        engine.start()
        first = check(engine, "freshness", "requests", now=True)
        assert first["state"] == "no_data", first
        assert "only been taking events for" in first["detail"]
        wait_for_state(engine, "freshness", "requests", "failing")


def test_the_deep_checks_measure_the_fields_and_look_after_the_database():
    with Streamobs(config(deep_every="3s")) as engine:
        events = [event(user=None if i % 4 == 0 else "u", ms=100 + i % 50) for i in range(1000)]
        for i in range(0, 1000, 10):
            events[i]["ms"] = 1_000_000
        events += [event(ms="slow")] * 100
        assert engine.post("requests", events).json()["rejected"] == 100

        def measured():
            return next((stream for stream in report(engine)["quality"]
                         if stream["stream"] == "requests" and stream["events"] == 1000), None)

        engine.wait(lambda: measured() is not None, "the period with the events")
        fields = {field["field"]: field for field in measured()["fields"]}
        rows = {(row["check"], row["of"]): row for row in report(engine)["rows"]}
        assert fields["user"]["null_share"] == 0.25 and fields["service"]["null_share"] == 0
        assert 0.05 < fields["ms"]["outlier_share"] < 0.16
        assert fields["ms"]["usual_from"] < 100 and 149 < fields["ms"]["usual_to"] < 1000
        nulls = rows["nulls", "requests"]
        assert nulls["state"] == "failing" and "user in 25 % (at most 10 %)" in nulls["detail"]
        refused = rows["refused", "requests"]
        assert refused["state"] == "warning" and "wrong_type" in refused["detail"]
        assert rows["late", "requests"]["state"] == "ok"
        assert rows["late", "silent"]["state"] == "no_data"
        assert rows["database", ""]["state"] == "ok", rows["database", ""]
        assert rows["statistics", ""]["state"] == "ok", rows["statistics", ""]
        with sqlite3.connect(engine.data_dir / "streamobs.db") as database:
            assert database.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0] >= 0
        done = doctor("--target", engine.url, "--fields", code=2)
        assert "requests: " in done.stdout
        # A period without events judges nothing.
        wait_for_state(engine, "nulls", "requests", "no_data")
        assert engine.stop() == 0


def test_damage_that_nobody_has_met_yet_is_found_by_the_running_engine():
    with Streamobs(config(deep_every="1s")) as engine:
        assert engine.stop() == 0
        file = engine.data_dir / "streamobs.db"
        with sqlite3.connect(file) as database:
            database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
            database.executemany("INSERT INTO notes (text) VALUES (?)",
                                 [("of a person's own " * 20,)] * 500)
            database.commit()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        pages = bytearray(file.read_bytes())
        for start in range(0, len(pages), 4096):
            if b"of a person's own" in pages[start:start + 4096]:
                pages[start:start + 8] = b"\xff" * 8
        file.write_bytes(pages)
        engine.start()
        wait_for_state(engine, "database", "", "failing")
        found = check(engine, "database")
        assert "is damaged: notes: " in found["detail"] and "move the file away" in found["advice"]
        # It goes on all the same: these pages are nobody's who stores results.
        assert engine.post("requests", [event()]).status == 200
        doctor("--target", engine.url, code=2)
        assert engine.stop() == 0


def test_events_of_a_replayed_log_are_not_counted_again():
    with Streamobs(config(deep_every="2s")) as engine:
        engine.post("requests", [event() for _ in range(500)])
        engine.process.kill()
        engine.process.wait()
        engine.start()
        engine.wait(lambda: report(engine)["deep_at"] is not None, "the deep checks")
        assert [stream["events"] for stream in report(engine)["quality"]] == [0, 0]


def test_doctor_asks_the_engine_of_the_config_with_its_token():
    os.environ["STREAMOBS_HEALTH_TOKEN"] = "sesame-open-now-please-1"
    with_token = config() + '[http]\ntoken = "env:STREAMOBS_HEALTH_TOKEN"\n'
    with Streamobs(with_token) as engine:
        file = engine.directory / "obs.toml"
        address = engine.url.removeprefix("http://")
        file.write_text(with_token + f'listen = "{address}"\n')
        assert engine.get("/api/v1/health").status == 401
        done = doctor("--config", file, "--json")
        answer = json.loads(done.stdout)
        assert answer["state"] == "ok"
        assert {"engine", "freshness", "detection", "narration", "store", "disk"} <= {
            row["check"] for row in answer["rows"]}
        assert "all is well" in doctor("--config", file).stdout
        refused = doctor("--target", engine.url, code=78)
        assert "401" in refused.stderr


def test_a_pipeline_that_stands_still_without_a_full_channel_is_seen():
    toml = config(freshness="false").replace("[health]", '[health]\nlag = "10s"')
    toml = toml.replace('freshness = "false"', "freshness = false")
    with Streamobs(toml) as engine:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 300))
        engine.post("requests", [event(at=at)])
        wait_for_state(engine, "progress", "", "ok")
        holder = sqlite3.connect(engine.data_dir / "streamobs.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        # The window closes, and its row cannot be stored.
        engine.post("requests", [event()])
        wait_for_state(engine, "progress", "", "failing")
        stands = check(engine, "progress")
        assert "the store has work and has done none of it for" in stands["detail"], stands
        assert stands["bound"] == 10 and stands["value"] >= 10
        assert check(engine, "backlog")["state"] == "ok"
        holder.execute("ROLLBACK")
        holder.close()
        wait_for_state(engine, "progress", "", "ok")
        engine.wait(lambda: engine.closed("per_minute"), "the closed window")
        assert engine.stop() == 0


def test_doctor_leaves_nothing_behind_and_says_what_the_start_will_say(tmp_path):
    with Streamobs(config()) as engine:
        engine.post("requests", [event(service=f"s{i}") for i in range(50)])
        assert engine.stop() == 0
        first = tmp_path / "first"
        shutil.copytree(engine.data_dir, first)
        engine.start()
        engine.post("requests", [event(service=f"s{i}") for i in range(50)])
        assert engine.stop() == 0
        later = tmp_path / "later"
        shutil.copytree(engine.data_dir, later)
        engine.start()
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))
        engine.post("requests", [event(at=at)])
        engine.wait(lambda: engine.closed("per_minute"), "windows closed by a later event")
        # Killed, what was committed last is in the journal alone.
        engine.process.kill()
        engine.process.wait()

        def files(directory):
            return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}

        killed = tmp_path / "killed"
        shutil.copytree(engine.data_dir, killed)
        for name in ("lock", "streamobs.db-shm"):
            (killed / name).unlink(missing_ok=True)
        for data in (first, later, killed):
            before = files(data)
            said = doctor("--offline", "--data-dir", data).stdout
            assert "ok       recovery" in said and "ok       checkpoint" in said, said
            assert "belong together" in said
            assert files(data) == before

        # Put together from two: the log of then, and the rest of now.
        mixed = tmp_path / "mixed"
        shutil.copytree(later, mixed)
        shutil.rmtree(mixed / "wal")
        shutil.copytree(first / "wal", mixed / "wal")
        said = doctor("--offline", "--data-dir", mixed, code=2).stdout
        assert "FAILING  recovery" in said and "the next start is refused" in said
        shutil.rmtree(mixed / "wal")
        said = doctor("--offline", "--data-dir", mixed, code=2).stdout
        assert "FAILING  recovery" in said and "put the log back" in said.lower()


def test_a_disk_with_too_little_space_fails():
    with Streamobs(config().replace("[health]", '[health]\ndisk_free = "512TiB"')) as engine:
        assert check(engine, "disk", now=True)["state"] == "failing"
        doctor("--target", engine.url, code=2)


def test_doctor_without_an_engine_looks_at_what_it_has_left(tmp_path):
    with Streamobs(config()) as engine:
        file, data = engine.directory / "obs.toml", engine.data_dir
        file.write_text(config() + '[http]\nlisten = "127.0.0.1:9"\n')
        engine.post("requests", [event(service=f"s{i}") for i in range(200)])
        # It runs, and not where the config says.
        beside = doctor("--config", file, "--data-dir", data, code=2).stdout
        assert "FAILING  engine" in beside and "is in use by process" in beside
        assert "ok       database" in beside and "no data  log" in beside
        assert engine.stop() == 0

        down = doctor("--config", file, "--data-dir", data, code=2).stdout
        assert "FAILING  engine" in down and "ok       log" in down and "ok       config" in down
        assert "FAILING" not in doctor("--offline", "--data-dir", data).stdout
        answer = json.loads(doctor("--offline", "--data-dir", data, "--json").stdout)
        assert answer["state"] == "ok" and {row["check"] for row in answer["rows"]} >= {
            "database", "log", "disk", "data_dir"}

        database = data / "streamobs.db"
        page = 4096
        whole = database.read_bytes()
        assert len(whole) > 3 * page
        # All but the first page, which says what the others are.
        database.write_bytes(whole[:page] + b"\x5a" * (len(whole) - page))
        broken = doctor("--offline", "--data-dir", data, code=2).stdout
        assert "FAILING  database" in broken and "is damaged" in broken and "move the file" in broken
        database.write_bytes(b"not a database, but long enough to be looked at" * 100)
        assert "is damaged" in doctor("--offline", "--data-dir", data, code=2).stdout
        database.write_bytes(whole)
        doctor("--offline", "--data-dir", data)

        segment = max((data / "wal").glob("*"), key=lambda path: path.stat().st_size)
        log = bytearray(segment.read_bytes())
        log[200] ^= 0xFF
        segment.write_bytes(log)
        assert "FAILING  log" in doctor("--offline", "--data-dir", data, code=2).stdout


def test_doctor_says_what_is_wrong_with_what_it_was_told(tmp_path):
    # An engine that was started with --listen is found the same way.
    elsewhere = doctor("--listen", "127.0.0.1:9", "--data-dir", tmp_path, code=2).stdout
    assert "no answer from http://127.0.0.1:9" in elsewhere and "--listen" in elsewhere
    missing = doctor("--offline", "--data-dir", tmp_path / "none", code=1).stdout
    assert "warning  data_dir" in missing and not (tmp_path / "none").exists()
    assert "no answer" in doctor("--target", "http://127.0.0.1:9", code=75).stderr
    bad = tmp_path / "bad.toml"
    bad.write_text("[stream.s]\n")
    assert "time" in doctor("--config", bad, code=78).stderr

"""What the log holds can be asked and replayed; what cannot be replayed is set aside."""

import collections
import json
import os
import random
import sqlite3
import signal
import subprocess

import pytest

from harness import BINARY, Streamobs, ndjson, query, run

CONFIG = """
[wal]
checkpoint_every = "1s"
keep = { age = "1d", bytes = "1GB" }
[stream.requests]
time = "at"
id = "id"
idle_timeout = "1s"
%(stream)s
fields = { %(fields)sid = "string", service = "string", ms = "float", status = "int" }
[window.per_minute]
from = "requests"
size = "1m"
by = ["service"]
allowed_lateness = "5s"
[window.per_minute.select]
requests = "count(*)"
errors = "count(*) filter (where status >= 500)"
total_ms = "sum(ms)"
"""


def config(stream="", fields=""):
    return CONFIG % {"stream": stream, "fields": fields}


def made_up(count, seed=1, begin=1_735_689_600):
    """Events of 20 a second, some out of order, some sent twice, some too late."""
    draw = random.Random(seed)
    events = []
    for i in range(count):
        behind = draw.choice([0, 0, 0, 2, 3, 90])
        events.append({"id": f"e{draw.randrange(i + 1) if i % 50 == 0 else i}",
                       "at": round(begin + i / 20 - behind, 3), "service": draw.choice("abc"),
                       "ms": draw.randrange(100_000) / 1000, "status": draw.choice([200, 404, 500]),
                       "customer": {"name": f"c{i % 7}"}})
    return events


def send(engine, events, at_once=100):
    for i in range(0, len(events), at_once):
        assert engine.post("requests", events[i:i + at_once]).status == 200


def rows_of(data_dir, window="per_minute"):
    rows = query(f"{data_dir}/streamobs.db", f"SELECT * FROM {window} ORDER BY 1, 2, 3")
    return [{k: v for k, v in row.items()} for row in rows]


def replay(engine, text, into, *arguments, check=True):
    (into.parent / "replay.toml").write_text(text)
    return run("replay", "--config", into.parent / "replay.toml", "--data-dir", into, "--from-log",
               engine.data_dir, *arguments, check=check)


def first_by_id(events):
    return list({event["id"]: event for event in reversed(events)}.values())[::-1]


def test_events_are_printed_from_the_log_of_a_running_engine():
    events = made_up(3000)
    with Streamobs(config()) as engine:
        send(engine, events)
        done = run("query", "--from-log", engine.data_dir, "--where",
                   "status = 500 AND ms > 90 AND service <> 'c'", "--from", "2025-01-01T00:00:30Z",
                   "--to", "2025-01-01T00:02:00Z")
        # The place of the log by the config, whichever stands first.
        file = engine.data_dir.parent / "place.toml"
        file.write_text(f'data_dir = "{engine.data_dir}"\n' + config())
        for arguments in (("--config", file, "--from-log"), ("--from-log", "--config", file),
                          ("--data-dir", engine.data_dir, "--from-log", "--limit", "2000000")):
            assert run("query", *arguments).stdout.count("\n") == len(events)
    begin = 1_735_689_600
    expected = [e for e in events if e["status"] == 500 and e["ms"] > 90 and e["service"] != "c"
                and begin + 30 <= e["at"] < begin + 120]
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(expected) > 20
    assert [(e["id"], e["ms"]) for e in printed] == [(e["id"], e["ms"]) for e in expected]
    assert all(e["at"].endswith("Z") for e in printed)
    assert f"{len(expected)} of " in done.stderr


def test_a_mistake_in_the_question_is_told_with_its_place():
    with Streamobs(config()) as engine:
        send(engine, made_up(10))
        log = engine.data_dir
        for arguments, said in (
                (("--where", "stats = 500"), "did you mean status?"),
                (("--where", "ms + 1"), "--where:1:1"),
                (("--from", "yesterday"), "is not a time such as"),
                (("--from", "2025-01-02", "--to", "2025-01-01"), "is not after"),
                (("--stream", "orders"), "no such stream in this log; there is requests")):
            done = run("query", "--from-log", log, *arguments, check=False)
            assert said in done.stderr, done.stderr
            assert done.returncode == 78
        nowhere = run("query", "--from-log", "/nowhere", check=False)
        assert nowhere.returncode == 78 and "/nowhere" in nowhere.stderr


def test_the_same_config_gives_the_same_rows_beside_the_running_engine(tmp_path):
    """Late events, repeats, a restart and silence in between included."""
    events = made_up(6000)
    with Streamobs(config()) as engine:
        send(engine, events[:2000])
        engine.stop(signal.SIGKILL)
        engine.start()
        send(engine, events[2000:4000])
        assert engine.stop() == 0
        engine.start()
        send(engine, events[4000:])
        engine.wait(lambda: engine.metric("streamobs_late_events_total") > 0, "late events")
        done = replay(engine, config(), tmp_path / "again")
        assert "6000 events" in done.stderr
        send(engine, [{"id": "end", "at": 1_735_689_600 + 3600, "service": "z", "ms": 1,
                       "status": 200}])
        engine.wait(lambda: len(engine.closed("per_minute")) >= 15, "windows to close")
        assert engine.stop() == 0
        live, again = rows_of(engine.data_dir), rows_of(tmp_path / "again")
        assert len(again) >= 15
        # What the replay left open at its end it stores as partial; the same numbers all the same.
        partial = [row for row in again if not row["closed"]]
        assert {row["window_start"] for row in partial} <= {max(r["window_start"] for r in again)}
        for row in live + again:
            row.pop("closed"), row.pop("revision", None)
        assert again == [row for row in live if row["service"] != "z"]
        late = "SELECT window, sum(1) AS n FROM dead_letter WHERE reason = 'late' GROUP BY 1"
        assert query(f"{tmp_path}/again/streamobs.db", late) == query(
            f"{engine.data_dir}/streamobs.db", late)


def test_another_config_says_what_it_would_have_said(tmp_path):
    events = made_up(4000)
    other = config().replace('status = "int"', 'status = "float"').replace(
        "errors = \"count(*) filter (where status >= 500)\"",
        "errors = \"count(*) filter (where status > 499.5)\"").replace(
        'by = ["service"]\n', "").replace('size = "1m"', 'size = "30s"')
    other += '\n[stream.requests.check]\nquick = "ms < 95"\n'
    with Streamobs(config()) as engine:
        send(engine, events)
        done = replay(engine, other, tmp_path / "other", "--where", "service <> 'a'")
        assert engine.get("/api/v1/streams").status == 200
    begin = 1_735_689_600
    # An oracle of its own: one partition, so late is what lies behind the newest time before it.
    newest, seen, expected = 0, set(), collections.defaultdict(lambda: [0, 0, 0.0])
    slow = 0
    for event in events:
        if event["ms"] >= 95:
            slow += 1
            continue
        start = int((event["at"] - begin) // 30)
        late = begin + (start + 1) * 30 + 5 <= newest
        newest = max(newest, event["at"])
        if event["id"] in seen:
            continue
        seen.add(event["id"])
        if late or event["service"] == "a":
            continue
        row = expected[start]
        row[0] += 1
        row[1] += event["status"] == 500
        row[2] += event["ms"]
    rows = query(f"{tmp_path}/other/streamobs.db",
                 "SELECT * FROM per_minute ORDER BY window_start")
    assert [(r["requests"], r["errors"]) for r in rows] == [
        (expected[s][0], expected[s][1]) for s in sorted(expected)]
    assert [r["total_ms"] for r in rows] == pytest.approx(
        [expected[s][2] for s in sorted(expected)])
    refused = query(f"{tmp_path}/other/streamobs.db",
                    "SELECT count FROM dead_letter_count WHERE reason = 'quick'")
    assert refused == [{"count": slow}]
    assert f"rejected {slow}" in done.stderr


def test_kept_lines_bring_fields_that_were_not_declared(tmp_path):
    events = made_up(500)
    kept = config(stream='keep = "raw"')
    asked = config(fields='"customer.name" = "string", ').replace('by = ["service"]',
                                                                 'by = { who = "customer.name" }')
    with Streamobs(kept) as engine:
        send(engine, events)
        done = run("query", "--from-log", engine.data_dir)
        assert done.stdout == ndjson(events).decode()
        replay(engine, asked, tmp_path / "asked")
    rows = query(f"{tmp_path}/asked/streamobs.db", "SELECT * FROM per_minute")
    assert {row["who"] for row in rows} == {f"c{i}" for i in range(7)}
    with Streamobs(config()) as engine:
        send(engine, events)
        told = replay(engine, asked, tmp_path / "told")
        assert "the log does not have this field" in told.stderr
        assert "requests.customer.name" in told.stderr


def test_a_config_without_any_stream_of_the_log_is_told_so(tmp_path):
    with Streamobs(config()) as engine:
        send(engine, made_up(10))
        renamed = config().replace("requests]", "orders]").replace('"requests"', '"orders"')
        done = replay(engine, renamed, tmp_path / "none", check=False)
        assert done.returncode == 65, done.stderr
        assert "the log has no event of the config's streams" in done.stderr


def test_history_does_not_go_into_the_database_it_comes_from():
    with Streamobs(config()) as engine:
        send(engine, made_up(10))
        done = run("replay", "--config", engine.directory / "obs.toml", "--data-dir",
                   engine.data_dir, "--from-log", engine.data_dir, check=False)
        assert done.returncode == 78 and "--data-dir" in done.stderr


def test_history_goes_into_a_directory_of_its_own(tmp_path):
    events = made_up(300)
    with Streamobs(config()) as engine:
        send(engine, events)
        with Streamobs(config()) as other:
            send(other, events[:50])
            assert other.stop() == 0
            refused = replay(engine, config(), other.data_dir, check=False)
            assert refused.returncode == 78
            assert f"{other.data_dir} is that of an engine" in refused.stderr
            assert "--data-dir" in refused.stderr
            # Nor into its database alone.
            (tmp_path / "alone").mkdir(mode=0o700)
            for file in other.data_dir.glob("streamobs.db*"):
                (tmp_path / "alone" / file.name).write_bytes(file.read_bytes())
            before = rows_of(tmp_path / "alone")
            refused = replay(engine, config(), tmp_path / "alone", check=False)
            assert refused.returncode == 78 and f"{tmp_path}/alone" in refused.stderr
            assert rows_of(tmp_path / "alone") == before
        replay(engine, config(), tmp_path / "once")
        twice = replay(engine, config(), tmp_path / "once", "--to", "2025-01-01T00:00:05Z",
                       check=False)
        assert twice.returncode == 78 and "--data-dir" in twice.stderr
        assert sum(row["requests"] for row in rows_of(tmp_path / "once")) > 200
        formatted = replay(engine, config(), tmp_path / "csv", "--format", "csv", check=False)
        assert formatted.returncode == 78 and "--format" in formatted.stderr


def test_only_what_was_asked_for_is_counted(tmp_path):
    events = made_up(400)
    end = 1_735_689_600 + 10
    with Streamobs(config()) as engine:
        send(engine, events)
        part = replay(engine, config(), tmp_path / "part", "--to", "2025-01-01T00:00:10Z")
        inside = sum(event["at"] < end for event in events)
        assert f"accepted {inside}, " in part.stderr
        assert f"outside --from and --to {len(events) - inside}" in part.stderr
        # What reaches beyond is not whole, and says so.
        with sqlite3.connect(tmp_path / "part" / "streamobs.db") as database:
            spans = database.execute("select unixepoch(window_start), unixepoch(window_end), closed "
                                     "from per_minute").fetchall()
        assert spans and all(closed == (stop <= end) for _, stop, closed in spans)
        none = replay(engine, config(), tmp_path / "none", "--from", "2031-01-01", check=False)
        assert none.returncode == 65 and "nothing was counted" in none.stderr
        assert "2025-01-01T00:00:19.9Z" in none.stderr
        strange = replay(engine, config().replace("requests]", "orders]").replace(
            '"requests"', '"orders"'), tmp_path / "strange", check=False)
        assert strange.returncode == 65 and "no event of the config's streams" in strange.stderr


def test_a_filter_may_name_a_field_that_an_older_config_lacks():
    older, newer = made_up(100, seed=1), made_up(100, seed=2)
    with Streamobs(config()) as engine:
        send(engine, older)
        assert engine.stop() == 0
        engine.config = config(fields='"customer.name" = "string", ')
        (engine.directory / "obs.toml").write_text(engine.config)
        engine.start()
        send(engine, [{**event, "id": f"n{event['id']}"} for event in newer])
        done = run("query", "--from-log", engine.data_dir, "--where", "customer.name = 'c3'")
        printed = [json.loads(line) for line in done.stdout.splitlines()]
        assert [e["id"] for e in printed] == [
            f"n{e['id']}" for e in newer if e["customer"]["name"] == "c3"]
        assert done.stderr.count("--where does not fit") == 1
        wrong = run("query", "--from-log", engine.data_dir, "--where", "customer.nam = 'c3'",
                    check=False)
        assert wrong.returncode == 78 and "did you mean customer.name?" in wrong.stderr


def test_events_that_cannot_be_written_are_no_success():
    with Streamobs(config()) as engine:
        for _ in range(10):
            send(engine, made_up(1000))
        command = [str(BINARY), "query", "--from-log", str(engine.data_dir)]
        for limit in ("1", "0"):
            with open("/dev/full", "w") as full:
                done = subprocess.run([*command, "--limit", limit], stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=60)
            assert done.returncode == 75 and "No space left" in done.stderr
            assert "of " not in done.stderr.splitlines()[-1].split("events")[0]
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True,
                              timeout=60)
        os.close(writing)
        assert done.returncode == 0 and done.stderr == ""


def test_kept_events_are_printed_on_a_line_each():
    events = [{**event, "service": "a\nb"} for event in made_up(5)]
    with Streamobs(config(stream='keep = "raw"')) as engine:
        for event in events:
            assert engine.request("POST", "/v1/events/requests",
                                  json.dumps(event, indent=2).replace("\n", "\r\n").encode(),
                                  {"Content-Type": "application/json"}).status == 200
        done = run("query", "--from-log", engine.data_dir)
        printed = [json.loads(text) for text in done.stdout.splitlines()]
    assert printed == events


def start_poisoned(engine, failpoint):
    return subprocess.run(
        [str(BINARY), "--config", str(engine.directory / "obs.toml"), "--data-dir",
         str(engine.data_dir), "--listen", "127.0.0.1:0"], capture_output=True, text=True,
        timeout=60, env={**os.environ, "STREAMOBS_FAILPOINT": failpoint})


def start_with(engine, failpoint):
    os.environ["STREAMOBS_FAILPOINT"] = failpoint
    try:
        engine.start()
    finally:
        del os.environ["STREAMOBS_FAILPOINT"]


def oracle(events):
    """Requests by minute and service, and how many were late: one partition, in their order."""
    newest, seen, counted, late = 0, set(), collections.Counter(), 0
    for event in events:
        end = (event["at"] // 60 + 1) * 60
        is_late = end + 5 <= newest
        newest = max(newest, event["at"])
        if event["id"] in seen:
            continue
        seen.add(event["id"])
        if is_late:
            late += 1
        else:
            counted[end - 60, event["service"]] += 1
    return counted, late


HOURLY = ('"1s"\nkeep', '"1h"\nkeep')  # No checkpoint comes between.
END = [{"id": "end", "at": 1_735_689_600 + 3600, "service": "z", "ms": 1, "status": 200}]


@pytest.mark.parametrize("failpoint,code", [
    ("windows.batch=6", -signal.SIGKILL), ("recovery.decode=6", -signal.SIGKILL),
    ("windows.batch!6", 70)])
def test_a_batch_that_brings_the_process_down_each_time_is_set_aside(failpoint, code):
    events = made_up(1000)
    with Streamobs(config().replace(*HOURLY)) as engine:
        for i in range(0, 1000, 100):
            assert engine.post("requests", events[i:i + 100]).json()["accepted"] == 100
        engine.stop(signal.SIGKILL)
        # Record 1 is the session's, so 6 is the fifth request.
        for _ in range(4):  # One as ever, three careful ones.
            died = start_poisoned(engine, failpoint)
            assert died.returncode == code, died.stderr
        start_with(engine, failpoint)
        assert "brought the process down each time" in engine.messages()
        assert [p.name for p in (engine.data_dir / "set-aside").iterdir()] == ["record-6.batch"]
        assert (engine.data_dir / "set-aside/record-6.batch").stat().st_size > 100

        def refused():
            return query(f"{engine.data_dir}/streamobs.db",
                         "SELECT count(*) AS n FROM dead_letter WHERE reason = 'set_aside'")[0]["n"]
        for _ in range(2):  # It stays so.
            engine.wait(lambda: refused() == 100, "its events among the dead letters")
            engine.stop(signal.SIGKILL)
            engine.start()
        send(engine, END)
        counted, late = oracle(events[:400] + events[500:])
        engine.wait(lambda: len(engine.closed("per_minute")) >= len(counted), "windows to close")
        assert engine.stop() == 0
        rows = query(f"{engine.data_dir}/streamobs.db",
                     "SELECT window_start, service, requests FROM per_minute WHERE service <> 'z'")
        assert sum(row["requests"] for row in rows) == sum(counted.values())
        assert sorted(row["requests"] for row in rows) == sorted(counted.values())
        # Those of record 6 may have been stored before it was deadly.
        letters = query(f"{engine.data_dir}/streamobs.db", "SELECT count(*) AS n FROM dead_letter "
                        "WHERE reason = 'late' AND sequence <> 6")
        assert letters == [{"n": late}]
        assert not (engine.data_dir / "replaying").exists()


def test_deaths_that_have_nothing_to_do_with_a_batch_set_nothing_aside():
    events = made_up(600)
    with Streamobs(config().replace(*HOURLY)) as engine:
        for i in range(0, 600, 100):
            assert engine.post("requests", events[i:i + 100]).status == 200
        engine.stop(signal.SIGKILL)
        for position in (3, 4, 3, 4, 5, 2, 3):
            assert start_poisoned(engine, f"windows.batch={position}").returncode == -signal.SIGKILL
        engine.start()
        assert "record, to find a batch" in engine.messages()
        assert not (engine.data_dir / "set-aside").exists()
        assert not (engine.data_dir / "replaying").exists()


def test_a_record_that_is_no_batch_is_named_and_nothing_is_set_aside():
    with Streamobs(config().replace(*HOURLY)) as engine:
        send(engine, made_up(300))
        engine.stop(signal.SIGKILL)
        for _ in range(5):
            died = start_poisoned(engine, "recovery.at=1")
            assert died.returncode == -signal.SIGKILL
        assert "is no batch that could be set aside" in died.stderr
        assert "session_started" in died.stderr
        engine.start()  # Another version gets past it.
        send(engine, END)
        engine.wait(lambda: engine.closed("per_minute"), "windows to close")
        counted, _ = oracle(made_up(300))
        assert sum(row["requests"] for row in engine.closed("per_minute")) == sum(counted.values())
        assert not (engine.data_dir / "set-aside").exists()


def test_history_is_merged_and_kept_as_the_config_says(tmp_path):
    text = config().replace('allowed_lateness = "5s"\n',
                            'allowed_lateness = "5s"\nkeep = { raw = "1h", hourly = "30d" }\n')
    events = made_up(200) + made_up(200, seed=2, begin=1_735_689_600 + 3 * 86400)
    with Streamobs(config()) as engine:
        send(engine, events)
        replay(engine, text, tmp_path / "kept")
        with sqlite3.connect(tmp_path / "kept" / "streamobs.db") as database:
            hours, = database.execute("select count(*) from streamobs_hourly_per_minute").fetchone()
            oldest, = database.execute("select min(window_start) from per_minute").fetchone()
    # Some of the later events come from just before midnight.
    assert hours > 0 and oldest >= "2025-01-03T23"


def test_a_log_without_events_says_so(tmp_path):
    with Streamobs(config()) as engine:
        for where, said in (("stats = 500", "did you mean status?"), ("status >=", "--where:1")):
            done = run("query", "--from-log", engine.data_dir, "--where", where, check=False)
            assert done.returncode == 78 and said in done.stderr
        assert run("query", "--from-log", engine.data_dir, "--where", "status = 500").stdout == ""
        none = replay(engine, config(), tmp_path / "none", check=False)
        assert none.returncode == 65 and "the log holds no event any more" in none.stderr

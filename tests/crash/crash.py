"""Kills streamobs, again and again, and counts.

    tests/crash/crash.py --kills 500            # the long run; see tests/crash/README.md
    tests/crash/crash.py --kills 20 --seed 7    # what CI runs

An engine takes events under live load: over HTTP on several connections at once (one stream whose
events bear ids, one whose requests bear an Idempotency-Key) and from a file that grows. It is killed
with SIGKILL at random moments, also while it recovers and while it makes a checkpoint, or at a named
failpoint; then it is started again. What no answer came for is sent again, until an answer comes.
This program, outside of the engine, writes down what it has sent and what was acknowledged. In the
end every window is closed and each event must have been counted exactly once:

    acknowledged            counted 1
    never acknowledged      counted 0 or 1 (there is none left at the end: all are sent again)
    windows + late + refused = sent

Exit 0: no violation. Exit 1: each is printed.
"""

import argparse
import http.client
import json
import os
import pathlib
import queue
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("STREAMOBS", ROOT / "build/release/streamobs"))

CONFIG = """
lanes = 2
[wal]
checkpoint_every = "{checkpoint_every}"

[source.file]
type = "file"
stream = "lines"
format = "ndjson"
paths = ["{file}"]
follow = true

[stream.ided]
time = "t"
id = "id"
fields = {{ id = "string", n = "int" }}
[stream.keyed]
time = "t"
fields = {{ request = "string", n = "int" }}
[stream.lines]
time = "t"
idle_timeout = "1h"
fields = {{ id = "string", n = "int" }}

[window.ids]
from = "ided"
size = "1d"
by = ["id"]
max_keys = 2000000
[window.ids.select]
events = "count(*)"
total = "sum(n)"
[window.requests]
from = "keyed"
size = "1d"
by = ["request"]
max_keys = 2000000
[window.requests.select]
events = "count(*)"
total = "sum(n)"
[window.line_ids]
from = "lines"
size = "1d"
by = ["id"]
max_keys = 2000000
[window.line_ids.select]
events = "count(*)"
total = "sum(n)"
[window.seconds]
from = "ided"
size = "1s"
[window.seconds.select]
events = "count(*)"
total = "sum(n)"
"""

DAY_MS = 86_400_000


class Engine:
    def __init__(self, directory, config, random_):
        self.directory, self.random = directory, random_
        self.config = directory / "obs.toml"
        self.config.write_text(config)
        self.port = None
        self.process = None
        self.up = threading.Event()

    def start(self, failpoint=None):
        environment = dict(os.environ)
        environment.pop("STREAMOBS_FAILPOINT", None)
        if failpoint:
            environment["STREAMOBS_FAILPOINT"] = failpoint
        self.log_path = self.directory / "stderr"
        self.log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [str(BINARY), "--config", str(self.config), "--data-dir", str(self.directory / "data"),
             "--listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=self.log, env=environment)

    def messages(self):
        with open(self.log_path, "rb") as log:
            log.seek(self.log_from)
            return log.read().decode(errors="replace")

    def wait_up(self, seconds=60):
        """True once it listens; False if it died before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(r"listening on http://127.0.0.1:(\d+)", self.messages())
            if found:
                self.port = int(found.group(1))
                self.up.set()
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.003)
        raise SystemExit(f"not up after {seconds} s\n{self.messages()[-2000:]}")

    def kill(self):
        self.up.clear()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def stop(self):
        self.up.clear()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.log.close()
        return code


class Client(threading.Thread):
    """One connection: sends requests one after the other; each until it has an answer."""

    def __init__(self, number, engine, stop, seed):
        super().__init__(daemon=True)
        self.number, self.engine, self.stop_sending = number, engine, stop
        self.random = random.Random(seed)
        self.connection = None
        self.sent = {}          # id -> (stream, events, sum)
        self.acknowledged = set()
        self.retries = 0
        self.repeated = 0
        self.problems = []

    def run(self):
        count = 0
        while not self.stop_sending.is_set():
            count += 1
            if self.random.random() < 0.5:
                self.send_ided(count)
            else:
                self.send_keyed(count)

    def send_ided(self, count):
        events = []
        now = int(time.time() * 1000)
        for i in range(self.random.choice([1, 1, 2, 5, 20])):
            name = f"c{self.number}-{count}-{i}"
            n = self.random.randrange(1000)
            events.append({"id": name, "n": n, "t": now})
            self.sent[name] = ("ids", 1, n)
        if self.random.random() < 0.2:  # The same event twice in one request counts once.
            events.append(dict(events[0]))
        self.until_answered("/v1/events/ided", events, {}, [e["id"] for e in events])

    def send_keyed(self, count):
        name = f"r{self.number}-{count}"
        now = int(time.time() * 1000)
        numbers = [self.random.randrange(1000) for _ in range(self.random.choice([1, 3, 10]))]
        events = [{"request": name, "n": n, "t": now} for n in numbers]
        self.sent[name] = ("requests", len(numbers), sum(numbers))
        self.until_answered("/v1/events/keyed", events, {"Idempotency-Key": name}, [name])

    def until_answered(self, path, events, headers, names):
        body = "\n".join(json.dumps(e) for e in events).encode()
        first = True
        while True:
            status, reply = self.post(path, body, headers)
            if status == 200:
                if reply.get("accepted") != len(events):
                    self.problems.append(f"{names[0]}: answered {reply} for {len(events)} events")
                self.acknowledged.update(names)
                if not first:
                    self.retries += 1
                return
            if status not in (None, 429, 503):
                self.problems.append(f"{names[0]}: status {status}: {reply}")
                return
            first = False
            if status is not None:
                time.sleep(0.01)

    def post(self, path, body, headers):
        try:
            if self.connection is None:
                if not self.engine.up.wait(timeout=120):
                    raise SystemExit("the engine did not come back")
                self.connection = http.client.HTTPConnection("127.0.0.1", self.engine.port,
                                                             timeout=30)
            self.connection.request("POST", path, body,
                                    {"Content-Type": "application/x-ndjson", **headers})
            reply = self.connection.getresponse()
            content = reply.read()
            if reply.headers.get("Idempotency-Replayed"):
                self.repeated += 1
            return reply.status, json.loads(content or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            self.connection = None
            time.sleep(0.002)
            return None, {}


class Writer(threading.Thread):
    """Appends lines to the file, in pieces that do not end where lines end."""

    def __init__(self, path, stop, seed):
        super().__init__(daemon=True)
        self.path, self.stop_sending = path, stop
        self.random = random.Random(seed)
        self.sent = {}

    def run(self):
        count = 0
        pending = b""
        with open(self.path, "ab", buffering=0) as file:
            while not self.stop_sending.is_set():
                for _ in range(self.random.randrange(1, 30)):
                    count += 1
                    n = self.random.randrange(1000)
                    name = f"f{count}"
                    self.sent[name] = ("line_ids", 1, n)
                    event = {"id": name, "n": n, "t": int(time.time() * 1000)}
                    pending += json.dumps(event).encode() + b"\n"
                cut = self.random.randrange(len(pending) + 1)
                file.write(pending[:cut])
                pending = pending[cut:]
                time.sleep(self.random.random() * 0.02)
            file.write(pending)


def finish(engine, directory):
    """Moves time on, so that every window closes, and reads what was counted."""
    later = int(time.time() * 1000) + 300_000
    body = lambda event: json.dumps(event).encode()
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)

    def post(stream, event, headers={}):
        connection.request("POST", f"/v1/events/{stream}", body(event),
                           {"Content-Type": "application/json", **headers})
        reply = connection.getresponse()
        content = reply.read()
        assert reply.status == 200, content

    return connection, post


def counted(connection, window, names):
    """Rows of a window by its key, open ones included."""
    connection.request("GET", f"/api/v1/windows/{window}?limit=100000")
    reply = connection.getresponse()
    return json.loads(reply.read())["rows"]


def check(clients, writer, rows_of, problems):
    """Compares what was sent with what was counted."""
    sent = dict(writer.sent)
    for client in clients:
        problems += client.problems
        sent.update(client.sent)
    for window in ("ids", "requests", "line_ids"):
        rows = rows_of[window]
        expected = {name: (n, total) for name, (w, n, total) in sent.items() if w == window}
        for name, (events, total) in expected.items():
            found = rows.pop(name, (0, 0))
            if found != (events, total):
                problems.append(f"{window}: {name} counted {found}, sent {(events, total)}")
        for name, found in rows.items():
            problems.append(f"{window}: {name} counted {found}, never sent")
    return sent


def stored_rows(database, window, key):
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    rows = {}
    for name, events, total in connection.execute(
            f'SELECT {key}, events, total FROM "{window}"'):
        had = rows.get(name, (0, 0))
        rows[name] = (had[0] + events, had[1] + total)
    connection.close()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--life", type=float, default=0.4, help="longest life, in seconds")
    parser.add_argument("--failpoint", action="append", default=[],
                        help="die at this place instead (may be repeated; each in turn)")
    parser.add_argument("--keep", action="store_true", help="keep the directory")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="streamobs-crash-"))
    file = directory / "events.ndjson"
    file.touch()
    engine = Engine(directory, CONFIG.format(file=file, checkpoint_every="1s"), chance)
    stop = threading.Event()
    clients = [Client(i, engine, stop, arguments.seed * 1000 + i)
               for i in range(arguments.connections)]
    writer = Writer(file, stop, arguments.seed)
    for thread in (*clients, writer):
        thread.start()

    died_at = {}
    kills_in_recovery = 0
    slowest_start = 0.0
    started = time.monotonic()
    for kill in range(arguments.kills):
        failpoint = None
        if arguments.failpoint:
            name = arguments.failpoint[kill % len(arguments.failpoint)]
            failpoint = f"{name}:{chance.choice([1, 1, 2, 5, 20])}"
        engine.start(failpoint)
        begun = time.monotonic()
        if failpoint is None and chance.random() < 0.25:  # While it starts and recovers.
            time.sleep(chance.random() * 0.05)
            kills_in_recovery += engine.process.poll() is None and not re.search(
                "listening on", engine.messages())
            engine.kill()
            continue
        if engine.wait_up():
            slowest_start = max(slowest_start, time.monotonic() - begun)
            if failpoint:
                try:
                    engine.process.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    failpoint = None  # It did not come by; killed below.
            else:
                time.sleep(chance.random() * arguments.life)
        if failpoint:
            place = failpoint.rsplit(":", 1)[0]
            died_at[place] = died_at.get(place, 0) + 1
        engine.kill()
        if kill % 25 == 24:
            print(f"{kill + 1} kills, {sum(len(c.acknowledged) for c in clients)} acknowledged, "
                  f"{time.monotonic() - started:.0f} s", file=sys.stderr)

    engine.start()
    if not engine.wait_up():
        raise SystemExit(f"it does not start any more\n{engine.messages()[-3000:]}")
    time.sleep(0.3)
    stop.set()
    for thread in (*clients, writer):
        thread.join(timeout=60)
    problems = []
    lines = len(writer.sent)
    deadline = time.monotonic() + 60
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)

    def get(path):
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.read().decode()

    # The file has been read to its end when its last line is in a checkpoint or a metric says so;
    # stopping is a surer sign: what was read is counted, what was not is read after the restart.
    while time.monotonic() < deadline:
        metrics = get("/metrics")
        if re.search(r'streamobs_watermark_seconds\{[^}]*lines', metrics):
            break
        time.sleep(0.1)
    # Everything is closed by a life whose clock of events is days ahead; what the last one has logged
    # since its checkpoint is replayed under the old config first.
    engine.kill()
    closing = CONFIG.format(file=file, checkpoint_every="1s")
    closing = closing.replace('time = "t"\n', 'time = "t"\nmax_future = "30d"\n')
    engine.config.write_text(closing)
    engine.start()
    if not engine.wait_up():
        raise SystemExit(f"it does not start under another config\n{engine.messages()[-3000:]}")
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)
    later = int(time.time() * 1000) + 3 * DAY_MS
    with open(file, "ab") as out:
        out.write(json.dumps({"id": "end", "n": 0, "t": later}).encode() + b"\n")
    for stream, event in (("ided", {"id": "end", "n": 0, "t": later}),
                          ("keyed", {"request": "end", "n": 0, "t": later})):
        connection.request("POST", f"/v1/events/{stream}", json.dumps(event).encode(),
                           {"Content-Type": "application/json"})
        reply = connection.getresponse()
        answer = reply.read()
        if reply.status != 200:
            problems.append(f"the closing event was answered {reply.status} {answer}")

    database = directory / "data/streamobs.db"
    acknowledged = sum(len(c.acknowledged) for c in clients)
    rows_of = {}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rows_of = {w: stored_rows(database, w, k)
                   for w, k in (("ids", "id"), ("requests", "request"), ("line_ids", "id"))}
        if all(rows_of.values()) and len(rows_of["line_ids"]) >= lines:
            break
        time.sleep(0.2)
    seconds = stored_rows(database, "seconds", "'all'").get("all", (0, 0))
    code = engine.stop()
    if code != 0:
        problems.append(f"exit {code} on SIGTERM\n{engine.messages()[-2000:]}")
    sent = check(clients, writer, rows_of, problems)
    ids = [v for v in sent.values() if v[0] == "ids"]
    # An event sent again after a restart may be late for its second; then it is a dead letter.
    late = sqlite3.connect(f"file:{database}?mode=ro", uri=True).execute(
        "SELECT payload FROM dead_letter WHERE reason = 'late' AND \"window\" = 'seconds'").fetchall()
    late_sum = sum(json.loads(payload)["n"] for (payload,) in late)
    if (seconds[0] + len(late), seconds[1] + late_sum) != (len(ids), sum(v[2] for v in ids)):
        problems.append(f"seconds: counted {seconds}, late {len(late)}, sent {len(ids)} events")
    dead = sqlite3.connect(f"file:{database}?mode=ro", uri=True).execute(
        "SELECT reason, count FROM dead_letter_count").fetchall()
    if dead not in ([], [("late", len(late))]):
        problems.append(f"dead letters: {dead}, late for their second: {len(late)}")

    summary = {
        "kills": arguments.kills, "kills_before_listening": kills_in_recovery, "died_at": died_at,
        "events_or_requests_sent": len(sent), "acknowledged": acknowledged, "file_lines": lines, "late": len(late),
        "sent_again": sum(c.retries for c in clients),
        "answered_by_key": sum(c.repeated for c in clients),
        "slowest_start_s": round(slowest_start, 2),
        "seconds": round(time.monotonic() - started), "violations": len(problems)}
    print(json.dumps(summary))
    for problem in problems[:50]:
        print("VIOLATION", problem)
    if arguments.keep or problems:
        print("kept:", directory)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

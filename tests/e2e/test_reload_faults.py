"""What goes wrong round a reload: each of these has ended an engine, or lost something, once."""

import http.client
import json
import os
import pty
import re
import resource
import select
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request

import pytest

from harness import BINARY, Streamobs, ndjson, query
from test_reload import ORDERS, config, event, n_of, reload, state, write


def test_nobody_reads_stderr_any_more(tmp_path):
    (tmp_path / "obs.toml").write_text(config())
    read_end, write_end = os.pipe()
    # As most shells start it: SIGPIPE would end it.
    process = subprocess.Popen(
        [str(BINARY), "--config", str(tmp_path / "obs.toml"), "--data-dir", str(tmp_path / "data")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write_end, restore_signals=True)
    os.close(write_end)
    try:
        said = b""
        while b"listening on" not in said:
            more = os.read(read_end, 4096)
            assert more, said
            said += more
        os.close(read_end)
        url = re.search(rb"listening on (\S+)", said).group(1).decode()
        for _ in range(2):
            request = urllib.request.Request(url + "/-/reload", method="POST")
            with urllib.request.urlopen(request, timeout=60) as reply:
                assert reply.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


class Reader(threading.Thread):
    """Of closed windows, as an EventSource is: it comes back with the last id it had."""

    def __init__(self, engine, last_id=None):
        super().__init__(daemon=True)
        self.url, self.last_id = engine.url + "/api/v1/live?events=window", last_id
        self.closed, self.ended, self.connected = [], False, threading.Event()

    def run(self):
        while not self.ended:
            headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
            try:
                request = urllib.request.Request(self.url, headers=headers)
                with urllib.request.urlopen(request, timeout=60) as reply:
                    self.take(reply)
            except OSError:
                time.sleep(0.05)

    def take(self, reply):
        message_id = None
        for line in reply:
            self.connected.set()
            name, _, value = line.decode().strip().partition(": ")
            if name == "id":
                message_id = value
            elif name == "data":
                self.last_id = message_id
                self.closed += [row["window_start"] for row in json.loads(value)["rows"]
                                if row["closed"]]


PROMPT = """
[http]
listen = "127.0.0.1:0"
[stream.requests]
time = "at"
idle_timeout = "1h"
fields = { at = "timestamp" }
[window.prompt]
from = "requests"
size = "1m"
[window.prompt.select]
n = "count(*)"
"""


def closes(minute):
    """An event that closes the minute before its own."""
    return {"at": (1_767_960_000 + minute * 60) * 1000}


def closed_rows(engine):
    return {row["window_start"] for row in engine.windows("prompt", limit=10000) if row["closed"]}


def test_live_readers_miss_nothing_of_a_reload():
    with Streamobs(PROMPT) as engine:
        engine.post("requests", [closes(0)])
        reader = Reader(engine)
        reader.start()
        assert reader.connected.wait(60)
        stop = threading.Event()

        def load():
            minute = 0
            while not stop.is_set():
                minute += 1
                assert engine.post("requests", [closes(minute)]).status == 200

        sender = threading.Thread(target=load)
        sender.start()
        for number in range(4):
            assert reload(engine, PROMPT + f"# {number}\n").status == 200
            engine.wait(lambda: len(closed_rows(engine) - set(reader.closed)) < 20, "the reader")
        stop.set()
        sender.join()
        engine.wait(lambda: closed_rows(engine) <= set(reader.closed), "all that has closed")
        # Whoever was away all the time is told all of it.
        first = Reader(engine, last_id="1")
        first.start()
        engine.wait(lambda: len(set(first.closed)) >= min(len(closed_rows(engine)), 900),
                    "what the engines before have told")
        assert len(reader.closed) == len(set(reader.closed)), "told twice"
        reader.ended = first.ended = True


def test_live_readers_are_told_what_the_end_of_the_engine_closes(tmp_path):
    with Streamobs(PROMPT, data_dir=tmp_path / "data") as engine:
        engine.post("requests", [closes(0)])
        reader = Reader(engine)
        reader.start()
        assert reader.connected.wait(60)
        reader.ended = True
        # More than one look of a stage at its queue.
        engine.post("requests", [closes(minute) for minute in range(1, 501)])
        assert engine.stop() == 0
        reader.join(60)
        assert len(set(reader.closed)) == 500


SINK = """
[sink.out]
type = "kafka"
brokers = "127.0.0.1:1"
from = "steady"
topic = "x"
"""


def steady(extra="", by='["service"]'):
    return f"""
[http]
listen = "127.0.0.1:0"
[stream.requests]
time = "at"
idle_timeout = "1h"
fields = {{ at = "timestamp", service = "string" }}
[window.steady]
from = "requests"
size = "1m"
by = {by}
[window.steady.select]
n = "count(*)"
{extra}
"""


def lookup(path):
    return (f'[lookup.prices]\nfile = "{path}"\nkey = ["model"]\n'
            'columns = { model = "string", usd = "float" }\n')


def of_the_database(engine):
    """What a config that does not come up must not touch."""
    database = engine.data_dir / "streamobs.db"
    return (query(database, "SELECT sink, count(*) AS n FROM streamobs_outbox GROUP BY sink"),
            query(database, "SELECT name, sql FROM sqlite_master ORDER BY name"),
            sorted(row["window_start"] for row in engine.windows("steady") if row["closed"]))


def held_up(engine, body):
    """A request that has been begun, and what is left of it: a reload waits for that."""
    host, port = engine.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=60)
    client.sendall((f"POST /v1/events/requests HTTP/1.1\r\nHost: {host}:{port}\r\n"
                    "Content-Type: application/x-ndjson\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n").encode() + body[:10])
    engine.wait(lambda: engine.metric("streamobs_http_connections") >= 2, "the connection")
    return client, body[10:]


def failing_change(engine, body, text, spoil):
    """A reload of what is spoilt after it has been looked at, while `body` comes; its answer."""
    client, rest = held_up(engine, body)
    replies = []
    asking = threading.Thread(target=lambda: replies.append(reload(engine, text)))
    asking.start()
    engine.wait(lambda: "a new config takes over" in engine.messages(), "the change")
    spoil()
    client.sendall(rest)
    assert client.recv(1000).startswith(b"HTTP/1.1 200")
    asking.join()
    client.close()
    return replies[0]


def minutes(count):
    return [{"at": (1_767_960_000 + minute * 60) * 1000, "service": "a"}
            for minute in range(count)]


def test_what_does_not_come_up_gives_way_to_the_old_one(tmp_path):
    prices = tmp_path / "prices.csv"
    prices.write_text("model,usd\na,1\n")
    with Streamobs(config()) as engine:
        engine.post("requests", [event(), event()])
        reply = failing_change(engine, ndjson([event()]), config(lookup(prices), size="5m"),
                               prices.unlink)
        assert reply.status == 500
        assert str(prices) in reply.json()["detail"] and "the old one" in reply.json()["detail"]
        # No trace of it: even the window that it would have altered goes on.
        engine.wait(lambda: n_of(engine) == 3 and n_of(engine, "altered") == 3, "the counts")
        now = state(engine)
        assert now["reloads"] == 0 and now["refused"]["error"] == reply.json()["detail"]
        assert engine.metric("streamobs_config_last_reload_successful") == 0
        # A restart finds nothing else.
        write(engine, config())
        assert engine.stop() == 0
        engine.start()
        engine.wait(lambda: n_of(engine) == 3 and n_of(engine, "altered") == 3, "the counts")


def test_a_start_that_fails_leaves_no_trace_of_its_config(tmp_path):
    with Streamobs(config()) as engine:
        engine.post("requests", [event(), event()])
        engine.stop()
        write(engine, config(lookup(tmp_path / "none.csv"), size="5m"))
        engine.spawn()
        assert engine.process.wait(timeout=30) == 78
        write(engine, config())
        engine.start()
        engine.wait(lambda: n_of(engine) == 2 and n_of(engine, "altered") == 2, "the counts")


def test_the_database_may_be_in_the_way():
    with Streamobs(config()) as engine:
        engine.post("requests", [event()])
        own = sqlite3.connect(engine.data_dir / "streamobs.db")
        own.execute("CREATE TABLE sales (mine)")
        own.commit()
        own.close()
        reply = reload(engine, config(ORDERS))
        assert reply.status == 500 and "sales" in reply.json()["detail"]
        engine.post("requests", [event()])
        engine.wait(lambda: n_of(engine) == 2, "the counts")
        assert engine.stop() == 0


def test_a_config_that_does_not_come_up_leaves_the_database_as_it_was(tmp_path):
    prices = tmp_path / "prices.csv"
    prices.write_text("model,usd\na,1\n")
    with Streamobs(steady(SINK)) as engine:
        engine.post("requests", minutes(10))
        engine.wait(lambda: len(engine.closed("steady")) == 9, "the windows")
        before = of_the_database(engine)
        assert before[0] == [{"sink": "out", "n": 9}]
        reply = failing_change(engine, ndjson(minutes(1)), steady(lookup(prices), by="[]"),
                               prices.unlink)
        assert reply.status == 500
        assert str(prices) in reply.json()["detail"]
        assert of_the_database(engine) == before
        # Nor does a start that fails.
        assert engine.stop() == 0
        write(engine, steady(lookup(prices), by="[]"))
        engine.spawn()
        assert engine.process.wait(60) == 78
        write(engine, steady(SINK))
        engine.start()
        assert of_the_database(engine) == before
        # And one that comes up has it as it says.
        prices.write_text("model,usd\na,1\n")
        assert reload(engine, steady(lookup(prices), by="[]")).status == 200
        outboxes, tables, rows = of_the_database(engine)
        assert outboxes == [] and rows == []
        assert "streamobs_old_steady_1" in [table["name"] for table in tables]


def test_a_machine_without_threads_for_the_new_config_keeps_the_old_one(monkeypatch):
    # Or else the C library keeps the space that the attempt took, for threads to come.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    with Streamobs(config()) as engine:
        engine.post("requests", [event()])
        status = open(f"/proc/{engine.process.pid}/status").read()
        size = int(re.search(r"VmSize:\s+(\d+)", status).group(1)) << 10
        # Each thread wants 8 MiB for its stack.
        some_more = size + (256 << 20)
        resource.prlimit(engine.process.pid, resource.RLIMIT_AS, (some_more, some_more))
        reply = reload(engine, "threads = 64\n" + config())
        assert reply.status == 500, reply.body
        assert "threads" in reply.json()["detail"]
        engine.wait(lambda: n_of(engine) == 1, "the event")
        assert engine.stop() == 0


def test_a_reload_waits_for_a_database_that_takes_something():
    with Streamobs(config()) as engine:
        engine.post("requests", [event()])
        engine.wait(lambda: n_of(engine) == 1, "the event")
        other = sqlite3.connect(engine.data_dir / "streamobs.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused = reload(engine)
        assert refused.status == 503 and refused.headers["Retry-After"]
        assert "could not be stored" in refused.json()["detail"]
        assert state(engine)["reloads"] == 0 and "could not be" in state(engine)["refused"]["error"]
        other.execute("ROLLBACK")
        other.close()
        assert reload(engine).status == 200
        engine.wait(lambda: n_of(engine) == 1, "the event")


def test_a_config_that_hangs_is_no_reason_not_to_stop():
    with Streamobs(config()) as engine:
        path = engine.directory / "obs.toml"
        path.unlink()
        os.mkfifo(path)
        replies = []
        asking = threading.Thread(target=lambda: replies.append(reload(engine)))
        asking.start()
        hanging = []

        def is_being_read():
            try:
                hanging.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                return False
            return True

        engine.wait(is_being_read, "the reader")
        assert reload(engine).status == 409
        assert engine.stop(seconds=20) == 0
        asking.join()
        os.close(hanging[0])
        assert replies[0].status == 503


def test_a_config_that_hangs_is_given_up_and_can_be_mended():
    with Streamobs(config()) as engine:
        path = engine.directory / "obs.toml"
        path.unlink()
        os.mkfifo(path)
        engine.process.send_signal(signal.SIGHUP)
        engine.wait(lambda: state(engine)["refused"], "the patience to end")
        assert "hangs" in state(engine)["refused"]["error"]
        assert reload(engine).status == 503
        with open(path, "w") as fifo:
            fifo.write(config(ORDERS))
        path.unlink()
        path.write_text(config(ORDERS))
        engine.wait(lambda: "has been read at last" in engine.messages(), "the reader")
        assert state(engine)["reloads"] == 0
        assert reload(engine).status == 200


@pytest.mark.parametrize("hidden", [(), (2,), (0, 2), (1, 2)])
def test_a_closed_terminal_ends_it_whatever_is_redirected(tmp_path, hidden):
    (tmp_path / "obs.toml").write_text(config())
    said = tmp_path / "said"
    said.touch()
    child, terminal = pty.fork()
    if child == 0:
        with open(said, "ab") as file:
            for descriptor in hidden:
                os.dup2(file.fileno(), descriptor)
            os.execv(BINARY, [str(BINARY), "--config", str(tmp_path / "obs.toml"), "--data-dir",
                              str(tmp_path / "data")])
    seen = b""
    while b"listening on" not in seen + said.read_bytes():
        ready, _, _ = select.select([terminal], [], [], 0.05)
        if ready:
            seen += os.read(terminal, 4096)
    os.close(terminal)
    deadline = time.monotonic() + 60
    ended, code = 0, 0
    while not ended and time.monotonic() < deadline:
        ended, code = os.waitpid(child, os.WNOHANG)
        time.sleep(0.02)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended and os.WIFEXITED(code) and os.WEXITSTATUS(code) == 0, said.read_text()


STDIN = '[source.pipe]\ntype = "stdin"\nstream = "requests"\n'


def test_standard_input_is_in_the_way_until_it_has_ended():
    with Streamobs(config(STDIN)) as engine:
        engine.process.stdin.write(ndjson([event()]))
        engine.process.stdin.flush()
        engine.wait(lambda: n_of(engine) == 1, "the event")
        assert reload(engine).status == 400
        engine.process.stdin.close()

        def ended():
            rows = engine.get("/api/v1/pipeline").json()["sources"]
            return [row["state"] for row in rows if row["source"] == "pipe"] == ["ended"]

        engine.wait(ended, "the end of the input")
        for number in range(2):
            assert reload(engine, config(STDIN + f"# {number}")).status == 200
            engine.wait(ended, "the same end")
            assert n_of(engine) == 1
        assert reload(engine, config()).status == 200
        refused = reload(engine, config(STDIN))
        assert refused.status == 400 and "source.pipe" in refused.json()["detail"]


def test_the_same_port_and_the_same_directory_by_another_name(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def at(address, directory):
        return (f'data_dir = "{directory}"\n' +
                config().replace("127.0.0.1:0", f"{address}:{port}"))

    (tmp_path / "data").mkdir()
    file = tmp_path / "obs.toml"
    file.write_text(at("127.0.0.1", tmp_path / "data"))
    (tmp_path / "data").chmod(0o700)
    with open(tmp_path / "stderr", "wb") as log:
        process = subprocess.Popen([str(BINARY), "--config", str(file)], stdin=subprocess.DEVNULL,
                                   stderr=log)
    try:
        deadline = time.monotonic() + 60
        while "listening on" not in (tmp_path / "stderr").read_text():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)

        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/-/reload")
            reply = connection.getresponse()
            return reply.status, reply.read().decode()

        file.write_text(at("localhost", f"{tmp_path}/./data/"))
        assert ask()[0] == 200
        file.write_text(at("0.0.0.0", tmp_path / "data").replace(
            "[http]\n", f'[http]\ntoken = "file:{tmp_path}/token"\ninsecure = true\n'))
        (tmp_path / "token").write_text("a-token-that-is-long-enough")
        status, detail = ask()
        assert status == 400 and "this engine itself" in detail, detail
        file.write_text(at("127.0.0.1", tmp_path))
        status, detail = ask()
        assert status == 400 and "data_dir" in detail
    finally:
        process.kill()
        process.wait()

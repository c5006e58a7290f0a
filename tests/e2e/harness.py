"""Starts the real binary, talks to it over real sockets, and reads its SQLite file.

    with Streamobs(config_text) as engine:
        engine.post("requests", events)
        rows = engine.windows("per_minute")
"""

import gzip
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("STREAMOBS", ROOT / "build/release/streamobs"))
SHARED = pathlib.Path(os.environ.get("STREAMOBS_SHARED_DATA", ROOT / "../shared/data")).resolve()


def run(*arguments, check=True, **options):
    """Runs the binary to its end."""
    done = subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True,
                          errors="replace", timeout=300, **options)
    if check:
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr}"
    return done


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Streamobs:
    """One running engine in a directory of its own."""

    def __init__(self, config, data_dir=None, arguments=(), listen="127.0.0.1:0"):
        self.config = config
        self.given_dir = data_dir
        self.arguments = list(arguments)
        self.listen = listen
        self.process = None
        self.url = None
        self.stderr = ""

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="streamobs-"))
        self.data_dir = pathlib.Path(self.given_dir or self.directory / "data")
        (self.directory / "obs.toml").write_text(self.config)
        self.start()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def spawn(self, **environment):
        """A process, whatever becomes of it."""
        self.log = open(self.directory / "stderr", "ab")
        self.life_from = self.log.tell()
        self.process = subprocess.Popen(
            [str(BINARY), "--config", str(self.directory / "obs.toml"), "--data-dir",
             str(self.data_dir), "--listen", self.listen, *self.arguments],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self.log,
            env={**os.environ, **environment})

    def start(self):
        self.spawn()
        self.wait(lambda: self.find_url() is not None, "the line 'listening on'")
        self.url = self.find_url()

    def find_url(self):
        if self.process.poll() is not None:
            raise AssertionError(f"exit {self.process.returncode}\n{self.messages()}")
        found = re.findall(r"listening on (http://[0-9.:\[\]a-f]+)", self.messages()[self.life_from:])
        return found[-1] if found else None

    def messages(self):
        return (self.directory / "stderr").read_bytes().decode("latin-1")

    def stop(self, sent=signal.SIGTERM, seconds=60):
        self.process.send_signal(sent)
        code = self.process.wait(timeout=seconds)
        self.log.close()
        return code

    def wait(self, condition, what, seconds=60):
        """Waits on a condition, never on a sleep alone."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError(f"waited {seconds} s in vain for {what}\n{self.messages()[-3000:]}")

    # HTTP

    def request(self, method, path, body=None, headers=None):
        request = urllib.request.Request(self.url + path, data=body, method=method,
                                         headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return Reply(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.headers, error.read())

    def get(self, path, **parameters):
        if parameters:
            path += "?" + urllib.parse.urlencode({k.rstrip("_"): v for k, v in parameters.items()})
        return self.request("GET", path)

    def post(self, stream, events, compress=False):
        body = events if isinstance(events, bytes) else ndjson(events)
        headers = {"Content-Type": "application/x-ndjson"}
        if compress:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        return self.request("POST", f"/v1/events/{stream}", body, headers)

    def post_in_three_lives(self, stream, events, seed=2):
        """In requests of 1 to 199, killed after a third of them and stopped after another."""
        draw = random.Random(seed)
        at, lives = 0, 0
        while at < len(events):
            if at > len(events) * (lives + 1) / 3:
                lives += 1
                self.stop(signal.SIGKILL if lives == 1 else signal.SIGTERM)
                self.start()
            end = at + draw.randrange(1, 200)
            assert self.post(stream, events[at:end]).status == 200
            at = end
        assert lives == 2

    def windows(self, name, **parameters):
        parameters.setdefault("limit", 100000)
        reply = self.get(f"/api/v1/windows/{name}", **parameters)
        assert reply.status == 200, reply.body
        return reply.json()["rows"]

    def closed(self, name, **parameters):
        return [row for row in self.windows(name, **parameters) if row["closed"]]

    def metric(self, name, **labels):
        """The sum of a self-metric over all series with these labels."""
        total = 0.0
        for line in self.get("/metrics").body.decode().splitlines():
            match = re.match(r"([a-z_]+)(?:\{(.*)\})? ([-+0-9.eE]+|NaN)$", line)
            if not match or match.group(1) != name:
                continue
            found = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match.group(2) or ""))
            if all(found.get(k) == v for k, v in labels.items()):
                total += float(match.group(3))
        return total

    def database(self):
        connection = sqlite3.connect(f"file:{self.data_dir}/streamobs.db?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        return connection


def ndjson(events):
    return b"".join(json.dumps(e, separators=(",", ":")).encode() + b"\n" for e in events)


def query(database, sql, *parameters):
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(sql, parameters)]
    finally:
        connection.close()


class KeepAlive:
    """One connection, requests pipelined a window at a time: as fast as Python can."""

    def __init__(self, url):
        host, port = url.removeprefix("http://").rsplit(":", 1)
        self.host = f"{host}:{port}"
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.file = self.socket.makefile("rb")

    def post_all(self, stream, bodies, window=64):
        replies = []
        for i in range(0, len(bodies), window):
            part = bodies[i:i + window]
            self.socket.sendall(b"".join(self.render(stream, body) for body in part))
            replies += [self.read() for _ in part]
        return replies

    def render(self, stream, body):
        return (f"POST /v1/events/{stream} HTTP/1.1\r\nHost: {self.host}\r\n"
                f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
                ).encode() + body

    def read(self):
        status = int(self.file.readline().split()[1])
        length = 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, self.file.read(length)

    def close(self):
        self.file.close()
        self.socket.close()

"""What goes wrong round a reload: each of these has ended an engine, or lost something, once."""

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request

from harness import BINARY, Streamobs
from test_reload import FAR, config, event, n_of, reload, state, write


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

"""Reload of the config while the engine runs: SIGHUP and POST /-/reload."""

import http.client
import json
import os
import pty
import re
import signal
import socket
import threading
import time

import pytest

from harness import Streamobs, ndjson

# One minute of event time that stays open, so that sums show what reloads do to open state.
AT = "2026-01-09T12:00:{:02d}Z"
FAR = "allowed_lateness = \"1h\"\nemit_every = \"50ms\""


def config(extra="", size="1m", by='["service"]'):
    return f"""
[http]
listen = "127.0.0.1:0"
[stream.requests]
time = "at"
idle_timeout = "1h"
fields = {{ service = "string", ms = "int" }}
[window.steady]
from = "requests"
size = "1m"
by = ["service"]
{FAR}
[window.steady.select]
n = "count(*)"
total = "sum(ms)"
[window.altered]
from = "requests"
size = "{size}"
by = {by}
{FAR}
[window.altered.select]
n = "count(*)"
{extra}
"""


ORDERS = f"""
[stream.orders]
time = "at"
idle_timeout = "1h"
fields = {{ amount = "int" }}
[window.sales]
from = "orders"
size = "1m"
{FAR}
[window.sales.select]
n = "count(*)"
"""


def write(engine, text):
    """Whole, so that no reload reads half of it."""
    path = engine.directory / "obs.toml"
    (engine.directory / "next.toml").write_text(text)
    os.replace(engine.directory / "next.toml", path)


def reload(engine, text=None):
    if text is not None:
        write(engine, text)
    return engine.request("POST", "/-/reload")


def state(engine):
    reply = engine.get("/api/v1/pipeline")
    assert reply.status == 200
    return reply.json()["config"]


def hang_up(engine, reloads):
    """SIGHUP, and waits until it has been acted on."""
    engine.process.send_signal(signal.SIGHUP)
    engine.wait(lambda: state(engine)["reloads"] == reloads, f"reload {reloads}")


def event(second=0, service="a", ms=1):
    return {"at": AT.format(second), "service": service, "ms": ms}


def n_of(engine, window="steady"):
    return sum(row["n"] for row in engine.windows(window))


def named(changes):
    return {(c["what"], c["section"], c["name"]) for c in changes}


def test_an_added_window_counts_from_now_on_and_the_others_go_on():
    with Streamobs(config()) as engine:
        engine.post("requests", [event(ms=5), event(1, "b", 7)])
        reply = reload(engine, config(ORDERS))
        assert reply.status == 200, reply.body
        answer = reply.json()
        assert named(answer["changes"]) == {("added", "stream", "orders"),
                                            ("added", "window", "sales")}
        assert answer["reloads"] == 1 and answer["refused"] is None
        assert state(engine) == answer
        engine.post("requests", [event(2, ms=11)])
        engine.post("orders", [{"at": AT.format(3), "amount": 4}])
        engine.wait(lambda: n_of(engine) == 3 and n_of(engine, "sales") == 1, "the counts")
        rows = {row["service"]: row for row in engine.windows("steady")}
        assert rows["a"]["n"] == 2 and rows["a"]["total"] == 16
        assert engine.metric("streamobs_config_last_reload_successful") == 1
        assert engine.metric("streamobs_config_last_reload_success_timestamp_seconds") > 1.7e9
        # And away with them again.
        assert named(reload(engine, config()).json()["changes"]) == {
            ("removed", "stream", "orders"), ("removed", "window", "sales")}
        assert engine.post("orders", [{"at": AT.format(3), "amount": 4}]).status == 404
        engine.wait(lambda: n_of(engine) == 3, "the state of the window that is there still")
        assert engine.stop() == 0
        assert engine.messages().count("the new config is in force") == 2


def test_a_changed_window_begins_anew_and_no_other():
    with Streamobs(config()) as engine:
        engine.post("requests", [event()])
        engine.wait(lambda: n_of(engine, "altered") == 1, "the first event")
        reply = reload(engine, config(size="5m"))
        assert named(reply.json()["changes"]) == {("changed", "window", "altered")}
        engine.post("requests", [event()])
        engine.wait(lambda: n_of(engine) == 2 and n_of(engine, "altered") == 1, "the counts")


def test_comments_and_order_are_no_changes():
    with Streamobs(config(ORDERS)) as engine:
        moved = config("# nothing\n" + ORDERS.replace('time = "at"\nidle_timeout = "1h"',
                                                      'idle_timeout = "1h" # !\ntime = "at"'))
        reply = reload(engine, moved)
        assert reply.status == 200 and reply.json()["changes"] == []


@pytest.mark.parametrize("bad, says", [
    ("[window.x]\nfrom = \"nowhere\"\nsize = \"1m\"\n[window.x.select]\nn = \"count(*)\"", "nowhere"),
    ("[window.x", "obs.toml:"),
    ("[lookup.prices]\nfile = \"/not/there.csv\"\nkey = [\"model\"]\n"
     "columns = { model = \"string\", usd = \"float\" }", "/not/there.csv"),
])
def test_a_bad_config_changes_nothing_and_says_why(bad, says):
    with Streamobs(config()) as engine:
        engine.post("requests", [event()])
        before = state(engine)
        reply = reload(engine, config(bad))
        assert reply.status == 400
        assert says in reply.json()["detail"]
        after = state(engine)
        assert after["refused"]["error"] == reply.json()["detail"]
        assert {**after, "refused": None} == before
        assert engine.metric("streamobs_config_last_reload_successful") == 0
        # The same by a signal.
        engine.process.send_signal(signal.SIGHUP)
        engine.wait(lambda: state(engine)["refused"]["at"] != after["refused"]["at"], "the second")
        engine.post("requests", [event()])
        engine.wait(lambda: n_of(engine) == 2, "the counts")
        assert reload(engine, config()).status == 200
        assert state(engine)["refused"] is None
        assert engine.metric("streamobs_config_last_reload_successful") == 1


def test_what_needs_a_restart_is_refused_by_name(tmp_path):
    # Without --data-dir and --listen, which would win.
    (tmp_path / "obs.toml").write_text(f'data_dir = "{tmp_path}/one"\n' + config())
    with Streamobs(config()) as engine:
        engine.stop()
        run = Plain(engine, tmp_path)
        (tmp_path / "obs.toml").write_text(f'data_dir = "{tmp_path}/two"\n' + config())
        reply = reload(engine)
        assert reply.status == 400
        assert "data_dir" in reply.json()["detail"] and "restart" in reply.json()["detail"]
        assert not (tmp_path / "two").exists()
        # An address that another one has.
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            text = f'data_dir = "{tmp_path}/one"\n' + config().replace(":0", f":{port}")
            (tmp_path / "obs.toml").write_text(text)
            reply = reload(engine)
            assert reply.status == 400 and "another process listens there" in reply.json()["detail"]
        # Now it can be had; the old one is let go of.
        old = engine.url
        reply = reload(engine)
        assert reply.status == 200, reply.body
        engine.url = f"http://127.0.0.1:{port}"
        assert state(engine)["reloads"] == 1
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", int(old.rsplit(":", 1)[1])))
        run.stop()


class Plain:
    """The same binary with nothing but its config."""

    def __init__(self, engine, directory):
        arguments, engine.arguments = engine.arguments, []
        import subprocess
        from harness import BINARY
        engine.log = open(engine.directory / "stderr", "ab")
        engine.life_from = engine.log.tell()
        engine.process = subprocess.Popen([str(BINARY), "--config", str(directory / "obs.toml")],
                                          stderr=engine.log)
        engine.wait(lambda: engine.find_url() is not None, "the line 'listening on'")
        engine.url = engine.find_url()
        self.engine = engine

    def stop(self):
        assert self.engine.stop() == 0


def test_standard_input_cannot_be_reloaded():
    source = '[source.pipe]\ntype = "stdin"\nstream = "requests"\n'
    with Streamobs(config(source)) as engine:
        reply = reload(engine)
        assert reply.status == 400 and "[source.pipe]" in reply.json()["detail"]


def test_a_secret_is_read_again(tmp_path):
    secret = tmp_path / "token"
    secret.write_text("the-first-one-0123456789")
    text = config().replace("[http]\n", f'[http]\ntoken = "file:{secret}"\n')

    def ask(method, path, token):
        return engine.request(method, path, headers={"Authorization": f"Bearer {token}"}).status

    with Streamobs(text) as engine:
        assert engine.request("POST", "/-/reload").status == 401
        secret.write_text("the-second-one-0123456789")
        assert ask("POST", "/-/reload", "the-first-one-0123456789") == 200
        assert ask("GET", "/api/v1/pipeline", "the-first-one-0123456789") == 401
        assert ask("GET", "/api/v1/pipeline", "the-second-one-0123456789") == 200


class Client(threading.Thread):
    """Posts one event after the other; keeps its connection, or makes a new one for each."""

    def __init__(self, engine, service, keep):
        super().__init__(daemon=True)
        self.address = engine.url.removeprefix("http://")
        self.service, self.keep = service, keep
        self.accepted = self.total = self.turned_away = self.connections = 0
        self.trouble = []
        self.ended = threading.Event()

    def run(self):
        connection = None
        body = 0
        while not self.ended.is_set() and len(self.trouble) < 100:
            if connection is None:
                connection = http.client.HTTPConnection(self.address, timeout=30)
                self.connections += 1
            body += 1
            try:
                connection.request("POST", "/v1/events/requests",
                                   json.dumps(event(body % 60, self.service, body)),
                                   {"Content-Type": "application/json"})
                reply = connection.getresponse()
                reply.read()
            except (OSError, http.client.HTTPException) as error:
                self.trouble.append(repr(error))
                connection = None
                continue
            if reply.status == 200:
                self.accepted += 1
                self.total += body
            elif reply.status in (429, 503):
                self.turned_away += 1
            else:
                self.trouble.append(reply.status)
            if not self.keep or reply.will_close:
                connection.close()
                connection = None

    def stop(self):
        self.ended.set()
        self.join()


def test_clients_that_never_stop_see_one_engine_and_the_sums_are_exact(tmp_path):
    follow = tmp_path / "lines.ndjson"
    follow.write_text("")
    source = f"""
[source.lines]
type = "file"
stream = "requests"
path = "{follow}"
follow = true
"""
    texts = [config(source), "threads = 1\nlanes = 3\n" + config(source + ORDERS),
             config(source, size="5m"), "lanes = 1\n" + config(source, by="[]")]
    with Streamobs(texts[0]) as engine:
        clients = [Client(engine, f"c{i}", keep=i % 2 == 0) for i in range(4)]
        for client in clients:  # They end with the engine, if not before.
            client.start()
        lines = 0
        reloads = 0
        for i in range(12):
            with follow.open("a") as file:
                for _ in range(50):
                    lines += 1
                    file.write(json.dumps(event(lines % 60, "file", lines)) + "\n")
            text = texts[(i + 1) % len(texts)]
            if i % 4 == 3:
                assert reload(engine, text + "\n[window.steady") .status == 400
            if i % 2 == 0:
                reply = reload(engine, text)
                assert reply.status == 200, reply.body
                reloads += 1
            else:
                write(engine, text)
                reloads += 1
                hang_up(engine, reloads)
            had = [client.accepted for client in clients]
            engine.wait(lambda: all(c.accepted > n for c, n in zip(clients, had)), "more events")
        for client in clients:
            client.stop()
        for client in clients:
            assert client.trouble == [], client.trouble[:3]
            if client.keep:
                assert client.connections == 1, "its connection survived all of them"
        expected = {c.service: (c.accepted, c.total) for c in clients}
        expected["file"] = (lines, lines * (lines + 1) // 2)
        found = lambda: {r["service"]: (r["n"], r["total"]) for r in engine.windows("steady")}
        engine.wait(lambda: found().get("file", (0, 0))[0] == lines, "the file's lines")
        engine.wait(lambda: found() == expected, f"{expected}")
        assert state(engine)["reloads"] == 12
        print("turned away:", [c.turned_away for c in clients], "accepted:",
              [c.accepted for c in clients])
        assert engine.stop() == 0


def test_a_request_that_is_on_its_way_is_answered():
    with Streamobs(config()) as engine:
        host, port = engine.url.removeprefix("http://").split(":")
        body = ndjson([event()])
        head = (f"POST /v1/events/requests HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: "
                f"application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        clients = [socket.create_connection((host, int(port)), timeout=30) for _ in range(4)]
        idle, half_head, half_body, two = clients
        half_head.sendall(head[:40])
        half_body.sendall(head + body[:10])
        engine.wait(lambda: engine.metric("streamobs_http_connections") >= 4, "four connections")
        done = []
        asked = threading.Thread(target=lambda: done.append(reload(engine, config(ORDERS))))
        asked.start()
        engine.wait(lambda: "a new config takes over" in engine.messages(), "the change")
        half_body.sendall(body[10:])
        assert half_body.recv(1000).startswith(b"HTTP/1.1 200")
        asked.join()
        assert done[0].status == 200, done[0].body
        half_head.sendall(head[40:] + body)
        assert half_head.recv(1000).startswith(b"HTTP/1.1 200")
        idle.sendall(head + body)
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        two.sendall(head + body + head + body)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 2:
            part = two.recv(1000)
            assert part, answers
            answers += part
        engine.wait(lambda: n_of(engine) == 5, "the counts")


def test_live_readers_are_let_go_and_come_back():
    with Streamobs(config()) as engine:
        def open_live():
            connection = http.client.HTTPConnection(engine.url.removeprefix("http://"), timeout=30)
            connection.request("GET", "/api/v1/live")
            return connection.getresponse()
        live = open_live()
        assert live.status == 200
        assert reload(engine, config(ORDERS)).status == 200
        while live.read1(65536):
            pass
        again = open_live()
        assert again.status == 200 and again.read1(65536)


def test_two_signals_and_two_requests_at_once():
    with Streamobs(config()) as engine:
        for _ in range(5):
            engine.process.send_signal(signal.SIGHUP)
        engine.wait(lambda: state(engine)["reloads"] >= 1, "a reload")
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(reload(engine).status))
                   for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 200 in statuses and set(statuses) <= {200, 409, 503}, statuses
        write(engine, config(ORDERS))
        engine.process.send_signal(signal.SIGHUP)
        engine.process.send_signal(signal.SIGHUP)
        engine.wait(lambda: engine.post("orders", [{"at": AT.format(0), "amount": 1}]).status == 200,
                    "the stream that the last one added")
        assert engine.stop() == 0


def test_a_signal_during_recovery_waits_and_one_during_shutdown_does_nothing():
    with Streamobs(config()) as engine:
        engine.post("requests", [event(i % 60) for i in range(2000)])
        engine.process.kill()
        engine.process.wait()
        write(engine, config(ORDERS))
        engine.spawn()
        # As early as a handler is there: before, the default action would end the process.
        engine.wait(lambda: handles_hangups(engine.process.pid), "the handler")
        engine.process.send_signal(signal.SIGHUP)
        engine.wait(lambda: engine.find_url() is not None, "the line 'listening on'")
        engine.url = engine.find_url()
        engine.wait(lambda: state(engine)["reloads"] == 1, "the reload")
        engine.wait(lambda: n_of(engine) == 2000, "the counts")
        engine.process.send_signal(signal.SIGTERM)
        engine.process.send_signal(signal.SIGHUP)
        assert engine.process.wait(timeout=30) == 0


def handles_hangups(pid):
    try:
        caught = re.search(r"SigCgt:\s*([0-9a-f]+)", open(f"/proc/{pid}/status").read()).group(1)
    except OSError:
        return False
    return int(caught, 16) >> (signal.SIGHUP - 1) & 1 == 1


def test_the_end_may_come_in_the_middle():
    for _ in range(5):
        with Streamobs(config()) as engine:
            engine.post("requests", [event()])
            write(engine, config(ORDERS))
            engine.process.send_signal(signal.SIGHUP)
            engine.wait(lambda: "a new config takes over" in engine.messages(), "the change")
            assert engine.stop() == 0
            engine.start()
            engine.wait(lambda: n_of(engine) == 1, "the count")


def test_a_terminal_that_is_closed_ends_the_engine_in_order():
    with Streamobs(config()) as engine:
        engine.stop()
        child, terminal = pty.fork()
        if child == 0:
            from harness import BINARY
            os.execv(BINARY, [str(BINARY), "--config", str(engine.directory / "obs.toml"),
                              "--data-dir", str(engine.data_dir)])
        printed = b""
        while b"listening on" not in printed:
            printed += os.read(terminal, 4096)
        os.close(terminal)  # The kernel sends SIGHUP.
        deadline = time.monotonic() + 30
        while True:
            pid, how = os.waitpid(child, os.WNOHANG)
            if pid:
                break
            assert time.monotonic() < deadline, "it goes on"
            time.sleep(0.02)
        assert os.waitstatus_to_exitcode(how) == 0


@pytest.mark.parametrize("point", ["reload.prepared", "reload.between", "reload.came_up:2",
                                   "checkpoint.before_save", "checkpoint.after_save"])
def test_a_crash_in_the_middle_loses_nothing(point):
    with Streamobs(config()) as engine:
        engine.stop()
        engine.spawn(STREAMOBS_FAILPOINT=point)
        engine.wait(lambda: engine.find_url() is not None, "the line 'listening on'")
        engine.url = engine.find_url()
        assert engine.post("requests", [event(ms=3), event(1, ms=4)]).status == 200
        write(engine, config(ORDERS, size="5m"))
        engine.process.send_signal(signal.SIGHUP)
        assert engine.process.wait(timeout=30) == -signal.SIGKILL
        engine.start()
        engine.post("requests", [event(2, ms=5)])
        engine.wait(lambda: n_of(engine) == 3, "the counts")
        assert [row["total"] for row in engine.windows("steady")] == [12]
        assert n_of(engine, "sales") == 0


def resources(engine):
    pid = engine.process.pid
    memory = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
    return {"threads": len(os.listdir(f"/proc/{pid}/task")),
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "kib": memory}


def test_fifty_reloads_leave_nothing_behind():
    with Streamobs(config()) as engine:
        connection = http.client.HTTPConnection(engine.url.removeprefix("http://"), timeout=30)

        def look():
            connection.request("GET", "/livez")
            connection.getresponse().read()
            engine.post("requests", [event(ms=1) for _ in range(100)])
            return resources(engine)

        for i in range(10):  # What the first ones allocate, they keep.
            assert reload(engine, config(ORDERS if i % 2 else "")).status == 200
            look()
        before = look()
        for i in range(50):
            assert reload(engine, config(ORDERS if i % 2 else "")).status == 200
            look()
        after = look()
        print(before, after)
        assert after["threads"] == before["threads"]
        assert abs(after["descriptors"] - before["descriptors"]) <= 2
        assert after["kib"] < before["kib"] * 1.3 + 8192
        engine.wait(lambda: n_of(engine) == 100 * 62, "the counts")

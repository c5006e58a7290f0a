"""streamobs tap: what a person or a script sees of a running engine."""

import json
import os
import pty
import signal
import subprocess

import pytest

from harness import BINARY, Streamobs, run
from test_live import CONFIG, event


class Tap:
    """A running tap, with all that it has said so far."""

    def __init__(self, engine, *arguments, stdout=None, **options):
        self.engine = engine
        self.out = open(engine.directory / "tap.out", "wb+") if stdout is None else None
        self.err = open(engine.directory / "tap.err", "wb+")
        self.before = self.let_in()
        self.process = subprocess.Popen(
            [str(BINARY), "tap", *map(str, arguments), "--target", engine.url],
            stdin=subprocess.DEVNULL, stdout=self.out if stdout is None else stdout,
            stderr=self.err, **options)

    def __enter__(self):
        self.engine.wait(lambda: self.let_in() > self.before or self.process.poll() is not None,
                         "the reader")
        return self

    def let_in(self):
        """Readers there have been: one that has gone may still count as one that is there."""
        return self.engine.metric("streamobs_http_requests_total", route="/api/v1/live", status="200")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def read(self, file):
        return os.pread(file.fileno(), 1 << 20, 0).decode()

    def lines(self):
        return self.read(self.out).splitlines()

    def wait_for(self, condition, what):
        self.engine.wait(condition, f"{what}\n{self.read(self.err)}")

    def end(self, sent=None):
        if sent:
            self.process.send_signal(sent)
        return self.process.wait(timeout=30)


def test_rows_are_printed_as_they_come_and_ctrl_c_is_no_error():
    with Streamobs(CONFIG) as engine, Tap(engine, "per_minute") as tap:
        engine.post("requests", [event(0)] * 3 + [event(0, "search")])
        tap.wait_for(lambda: len(tap.lines()) >= 3, "open rows")
        engine.post("requests", [event(1)])
        tap.wait_for(lambda: any(line.startswith("closed") for line in tap.lines()), "a closed row")
        head, *rows = tap.lines()
        assert head.split() == ["window_start", "service", "n"]
        assert [rows[0].split()[i] for i in (0, 3, 4)] == ["open", "checkout", "3"]
        assert "\x1b" not in tap.read(tap.out)
        assert tap.end(signal.SIGINT) == 0
        assert tap.read(tap.err) == ""


def test_json_count_and_filter():
    with Streamobs(CONFIG) as engine:
        with Tap(engine, "per_minute", "service=search", "closed=true", "--json", "--count", 2) as tap:
            for minute in range(4):
                engine.post("requests", [event(minute), event(minute, "search")])
            assert tap.end() == 0
            rows = [json.loads(line) for line in tap.lines()]
        engine.wait(lambda: len(engine.closed("per_minute", service="search")) >= 2, "the rows")
        stored = sorted(engine.closed("per_minute", service="search"),
                        key=lambda row: row["window_start"])
        assert rows == stored[:2]


def test_anomalies_and_incidents():
    with Streamobs(CONFIG) as engine, Tap(engine, "incidents", "service=checkout") as tap:
        engine.post("requests", [event(0)] * 9)
        with Tap(engine, "anomalies", "--json", "--count", 1, stdout=subprocess.PIPE) as anomalies:
            engine.post("requests", [event(1)])
            assert anomalies.end() == 0
            anomaly = json.loads(anomalies.process.stdout.read())
            assert (anomaly["rule"], anomaly["severity"]) == ("slow", "high")
        tap.wait_for(lambda: len(tap.lines()) >= 2, "the incident")
        assert "high" in tap.lines()[1] and "service=checkout" in tap.lines()[1]


def test_a_streams_events_are_shown_as_they_are_counted():
    config = CONFIG.replace("[window.per_minute]", """
[stream.kept]
time = "at"
id = "key"
filter = "ms > 10"
fields = { key = "string", ms = { type = "float", path = "timing.ms" } }

[window.per_minute]""", 1)
    with Streamobs(config) as engine:
        # A stream without windows, with a filter and ids: what counts is shown, nothing else.
        with Tap(engine, "kept", "--json", "--count", 2) as tap:
            at = event(0)["at"]
            engine.post("kept", [{"at": at, "key": "a", "timing": {"ms": 11}},
                                 {"at": at, "key": "b", "timing": {"ms": 9}},
                                 {"at": at, "key": "a", "timing": {"ms": 12}},
                                 {"at": at, "key": "c", "timing": {"ms": "fast"}},
                                 {"at": at, "key": "d", "timing": {"ms": 13}}])
            assert tap.end() == 0
            assert [json.loads(line) for line in tap.lines()] == [
                {"key": "a", "timing": {"ms": 11}, "at": at},
                {"key": "d", "timing": {"ms": 13}, "at": at}]
        with Tap(engine, "stream.requests", "service=search") as tap:
            engine.post("requests", [event(0), event(0, "search", 7)])
            tap.wait_for(lambda: len(tap.lines()) == 2, "the event")
            assert tap.lines()[0].split() == ["service", "ms", "at"]
            assert tap.lines()[1].split()[:2] == ["search", "7"]
            assert tap.end(signal.SIGINT) == 0
        assert 'did you mean "timing.ms"?' in run(
            "tap", "kept", "timing.mss=1", "--target", engine.url, check=False).stderr


def test_of_many_events_a_sample_is_shown_and_the_others_are_counted():
    with Streamobs(CONFIG) as engine, Tap(engine, "requests", "--json") as tap:
        posted = 20_000
        for _ in range(10):
            engine.post("requests", [event(0, "s", float(i)) for i in range(posted // 10)])

        def counted():
            left_out = [int(line.split()[0][1:]) for line in tap.read(tap.err).splitlines()]
            return len(tap.lines()) + sum(left_out)
        tap.wait_for(lambda: counted() == posted, "all of them")
        shown = [json.loads(line)["ms"] for line in tap.lines()]
        assert 50 <= len(shown) < 2_000
        # Evenly: the middle of what came is among them, not its beginnings alone.
        assert any(ms > 1_000 for ms in shown) and any(ms < 1_000 for ms in shown)


def test_colour_on_a_terminal_unless_it_is_not_wanted():
    with Streamobs(CONFIG) as engine:
        engine.post("requests", [event(0)])
        for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            ours, theirs = pty.openpty()
            environment = {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, **environment}
            with Tap(engine, "per_minute", "--count", 1, stdout=theirs, env=environment) as tap:
                engine.post("requests", [event(0)])
                assert tap.end() == 0
            os.close(theirs)
            assert ("\x1b[" in os.read(ours, 65536).decode()) is coloured
            os.close(ours)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_it_comes_back_when_the_engine_does(end):
    with Streamobs(CONFIG) as engine:
        port = engine.url.rsplit(":", 1)[1]
        engine.listen = f"127.0.0.1:{port}"
        with Tap(engine, "per_minute", "closed=true", "--json") as tap:
            engine.post("requests", [event(0), event(1)])
            tap.wait_for(lambda: len(tap.lines()) == 1, "the first window")
            engine.stop(end)
            tap.wait_for(lambda: "trying again" in tap.read(tap.err), "the loss being said")
            engine.start()
            engine.post("requests", [event(2)])
            engine.post("requests", [event(3)])
            tap.wait_for(lambda: len(tap.lines()) == 3, "the windows after the restart")
            assert "the engine is back" in tap.read(tap.err)
            # After a crash the engine tells again what it counts again from its log.
            starts = [json.loads(line)["window_start"] for line in tap.lines()]
            assert starts == sorted(set(starts))
            assert tap.end(signal.SIGTERM) == 0


def test_mistakes_say_what_to_do():
    with Streamobs(CONFIG) as engine:
        def refused(code, *arguments):
            done = run("tap", *arguments, "--target", engine.url, check=False)
            assert done.returncode == code, done.stderr
            return done.stderr

        assert 'did you mean "per_minute"?' in refused(78, "per_minut")
        assert "anomalies, incidents, per_minute and requests" in refused(78, "xyzzy")
        assert 'did you mean "service"?' in refused(78, "per_minute", "servce=a")
        assert "KEY=VALUE" in refused(78, "per_minute", "checkout")
        assert refused(0, "per_minute", "--for", "200ms") == ""
        assert "soon" in refused(78, "per_minute", "--for", "soon")
        url = engine.url
    done = run("tap", "per_minute", "--target", url, check=False)
    assert done.returncode == 75
    assert "Is the engine running there?" in done.stderr
    # A program in a pipe that has read enough is no error.
    with Streamobs(CONFIG) as engine:
        ours, theirs = os.pipe()
        with Tap(engine, "per_minute", stdout=theirs) as tap:
            os.close(theirs)
            os.close(ours)
            engine.post("requests", [event(0)])
            assert tap.end() == 0


def test_the_token_comes_from_the_config():
    config = CONFIG + '\n[http]\ntoken = "env:TAP_TOKEN"\n'
    environment = {**os.environ, "TAP_TOKEN": "secret"}
    os.environ["TAP_TOKEN"] = "secret"
    try:
        with Streamobs(config) as engine:
            path = engine.directory / "obs.toml"
            done = run("tap", "per_minute", "--for", "100ms", "--config", path, "--target",
                       engine.url, env=environment)
            assert done.stdout == ""
            done = run("tap", "per_minute", "--target", engine.url, check=False)
            assert done.returncode == 78
            assert "Bearer" in done.stderr
    finally:
        del os.environ["TAP_TOKEN"]

"""Configs of several files and with variables in them, over the running engine."""

import os
import pathlib

import pytest

from harness import Streamobs, run

BASE = """
[stream.requests]
time = "t"
fields = { service = "string", latency_ms = "float" }
[window.per_minute]
size = "1m"
by = ["service"]
[window.per_minute.select]
n = "count(*)"
"""
OWN = """include = ["shared/base.toml"]
[window.per_minute]
where = "service <> '${STREAMOBS_TEST_LEFT_OUT:-none}'"
[window.per_minute.select]
slowest = "max(latency_ms)"
"""


def at(minute):
    return f"2026-01-09T12:{minute:02d}:00Z"


def events(minutes):
    return [{"t": at(m), "service": s, "latency_ms": float(m)} for m in minutes for s in ("a", "b")]


def write_base(directory, text=BASE):
    shared = pathlib.Path(directory) / "shared"
    shared.mkdir(exist_ok=True)
    (shared / "base.toml").write_text(text)


class Composed(Streamobs):
    def start(self):
        write_base(self.directory)
        super().start()


def test_an_engine_runs_by_several_files_and_variables(monkeypatch):
    monkeypatch.setenv("STREAMOBS_TEST_LEFT_OUT", "b")
    with Composed(OWN) as engine:
        engine.post("requests", events(range(3)))
        engine.wait(lambda: len(engine.closed("per_minute")) == 2, "the rows")
        rows = engine.closed("per_minute")
        assert [(r["service"], r["n"], r["slowest"]) for r in rows] == [("a", 1, 1.0), ("a", 1, 0.0)]


def test_what_was_logged_is_replayed_as_it_was_meant(monkeypatch):
    """Killed, and started again when the included file and the variable have changed: what was
    logged before counts by what they said then."""
    monkeypatch.setenv("STREAMOBS_TEST_LEFT_OUT", "b")
    with Composed(OWN + '[wal]\ncheckpoint_every = "1h"\n') as engine:
        engine.post("requests", events(range(4)))
        engine.process.kill()
        engine.process.wait()
        monkeypatch.setenv("STREAMOBS_TEST_LEFT_OUT", "a")
        engine.start()
        engine.post("requests", events(range(10, 13)))
        engine.wait(lambda: len(engine.closed("per_minute")) >= 5, "the rows")
        rows = {r["window_start"]: r["service"] for r in engine.closed("per_minute")}
        assert [rows.get(at(m)) for m in range(3)] == ["a"] * 3
        assert [rows.get(at(m)) for m in (10, 11)] == ["b"] * 2


def test_mistakes_are_told_in_the_file_where_they_stand(tmp_path):
    write_base(tmp_path, BASE.replace("count(*)", "cuont(*)"))
    config = tmp_path / "obs.toml"
    config.write_text(OWN + 'of = "sum(latency)"\n')
    done = run("validate", "--config", config, check=False)
    assert done.returncode == 78
    # Those that only the plan finds: each with its file and its line.
    lines = done.stderr.splitlines()
    own = next(i for i, line in enumerate(lines) if line.startswith(f"{config}:6:"))
    base = next(i for i, line in enumerate(lines)
                if line.startswith(f"{tmp_path}/shared/base.toml:9:"))
    assert own < base
    assert "sum(latency)" in lines[own + 1]
    assert "cuont(*)" in lines[base + 1]


@pytest.mark.parametrize("text, words", [
    ('include = ["obs.toml"]\n', "would include itself"),
    ('include = ["gone.toml"]\n', "gone.toml: No such file or directory"),
    ('data_dir = "${STREAMOBS_TEST_NOT_SET}"\n', "STREAMOBS_TEST_NOT_SET is not set"),
    ('[http]\ntoken = "${STREAMOBS_TEST_SECRET}"\n', "a secret is not put in by ${…}"),
])
def test_what_cannot_be_put_together_ends_with_78(tmp_path, monkeypatch, text, words):
    monkeypatch.setenv("STREAMOBS_TEST_SECRET", "do-not-show-this-one")
    config = tmp_path / "obs.toml"
    config.write_text(text + (BASE if "[http]" not in text else "") )
    done = run("--config", config, check=False, env=dict(os.environ))
    assert done.returncode == 78
    assert words in done.stderr and "do-not-show" not in done.stderr, done.stderr

"""Windows asked again: chosen metrics, merged over time and keys, quantiles nobody asked for, CSV."""

import csv
import io
import math
import random
import re

import pytest

from harness import Streamobs

CONFIG = """
[stream.requests]
time = "event_time"
fields = { service = "string", region = "string", latency_ms = "float", cost = "decimal(2)", user = "string", step = "string" }
[window.per_minute]
from = "requests"
size = "1m"
by = ["service", "region"]
[window.per_minute.select]
n = "count(*)"
slow = "count(*) filter (where latency_ms > 100)"
slow_share = "slow / n"
cost = "sum(cost)"
mean = "avg(latency_ms)"
p95 = "quantile(latency_ms, 0.95)"
slowest = "max(latency_ms)"
users = "count(distinct user)"
per_second = "rate()"
newest = "last(latency_ms)"
[window.hops]
from = "requests"
size = "5m"
hop = "1m"
by = ["service", "region"]
[window.hops.select]
n = "count(*)"
p95 = "quantile(latency_ms, 0.95)"
[window.visits]
from = "requests"
gap = "1m"
by = ["service", "region"]
[window.visits.select]
n = "count(*)"
[window.named]
from = "requests"
size = "1m"
by = ["service", "step"]
[window.named.select]
label = "service || ':' || count(*)::text"
n = "count(*)"
[window.days]
from = "requests"
size = "1d"
timezone = "Europe/Berlin"
[window.days.select]
n = "count(*)"
"""
BASE = 1767960000  # 2026-01-09T12:00:00Z
HOURS = 3


def at(seconds):
    hours, rest = divmod(seconds, 3600)
    return f"2026-01-09T{12 + hours:02d}:{rest // 60:02d}:{rest % 60:02d}Z"


def history(seed):
    draw = random.Random(seed)
    events = []
    for second in range(0, HOURS * 3600, 2):
        service = draw.choice(["checkout", "payments", "search"])
        region = draw.choice(["eu", "us"])
        latency = math.exp(draw.gauss(4, 1))
        cents = draw.randrange(1, 10000)
        user = f"u{draw.randrange(700)}"
        events.append({"event_time": at(second), "service": service, "region": region,
                       "latency_ms": latency, "cost": f"{cents // 100}.{cents % 100:02d}",
                       "user": user, "step": f"s{second % 2}", "second": second, "cents": cents})
    return events


def exact(events, seconds):
    """What the metrics of these events are, worked out from the events."""
    values = sorted(e["latency_ms"] for e in events)
    n = len(values)
    slow = sum(v > 100 for v in values)
    return {"n": n, "slow": slow, "slow_share": slow / n,
            "cost": sum(e["cents"] for e in events) / 100, "mean": math.fsum(values) / n,
            "slowest": values[-1], "users": len({e["user"] for e in events}),
            "per_second": n / seconds, "newest": max(events, key=lambda e: e["second"])["latency_ms"],
            "p95": values[math.floor(0.95 * (n - 1))], "p999": values[math.floor(0.999 * (n - 1))]}


@pytest.fixture(scope="module")
def engine():
    with Streamobs(CONFIG) as engine:
        engine.events = history(5)
        engine.post("requests", [{k: v for k, v in e.items() if k not in ("second", "cents")}
                                 for e in engine.events])
        # What closes the last window.
        engine.post("requests", [{"event_time": at(HOURS * 3600), "service": "z"}])
        engine.wait(lambda: engine.database().execute(
            "SELECT max(window_end) FROM per_minute").fetchone()[0] == at(HOURS * 3600), "the rows")
        yield engine


def check_row(row, truth):
    for name in ("n", "slow", "cost", "slowest", "users", "newest"):
        assert row[name] == truth[name], name
    for name in ("slow_share", "mean", "per_second"):
        assert math.isclose(row[name], truth[name], rel_tol=1e-12), name
    assert abs(row["p95"] - truth["p95"]) <= 0.01 * truth["p95"]


@pytest.mark.parametrize("step,seconds", [("1h", 3600), ("30m", 1800), ("1m", 60)])
@pytest.mark.parametrize("by", ["", "service", "region,service"])
def test_merged_over_time_and_keys_as_if_counted_so(engine, step, seconds, by):
    keys = [k for k in by.split(",") if k]
    groups = {}
    for event in engine.events:
        start = event["second"] // seconds * seconds
        groups.setdefault((at(start), *[event[k] for k in keys]), []).append(event)
    rows = engine.windows("per_minute", step=step, by=by, quantile="latency_ms:0.999",
                          to=at(HOURS * 3600))
    assert len(rows) == len(groups)
    for row in rows:
        truth = exact(groups[(row["window_start"], *[row[k] for k in keys])], seconds)
        check_row(row, truth)
        assert abs(row["latency_ms:0.999"] - truth["p999"]) <= 0.01 * truth["p999"]
        assert row["closed"] is True
        assert set(row) - {"latency_ms:0.999"} == set(keys) | {
            "window_start", "window_end", "closed", "revision", "n", "slow", "slow_share", "cost",
            "mean", "p95", "slowest", "users", "per_second", "newest"}
    starts = [row["window_start"] for row in rows]
    assert starts == sorted(starts, reverse=True)


def test_hopping_windows_count_each_event_once_in_a_step(engine):
    rows = engine.windows("hops", step="1h", by="service", to=at(HOURS * 3600))
    hours = {(at(h * 3600), s) for h in range(HOURS) for s in ("checkout", "payments", "search")}
    assert {(row["window_start"], row["service"]) for row in rows} == hours
    for row in rows:
        hour = [e for e in engine.events if e["service"] == row["service"] and
                at(e["second"] // 3600 * 3600) == row["window_start"]]
        truth = exact(hour, 3600)
        assert row["n"] == truth["n"]
        assert abs(row["p95"] - truth["p95"]) <= 0.01 * truth["p95"]
    assert "multiple of 5m" in engine.get("/api/v1/windows/hops", step="1m").json()["detail"]


def test_filters_windows_and_limit_are_those_of_the_merged_rows(engine):
    rows = engine.windows("per_minute", step="1h", by="region", service="search", windows=2)
    assert [(r["window_start"], r["region"]) for r in rows] == [
        (at(h * 3600), region) for h in (2, 1) for region in ("eu", "us")]
    for row in rows:
        hour = [e for e in engine.events if e["service"] == "search" and
                e["region"] == row["region"] and at(e["second"] // 3600 * 3600) == row["window_start"]]
        assert row["n"] == len(hour)
    assert len(engine.windows("per_minute", step="1h", by="region", limit=3)) == 3
    # An hour that from and to cut is merged whole.
    part = engine.windows("per_minute", step="1h", by="", from_=at(3700), to=at(3800))
    assert [(r["window_start"], r["n"]) for r in part] == [(at(3600), 1800)]


def test_an_hour_that_is_not_over_says_so(engine):
    rows = engine.windows("per_minute", step="2h", by="", to=at(HOURS * 3600))
    assert [(r["window_start"], r["closed"]) for r in rows] == [(at(7200), False), (at(0), True)]


def test_a_quantile_that_no_metric_is(engine):
    plain = engine.windows("per_minute", to=at(600), service="search")
    asked = engine.windows("per_minute", to=at(600), service="search", metrics="p95",
                           quantile="latency_ms:0.95,latency_ms:0,latency_ms:1")
    assert len(plain) == len(asked) > 0
    for a, b in zip(plain, asked):
        assert b["latency_ms:0.95"] == a["p95"] == b["p95"]
        assert b["latency_ms:1"] == a["slowest"]
        assert "n" not in b
        values = [e["latency_ms"] for e in engine.events if e["service"] == "search"
                  and e["region"] == a["region"] and at(e["second"] // 60 * 60) == a["window_start"]]
        assert b["latency_ms:0"] == min(values)


def test_csv_is_what_the_json_is(engine):
    for query in ({}, {"step": "1h", "by": "service", "metrics": "users,n"}):
        reply = engine.get("/api/v1/windows/per_minute", format="csv", limit=500, **query)
        assert reply.headers["Content-Type"].startswith("text/csv")
        table = list(csv.reader(io.StringIO(reply.body.decode(), newline="")))
        rows = engine.get("/api/v1/windows/per_minute", limit=500, **query).json()["rows"]
        assert table[0] == list(rows[0])
        assert len(table) == len(rows) + 1
        for cells, row in zip(table[1:], rows):
            for name, cell in zip(table[0], cells):
                value = row[name]
                if isinstance(value, bool) or isinstance(value, str):
                    assert cell == (value if isinstance(value, str) else str(value).lower())
                elif value is None:
                    assert cell == ""
                else:
                    assert float(cell) == value


def test_a_key_called_like_a_parameter(engine):
    rows = engine.windows("named", to=at(60), **{"key.step": "s0"})
    assert rows and all(row["step"] == "s0" for row in rows)


def test_the_newest_row_of_each_key():
    """Also of one that the newest window has no row of; from memory, and from the database."""
    draw = random.Random(8)
    newest = {}
    with Streamobs(CONFIG) as engine:
        for minute in range(90):
            for service in "abcdefgh":
                if draw.random() < 0.05:
                    engine.post("requests", [{"event_time": at(60 * minute), "service": service,
                                              "region": "eu", "latency_ms": 1.0}])
                    newest[service] = minute
        # Closes all; and is open itself.
        engine.post("requests", [{"event_time": at(60 * 90), "service": "z", "region": "eu",
                                  "latency_ms": 1.0}])
        last = max(newest.values())
        engine.wait(lambda: engine.database().execute(
            "SELECT max(window_start) FROM per_minute").fetchone()[0] == at(60 * last), "the rows")
        for restarted in (False, True):
            if restarted:
                engine.stop()
                engine.start()
            engine.wait(lambda: engine.windows("per_minute", service="z"), "what is open")
            for parameters, since in (({}, last - 60), ({"from_": at(0)}, 0), ({"windows": 4}, None)):
                rows = engine.windows("per_minute", latest="true", **parameters)
                if since is None:
                    all_rows = engine.windows("per_minute", **parameters)
                    expected = {}
                    for row in all_rows:
                        expected.setdefault(row["service"], row["window_start"])
                else:
                    expected = {service: at(60 * minute) for service, minute in newest.items()
                                if minute >= since} | {"z": at(60 * 90)}
                assert {row["service"]: row["window_start"] for row in rows} == expected
                assert len(rows) == len(expected)
                assert [r["window_start"] for r in rows] == sorted(expected.values(), reverse=True)


def test_the_newest_windows_are_counted_before_rows_are_left_out():
    with Streamobs(CONFIG) as engine:
        def send(minute, service):
            engine.post("requests", [{"event_time": at(60 * minute), "service": service,
                                      "region": "eu", "latency_ms": 1.0}])

        for minute, services in enumerate(("c", "b", "ab", "ab")):
            for service in services:
                send(minute, service)
        send(100, "z")  # Closes all; and is open itself.
        engine.wait(lambda: len(engine.closed("per_minute")) == 6
                    and engine.windows("per_minute", service="z"), "the rows")
        rows = engine.windows("per_minute", latest="true", windows=4)
        # The fourth newest window is that of minute 1: c has no row in the newest four.
        assert {row["service"]: row["window_start"] for row in rows} == {
            "z": at(6000), "a": at(180), "b": at(180)}
        assert engine.windows("per_minute", latest="true", to=at(120))[0]["window_start"] == at(60)


def test_no_figure_is_a_negative_nothing():
    config = CONFIG + '''
[window.turned]
from = "requests"
size = "1m"
select = { less = "-sum(latency_ms)" }
'''
    with Streamobs(config) as engine:
        engine.post("requests", [{"event_time": at(60 * minute), "service": "a", "region": "eu",
                                  "latency_ms": 0.0} for minute in range(2)])
        engine.wait(lambda: engine.closed("turned"), "the row")
        assert b'"less":-0' not in engine.get("/api/v1/windows/turned").body


@pytest.mark.parametrize("query,words", [
    ({"latest": "true", "step": "1h"}, "leave out step"), ({"latest": "yes"}, "neither true"),
    ({"step": "90s"}, "multiple of 1m"), ({"step": "soon"}, "1h"), ({"step": "0s"}, "1h"),
    ({"by": "colour"}, "service and region"), ({"by": "service,service"}, "twice"),
    ({"metrics": "p99"}, "no metric"), ({"quantile": "cost:0.5"}, "there is latency_ms"),
    ({"quantile": "latency_ms:2"}, "from 0 to 1"), ({"quantile": "latency_ms"}, "FIELD:P"),
    ({"format": "xml"}, "csv"), ({"colour": "red"}, "unknown parameter")])
def test_what_cannot_be_answered_says_why(engine, query, words):
    reply = engine.get("/api/v1/windows/per_minute", **query)
    assert reply.status == 400
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert words in reply.json()["detail"]


def test_what_cannot_be_merged_says_why(engine):
    reply = engine.get("/api/v1/windows/named", by="step")
    assert reply.status == 400 and "keep service in by" in reply.json()["detail"]
    reply = engine.get("/api/v1/windows/days", step="2d")
    assert reply.status == 400 and "Europe/Berlin" in reply.json()["detail"]


@pytest.mark.parametrize("query", [{"step": "1h"}, {"by": "service"}, {"by": ""}])
def test_sessions_are_not_merged(engine, query):
    reply = engine.get("/api/v1/windows/visits", **query)
    assert reply.status == 400 and "sessions" in reply.json()["detail"]


def test_rows_of_another_config_are_not_merged(engine):
    text = CONFIG.replace('n = "count(*)"\nslow =', 'n = "count(*)"\nextra = "min(latency_ms)"\nslow =')
    with Streamobs(CONFIG) as other:
        other.post("requests", [{"event_time": at(60 * i), "service": "a", "region": "eu",
                                 "latency_ms": 1.0} for i in range(5)])
        other.wait(lambda: len(other.closed("per_minute")) == 4, "the rows")
        other.stop()
        (other.directory / "obs.toml").write_text(text)
        other.start()
        other.post("requests", [{"event_time": at(60 * i), "service": "a", "region": "eu",
                                 "latency_ms": 1.0} for i in range(5, 9)])
        other.wait(lambda: len(other.closed("per_minute")) >= 7, "the new rows")
        reply = other.get("/api/v1/windows/per_minute", step="1h")
        assert reply.status == 400 and "other aggregates" in reply.json()["detail"]
        assert other.windows("per_minute", step="1m", by="", from_=at(300))
        # Those that are whole are told all the same, and single rows as they were stored.
        # (Minute 4 was open when the config changed, and began anew.)
        rows = {row["window_start"][14:16]: (row["n"], row["closed"])
                for row in other.windows("per_minute", step="2m", to=at(480))}
        assert rows == {"00": (None, False), "02": (None, False), "04": (1, True), "06": (2, True)}
        single = other.windows("per_minute", step="1m")
        assert len(single) >= 7 and all(row["n"] == 1 for row in single)
        assert {row["extra"] for row in single} == {None, 1.0}


def test_the_description_has_every_parameter_there_is(engine):
    paths = engine.get("/api/v1/openapi.json").json()["paths"]
    for path, methods in paths.items():
        get = methods.get("get")
        if not get or path == "/api/v1/live":
            continue
        path = path.replace("{name}", "per_minute")
        examples = {"windows": "2", "metrics": "n", "by": "service", "quantile": "latency_ms:0.5"}
        for parameter in get["parameters"]:
            if parameter["in"] != "query" or parameter["name"] == "keys":
                continue
            example = parameter.get("example", examples.get(parameter["name"]))
            reply = engine.get(path, **{parameter["name"]: example})
            assert reply.status == 200, (path, parameter["name"], reply.body)
        if path.startswith("/api/v1/"):
            assert engine.get(path, nonsense="1").status == 400
    names = paths["/api/v1/windows/{name}"]["get"]["parameters"][0]["schema"]["enum"]
    assert names == re.findall(r"^\[window\.(\w+)\]$", CONFIG, re.MULTILINE)

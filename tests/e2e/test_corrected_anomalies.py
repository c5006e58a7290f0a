"""What late events make of anomalies and incidents that are over, and however events are cut into requests."""

import os
import random

import pytest

from harness import Streamobs, query

BEGIN = 1_735_689_600  # s; 2025-01-01T00:00:00Z

STREAM = """
[stream.requests]
time = "at"
idle_timeout = "1h"
fields = { at = "timestamp", service = "string", ms = "int" }
"""


def window(name="w", size="1m", hop=""):
    return f"""
[window.{name}]
from = "requests"
size = "{size}"
{hop}
by = ["service"]
late = "update"
correct_for = "30m"
[window.{name}.select]
m = "avg(ms)"
"""


def rule(name="slow", on="w", when="m > 50", rest=""):
    return f"""
[rule.{name}]
on = "{on}"
when = "{when}"
{rest}
"""


def event(second, service="a", ms=10):
    return {"at": (BEGIN + second) * 1000, "service": service, "ms": ms}


def anomalies(engine):
    return engine.get("/api/v1/anomalies").json()["rows"]


def incidents(engine):
    return engine.get("/api/v1/incidents").json()["rows"]


def reload_with(engine, text):
    (engine.directory / "next.toml").write_text(text)
    os.replace(engine.directory / "next.toml", engine.directory / "obs.toml")
    assert engine.request("POST", "/-/reload").status == 200


def found(config, requests):
    """What is in the database in the end."""
    with Streamobs(config) as engine:
        for events in requests:
            assert engine.post("requests", events).status == 200
        assert engine.stop() == 0
        return [query(engine.data_dir / "streamobs.db", f"SELECT * FROM {name} ORDER BY id")
                for name in ("anomalies", "incidents")]


@pytest.mark.parametrize("seed", range(4))
def test_anomalies_and_incidents_are_the_same_however_events_are_cut(seed):
    draw = random.Random(seed)
    now, events = 0, []
    for _ in range(150):
        now += draw.choice([1, 5, 20, 45, 90])
        events.append(event(now - draw.choice([0, 0, 0, 30, 90, 200, 400]), draw.choice("abc"),
                            draw.choice([0, 1, 100, 200, -300])))
    events += [event(now + hour * 3_600, "z", 0) for hour in (1, 2)]
    held = 'keep_firing_for = "2m"' if seed % 2 else ""
    config = (STREAM + window("w", *(("3m", 'hop = "1m"') if seed == 2 else ())) + window("long", "5m") +
              rule(rest=held) + rule("surge", when="m > 2 * baseline(m, '10m')") +
              rule("lasting", "long", rest='for = "5m"'))
    each = found(config, [[one] for one in events])
    assert len(each[0]) > 5 and any(anomaly["withdrawn"] for anomaly in each[0])
    assert found(config, [events]) == each
    some, rest = [], events
    while rest:
        n = draw.choice([1, 3, 10, 30])
        some, rest = some + [rest[:n]], rest[n:]
    assert found(config, some) == each


def test_what_silence_has_resolved_is_withdrawn():
    with Streamobs(STREAM + window() + rule()) as engine:
        engine.post("requests", [event(5, ms=100), event(90, "z"), event(210, "z")])
        engine.wait(lambda: [(a["revision"], a["resolved"]) for a in anomalies(engine)] == [(1, True)],
                    "the anomaly to be over")
        engine.post("requests", [event(50, ms=-1_000), event(290, "z")])
        engine.wait(lambda: anomalies(engine)[0]["revision"] == 2, "the correction")
        [withdrawn] = anomalies(engine)
        assert (withdrawn["withdrawn"], withdrawn["metric_value"]) == (True, -450)
        engine.wait(lambda: "-450 (withdrawn: corrected by late events)" in
                    incidents(engine)[0]["title"], "the incident")
        # It holds after all, and is over as it was.
        engine.post("requests", [event(51, ms=10_000), event(350, "z")])
        engine.wait(lambda: anomalies(engine)[0]["revision"] == 3, "the other correction")
        [holds] = anomalies(engine)
        assert (holds["withdrawn"], holds["resolved"], holds["id"]) == (False, True, withdrawn["id"])
        engine.wait(lambda: "withdrawn" not in incidents(engine)[0]["title"], "the incident")


@pytest.mark.parametrize("way", ["another window", "gone and back"])
def test_what_another_life_of_a_rule_has_said_hides_nothing(way):
    """It fires, and everybody sees it."""
    config = STREAM + window() + window("x")
    held = 'keep_firing_for = "30m"'
    with Streamobs(config + rule(rest=held)) as engine:
        engine.post("requests", [event(1, ms=100), event(90, "z")])
        engine.wait(lambda: len(anomalies(engine)) == 1, "the anomaly")
        if way == "gone and back":
            reload_with(engine, config)
            reload_with(engine, config + rule(rest=held))
        else:
            reload_with(engine, config + rule(on="x", rest=held))
        engine.wait(lambda: anomalies(engine)[0]["resolved"], "the first to be over")
        engine.post("requests", [event(50, ms=200), event(210, "z")])
        engine.wait(lambda: len(anomalies(engine)) == 2, "the second")
        [second] = [a for a in anomalies(engine) if not a["resolved"]]
        assert (second["revision"], second["metric_value"]) == (0, 150)
        assert second["window"] == ("x" if way == "another window" else "w")
        engine.wait(lambda: ("a", "firing") in [(r["key"], r["phase"]) for r in
                                                engine.get("/api/v1/pipeline").json()["rules"]],
                    "the rule's state")
        engine.wait(lambda: any(i["status"] == "open" for i in incidents(engine)), "the incident")

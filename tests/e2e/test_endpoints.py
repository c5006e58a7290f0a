"""Endpoints that a config declares, over the running engine."""

import re

import pytest

from harness import Streamobs, run

CONFIG = """
[stream.calls]
time = "timestamp"
paths = ["/v1/llm/response"]
fields = { tenant_id = "string", route = "string", model = "string", latency_ms = "float" }
[window.llm_metrics]
from = "calls"
size = "1m"
by = ["tenant_id", "route", "model"]
[window.llm_metrics.select]
requests = "count(*)"
slowest = "max(latency_ms)"

[endpoint."GET /v1/metrics"]
window   = "llm_metrics"
required = ["tenant_id"]
optional = ["route", "model", "limit"]
shape    = "list"
windows  = 60

[endpoint."GET /v1/llm/response"]
window   = "llm_metrics"
optional = { of = "model", since = "from", last = "windows", "per" = "step", group = "by", format = "format" }
order    = "oldest_first"
"""
MINUTES = 90


def at(minute, second=0):
    hour, rest = divmod(minute, 60)
    return f"2026-01-09T{12 + hour:02d}:{rest:02d}:{second:02d}Z"


def event(minute, tenant, model, latency):
    return {"timestamp": at(minute, 5), "tenant_id": tenant, "route": "/chat", "model": model,
            "latency_ms": latency}


@pytest.fixture(scope="module")
def engine():
    with Streamobs(CONFIG) as engine:
        events = []
        for minute in range(MINUTES):
            events += [event(minute, "acme", "big", float(minute)),
                       event(minute, "acme", "small", 1.0), event(minute, "other", "big", 2.0)]
        engine.post("calls", events)
        engine.wait(lambda: len(engine.windows("llm_metrics")) == 3 * MINUTES
                    and len(engine.closed("llm_metrics")) == 3 * (MINUTES - 1),
                    "the rows, those of the window that is open among them")
        yield engine


def test_a_bare_array_newest_first_sixty_windows_unless_told_otherwise(engine):
    rows = engine.get("/v1/metrics", tenant_id="acme").json()
    assert isinstance(rows, list)
    # The newest window is still open, and is among them, as in any question.
    expected = [(at(m), "acme", "/chat", model) for m in range(MINUTES - 1, MINUTES - 61, -1)
                for model in ("big", "small")]
    assert [(r["window_start"], r["tenant_id"], r["route"], r["model"]) for r in rows] == expected
    one = engine.get("/v1/metrics", tenant_id="acme", route="/chat", model="big").json()
    assert [r["slowest"] for r in one] == list(range(MINUTES - 1, MINUTES - 61, -1))
    # Told otherwise: more than sixty, and fewer.
    assert len(engine.get("/v1/metrics", tenant_id="acme", model="big", limit=80).json()) == 80
    assert len(engine.get("/v1/metrics", tenant_id="acme", limit=3).json()) == 3
    assert engine.get("/v1/metrics", tenant_id="nobody").json() == []


def test_it_is_the_windows_own_query(engine):
    assert engine.get("/v1/metrics", tenant_id="acme").json() == [
        row for row in engine.windows("llm_metrics", windows=60) if row["tenant_id"] == "acme"]
    renamed = engine.get("/v1/llm/response", of="big", since=at(80), group="", per="5m").json()
    own = engine.get("/api/v1/windows/llm_metrics", model="big", from_=at(80), by="", step="5m").json()
    own["rows"].reverse()
    assert renamed == own and len(own["rows"]) == 2
    assert renamed["rows"][0]["requests"] == 10  # 5 minutes, 2 tenants.
    assert engine.get("/v1/llm/response", last=1, format="csv").body.startswith(b"window_start,")


@pytest.mark.parametrize("path, parameters, words", [
    ("/v1/metrics", {}, "\"tenant_id\" is missing"),
    ("/v1/metrics", {"tenant_id": "a", "tenant": "b"}, "there is tenant_id, route, model and limit"),
    ("/v1/metrics", {"tenant_id": "a", "windows": "3"}, "unknown parameter"),
    ("/v1/metrics", {"tenant_id": "a", "limit": "many"}, "limit = \"many\""),
    ("/v1/llm/response", {"per": "90s"}, "parameter \"per\": step = \"90s\""),
])
def test_a_question_that_makes_no_sense_is_a_problem(engine, path, parameters, words):
    reply = engine.get(path, **parameters)
    assert reply.status == 400
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert words in reply.json()["detail"]


def test_the_description_has_them_and_what_it_says_holds(engine):
    paths = engine.get("/api/v1/openapi.json").json()["paths"]
    # One path that takes events by POST and answers GET.
    assert set(paths["/v1/llm/response"]) == {"get", "post"}
    examples = {"tenant_id": "acme", "route": "/chat", "model": "big", "of": "big", "group": "model"}
    for path in ("/v1/metrics", "/v1/llm/response"):
        parameters = paths[path]["get"]["parameters"]
        needed = {p["name"]: examples[p["name"]] for p in parameters if p.get("required")}
        assert engine.get(path, **needed).status == 200
        for parameter in parameters:
            value = parameter.get("example") or examples.get(parameter["name"], "2")
            reply = engine.get(path, **{**needed, parameter["name"]: value})
            assert reply.status == 200, (path, parameter, reply.body)
        for name in needed:
            left = {n: v for n, v in needed.items() if n != name}
            assert engine.get(path, **left).status == 400
        assert engine.get(path, **needed, nonsense="1").status == 400
    assert engine.request("POST", "/v1/metrics", b"").status == 405


def test_no_endpoint_can_take_an_address_of_the_engines(engine, tmp_path):
    """Whatever the server answers itself, by its own description and its page, is refused."""
    own = [p for p in engine.get("/api/v1/openapi.json").json()["paths"]
           if p not in ("/v1/metrics", "/v1/llm/response")]
    page = engine.get("/").body.decode()
    own += ["/index.html", *re.findall(r'(?:src|href)="(/[^"]+)"', page)]
    assert len(own) > 15
    for path in own:
        config = tmp_path / "obs.toml"
        config.write_text(CONFIG + f'[endpoint."GET {path.replace("{stream}", "calls").replace("{name}", "x")}"]\n'
                          'window = "llm_metrics"\n')
        done = run("validate", "--config", config, check=False)
        assert done.returncode == 78, path
        assert "belongs to the engine" in done.stderr, (path, done.stderr)


def test_endpoints_need_the_token(monkeypatch):
    monkeypatch.setenv("STREAMOBS_TOKEN", "0123456789abcdef0123456789abcdef")
    with Streamobs(CONFIG + '[http]\ntoken = "env:STREAMOBS_TOKEN"\n') as engine:
        assert engine.get("/v1/metrics", tenant_id="a").status == 401
        reply = engine.request("GET", "/v1/metrics?tenant_id=a", headers={
            "Authorization": "Bearer 0123456789abcdef0123456789abcdef"})
        assert reply.status == 200 and reply.json() == []

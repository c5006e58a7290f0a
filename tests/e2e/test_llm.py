"""The preset for LLM calls: requests and responses joined, their cost by dated prices, GET /v1/metrics.

Randomised histories of joins, with lanes, cuts and restarts, are in tests/app/joins_test.cpp and
tests/window/stream_join_test.cpp.
"""

import collections
import csv
import json
import math
import random
import signal
from datetime import datetime, timedelta, timezone

import pytest

from harness import ROOT, SHARED, Streamobs, run

CONFIG = f"""
include = ["{ROOT}/config/llm.toml"]
[stream.llm_requests]
idle_timeout = "1s"
max_future = "366d"
[stream.llm_responses]
idle_timeout = "1s"
max_future = "366d"
"""
KEYS = ("tenant_id", "route", "model")
#: USD per million tokens, as config/llm_prices.csv has them.
PRICES = {"gpt-4o": (2.5, 10), "gpt-4o-mini": (0.15, 0.6), "claude-3.5-sonnet": (3, 15)}


def by_key(rows):
    found = {(row["window_start"], *(row[key] for key in KEYS)): row for row in rows}
    assert len(found) == len(rows)
    return found


def check_call_rows(rows, truth):
    expected = {(w["window_start"], *(w["keys"][key] for key in KEYS)): w for w in truth}
    assert rows.keys() == expected.keys()
    for key, wanted in expected.items():
        row, values = rows[key], wanted["values"]
        assert row["requests"] == wanted["count"] and row["errors"] == wanted["counts"]["errors"], key
        assert row["avg_latency_ms"] == pytest.approx(values["latency_ms"]["avg"], rel=1e-12)
        assert row["avg_prompt_tokens"] == pytest.approx(values["prompt_tokens"]["avg"], rel=1e-12)
        assert row["avg_completion_tokens"] == pytest.approx(values["completion_tokens"]["avg"], rel=1e-12)
        p95 = values["latency_ms"]["p95"]
        assert abs(row["p95_latency_ms"] - p95) <= 0.01 * p95, key
        price_in, price_out = PRICES[key[3]]
        cost = (values["prompt_tokens"]["sum"] * price_in
                + values["completion_tokens"]["sum"] * price_out) / 1e6
        assert row["estimated_cost_usd"] == pytest.approx(cost, rel=1e-12), key


def test_what_comes_out_is_what_loadgen_made(tmp_path):
    with Streamobs(CONFIG) as engine:
        run("loadgen", "llm", "--target", engine.url, "--rate", 0, "--events", 60_000, "--event-rate", 8,
            "--seed", 11, "--anomalies", "0.02", "--start", "2026-01-05T00:00:00Z", "-q", "--truth", tmp_path / "truth.json")
        truth = json.loads((tmp_path / "truth.json").read_text())
        assert truth["delivery"]["rejected"] == 0
        engine.wait(lambda: len(engine.closed("llm_metrics", limit=100_000)) == len(truth["windows"]),
                    "the windows", 120)
        check_call_rows(by_key(engine.closed("llm_metrics", limit=100_000)), truth["windows"])

        made = truth["generated"]
        assert engine.metric("streamobs_join_rows_total") == made["llm_responses"]
        engine.wait(lambda: engine.metric("streamobs_join_pending") == 0, "the unanswered to leave")
        unanswered = made["llm_requests"] - made["llm_responses"]
        assert engine.metric("streamobs_join_unmatched_total", side="left") == unanswered > 0
        counts = engine.get("/api/v1/dead-letters").json()["counts"]
        assert counts == [{"stream": "llm_requests", "reason": "unmatched", "count": unanswered}]

        found = engine.get("/api/v1/anomalies", limit=10_000).json()["rows"]
        check_anomalies(found, truth["anomalies"])

        # The view has the columns that other people's queries name, in this order.
        columns = [c[1] for c in engine.database().execute("PRAGMA table_info(llm_metrics)")]
        assert columns[:12] == ["window_start", "window_end", *KEYS, "requests", "errors",
                                "avg_latency_ms", "p95_latency_ms", "avg_prompt_tokens",
                                "avg_completion_tokens", "estimated_cost_usd"]
        check_endpoint(engine)


def check_anomalies(found, injected):
    """Each episode, once there is an hour of what is normal behind it, and long enough to fill a minute."""
    names = {"error_burst": "llm_errors", "latency_spike": "llm_slow"}
    looked_for = 0
    for episode in injected:
        if episode["from"] < "2026-01-05T00:20" or episode["events"] < 60:
            continue
        looked_for += 1
        rule, model = names[episode["kind"]], episode["keys"]["model"]
        assert any(row["anomaly_type"] == rule and row["model"] == model
                   and row["window_start"] < episode["to"] and row["window_end"] > episode["from"]
                   for row in found), episode
    assert looked_for >= 3


def check_endpoint(engine):
    rows = engine.get("/v1/metrics").json()
    assert isinstance(rows, list) and len({row["window_start"] for row in rows}) == 60
    starts = [row["window_start"] for row in rows]
    assert starts == sorted(starts, reverse=True)
    some = engine.get("/v1/metrics", tenant_id="acme", route="/chat", model="gpt-4o", limit=5).json()
    assert len(some) == 5
    assert all([row[key] for key in KEYS] == ["acme", "/chat", "gpt-4o"] for row in some)
    assert engine.get("/v1/metrics", colour="red").status == 400


def call(number, at, **more):
    """A request and its response, a second later."""
    def stamp(seconds):
        return f"{at + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"
    request = {"request_id": f"r{number}", "tenant_id": "acme", "route": "/chat",
               "model": more.get("model", "gpt-4o"), "timestamp": stamp(0),
               "prompt_tokens": more.get("prompt", 100)}
    response = {"request_id": f"r{number}", "timestamp": stamp(1), "latency_ms": 1000,
                "completion_tokens": more.get("completion", 10), "finish_reason": "stop", "error": None}
    return request, response


def test_calls_under_way_survive_a_crash(tmp_path):
    begin = datetime(2026, 1, 5, tzinfo=timezone.utc)
    calls = [call(i, begin + timedelta(seconds=i / 10)) for i in range(3000)]
    source = random.Random(3)
    # Each side in its own order, one ahead of the other by chance.
    sides = {"/v1/llm/request": [c[0] for c in calls], "/v1/llm/response": [c[1] for c in calls]}
    done = dict.fromkeys(sides, 0)
    # By no clock but that of the events: one side may be ahead of the other by all of them.
    config = CONFIG.replace('"1s"', '"1h"') + '[wal]\ncheckpoint_every = "1s"\n'
    engine = Streamobs(config, tmp_path / "data")
    with engine:
        while any(done[path] < 3000 for path in sides):
            path = source.choice([p for p in sides if done[p] < 3000])
            part = sides[path][done[path]:done[path] + source.randrange(1, 250)]
            assert engine.request("POST", path, json.dumps(part).encode(),
                                  {"Content-Type": "application/json"}).status == 200
            done[path] += len(part)
            if source.random() < 0.2:
                engine.stop(signal.SIGKILL)
                engine.start()
        for path, event in zip(sides, call("last", begin + timedelta(hours=1))):
            assert engine.request("POST", path, json.dumps(event).encode(),
                                  {"Content-Type": "application/json"}).status == 200
        engine.wait(lambda: sum(r["requests"] for r in engine.closed("llm_metrics")) == 3000,
                    "all calls")
        rows = engine.closed("llm_metrics")
        wanted = collections.Counter(c[1]["timestamp"][:16] for c in calls)
        assert {r["window_start"][:16]: r["requests"] for r in rows} == wanted
        assert engine.get("/api/v1/dead-letters").json()["rows"] == []


def test_cached_tokens_inside_and_beside_the_prompt():
    at = datetime(2026, 1, 5, tzinfo=timezone.utc)
    asked, answered = map(list, zip(*[call(i, at, model=model, prompt=1000, completion=100) for i, model in
                            enumerate(("gpt-4o", "claude-3.5-sonnet", "unheard-of", "gpt-4o-mini"))]))
    asked[3].pop("prompt_tokens")
    answered[0]["usage"] = {"prompt_tokens_details": {"cached_tokens": 400}}
    answered[1]["usage"] = {"cache_read_input_tokens": 400}
    answered[3].pop("completion_tokens")
    answered[3] |= {"gen_ai.usage.input_tokens": 50, "gen_ai.usage.output_tokens": 5, "error": "timeout"}
    with Streamobs(CONFIG) as engine:
        for path, events in (("/v1/llm/response", answered), ("/v1/llm/request", asked)):
            assert engine.request("POST", path, json.dumps(events).encode(),
                                  {"Content-Type": "application/json"}).json()["accepted"] == 4
        engine.wait(lambda: len(engine.closed("llm_models")) == 4, "the windows")
        rows = {row["model"]: row for row in engine.closed("llm_models")}
    assert rows["gpt-4o"]["estimated_cost_usd"] == pytest.approx((600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6)
    assert rows["claude-3.5-sonnet"]["estimated_cost_usd"] == pytest.approx(
        (1000 * 3 + 400 * 0.3 + 100 * 15) / 1e6)
    # A model without a price is counted as such; its calls are not free.
    assert rows["unheard-of"]["estimated_cost_usd"] is None and rows["unheard-of"]["unpriced"] == 1
    assert rows["gpt-4o-mini"]["estimated_cost_usd"] == pytest.approx((50 * 0.15 + 5 * 0.6) / 1e6)
    assert rows["gpt-4o-mini"]["errors"] == 1 and rows["gpt-4o"]["errors"] == 0


def test_errors_as_providers_and_conventions_tell_them():
    at = datetime(2026, 1, 5, tzinfo=timezone.utc)
    told = [
        {"error": "timeout"},
        {"error": {"message": "Rate limit reached", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
        {"error": {"type": "overloaded_error", "message": "Overloaded"}},  # Anthropic
        {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}},  # Google
        {"error": {"code": 502, "message": "Bad gateway"}},
        {"error.type": "timeout"},
        {"error": None, "error.type": "timeout"},
    ]
    fine = [{"error": None}, {}]
    asked, answered = map(list, zip(*[call(i, at) for i in range(len(told) + len(fine))]))
    for response, error in zip(answered, told + fine):
        del response["error"]
        response |= error
    with Streamobs(CONFIG) as engine:
        for path, events in (("/v1/llm/request", asked), ("/v1/llm/response", answered)):
            reply = engine.request("POST", path, json.dumps(events).encode(),
                                   {"Content-Type": "application/json"}).json()
            assert reply == {"accepted": len(asked), "rejected": 0, "errors": []}
        engine.wait(lambda: engine.closed("llm_metrics"), "the window")
        row, = engine.closed("llm_metrics")
        assert (row["requests"], row["errors"]) == (len(asked), len(told))


@pytest.mark.parametrize("kind", ["real", "made_up"])
def test_cost_per_model_and_minute_of_a_trace(kind, tmp_path, monkeypatch):
    """The trace's calls, each of some model, by the price files' dated prices."""
    trace = SHARED / "llm/azure_llm_inference_code.csv"
    if kind == "real" and not trace.exists():
        pytest.skip("the shared data is not there")
    source = random.Random(5)
    if kind == "real":
        with open(trace) as file:
            tokens = [(r["TIMESTAMP"][:26], int(r["ContextTokens"]), int(r["GeneratedTokens"]))
                      for r in csv.DictReader(file)]
        prices = {m["id"]: m["price_history"] for f in sorted((SHARED / "llm/prices").glob("*.json"))
                  for m in json.loads(f.read_text())["models"]}
    else:
        begin = datetime(2025, 1, 5)
        tokens = [(f"{begin + timedelta(seconds=i * 0.7):%Y-%m-%d %H:%M:%S.%f}",
                   source.randrange(1, 8000), source.randrange(1, 900)) for i in range(3000)]
        prices = {f"m{i}": [{"input": 1 + i, "output": 2 + i / 8, "from_date": None},
                            {"input": 3 + i, "output": 5, "from_date": "2025-01-05"}][:1 + i % 2]
                  for i in range(9)}
    with open(tmp_path / "prices.csv", "w") as file:
        print("model,valid_from,input,output,cached,cached_beside", file=file)
        for model, history in prices.items():
            for price in {p["from_date"]: p for p in history}.values():
                print(f"{model},{price['from_date'] or ''},{price['input']},{price['output']},,false", file=file)
    monkeypatch.setenv("LLM_PRICES", str(tmp_path / "prices.csv"))
    models = sorted(prices)[:8] + ["unheard-of"]
    asked, answered, costs = [], [], collections.defaultdict(list)
    for i, (at, context, generated) in enumerate(tokens):
        at = datetime.fromisoformat(at).replace(tzinfo=timezone.utc)
        request, response = call(i, at, model=source.choice(models), prompt=context, completion=generated)
        asked.append(request)
        answered.append(response)
        rows = sorted((p["from_date"] or "", p["input"], p["output"]) for p in prices.get(request["model"], []))
        valid = [p for p in rows if p[0] <= response["timestamp"][:10]]
        costs[response["timestamp"][:16] + ":00Z", request["model"]].append(
            (context * valid[-1][1] + generated * valid[-1][2]) / 1e6 if valid else None)
    with Streamobs(CONFIG) as engine:
        for i in range(0, len(asked), 500):
            for path, events in (("/v1/llm/request", asked), ("/v1/llm/response", answered)):
                assert engine.request("POST", path, json.dumps(events[i:i + 500]).encode(),
                                      {"Content-Type": "application/json"}).json()["rejected"] == 0
        engine.wait(lambda: len(engine.closed("llm_models", limit=10_000)) == len(costs), "the windows", 120)
        rows = engine.closed("llm_models", limit=10_000)
    assert len(rows) == len(costs)
    for row in rows:
        wanted = costs[row["window_start"], row["model"]]
        known = [c for c in wanted if c is not None]
        assert row["requests"] == len(wanted) and row["unpriced"] == len(wanted) - len(known)
        assert (row["estimated_cost_usd"] is None) == (not known)
        assert not known or row["estimated_cost_usd"] == pytest.approx(math.fsum(known), rel=1e-12)

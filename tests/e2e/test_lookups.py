"""Look-up tables: prices by key and date, reloaded while it runs, the same after a crash.

Randomised histories with restarts are in tests/app/lookups_test.cpp.
"""

import bisect
import collections
import csv
import json
import math
import os
import random
import signal
from datetime import datetime, timedelta, timezone

import pytest

from harness import SHARED, Streamobs, query, run

CONFIG = """
[lookup.prices]
file = "{file}"
columns = {{ model = "string", since = "timestamp", input = "float", output = "float" }}
key = ["model"]
valid_from = "since"
reload_every = "100ms"
[stream.calls]
time = "timestamp"
fields = {{ model = "string", prompt_tokens = "int", completion_tokens = "int" }}
derive = {{ cost_usd = "(prompt_tokens * lookup('prices', 'input', model) + completion_tokens * lookup('prices', 'output', model)) / 1000000" }}
idle_timeout = "300ms"
max_future = "366d"
[window.spent]
size = "1m"
by = ["model"]
allowed_lateness = "1h"
[window.spent.select]
calls = "count(*)"
cost_usd = "sum(cost_usd)"
unpriced = "count(*) filter (where cost_usd is null)"
"""


def write_prices(path, prices):
    """As a careful writer does: the whole file at once."""
    with open(f"{path}.new", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["model", "since", "input", "output"])
        for model, rows in prices.items():
            for since, price_in, price_out in rows:
                out.writerow([model, since or "", price_in, price_out])
    os.replace(f"{path}.new", path)


def cost_of(prices, call):
    """In the order of the expression; None where there is no price."""
    rows = sorted(((since or "", i, o) for since, i, o in prices.get(call["model"], [])))
    at = bisect.bisect_right([since for since, _, _ in rows], call["timestamp"][:10])
    if at == 0:
        return None
    _, price_in, price_out = rows[at - 1]
    return (call["prompt_tokens"] * price_in + call["completion_tokens"] * price_out) / 1000000


def oracle(prices, calls):
    costs = collections.defaultdict(list)
    for call in calls:
        costs[(call["timestamp"][:16] + ":00Z", call["model"])].append(cost_of(prices, call))
    return {key: (len(all_), math.fsum(c for c in all_ if c is not None)
                  if any(c is not None for c in all_) else None, sum(c is None for c in all_))
            for key, all_ in costs.items()}


def rows_of(rows):
    return {(r["window_start"], r["model"]): (r["calls"], r["cost_usd"], r["unpriced"])
            for r in rows}


def check(engine, wanted):
    engine.wait(lambda: len(engine.closed("spent")) == len(wanted), "the windows", 120)
    got = rows_of(engine.closed("spent"))
    assert got.keys() == wanted.keys()
    for key, (calls, cost, unpriced) in wanted.items():
        assert got[key][0] == calls and got[key][2] == unpriced, key
        assert (got[key][1] is None) == (cost is None), key
        # Both add exactly and round once.
        assert cost is None or got[key][1] == pytest.approx(cost, rel=1e-15), key


def made_up_prices(source):
    prices = {}
    for i in range(12):
        rows = [[None, source.randrange(1, 500) / 100, source.randrange(1, 2000) / 100]]
        if i % 3 == 0:
            rows = []
        for month in sorted(source.sample(range(1, 13), source.randrange(0 if rows else 1, 4))):
            rows.append([f"2025-{month:02d}-01", source.randrange(1, 500) / 100,
                         source.randrange(1, 2000) / 100])
        prices[f"model-{i}"] = rows
    return prices


def made_up_calls(source, count, days=360):
    moments = sorted(source.randrange(days * 86400) for _ in range(count))
    begin = datetime(2025, 1, 1, tzinfo=timezone.utc)
    return [{"timestamp": f"{begin + timedelta(seconds=m):%Y-%m-%dT%H:%M:%SZ}",
             "model": f"model-{source.randrange(14)}", "prompt_tokens": source.randrange(8000),
             "completion_tokens": source.randrange(2000)} for m in moments]


def test_costs_by_dated_prices(tmp_path):
    source = random.Random(4)
    prices, calls = made_up_prices(source), made_up_calls(source, 4000)
    write_prices(tmp_path / "prices.csv", prices)
    with Streamobs(CONFIG.format(file=tmp_path / "prices.csv")) as engine:
        for i in range(0, len(calls), 500):
            assert engine.post("calls", calls[i:i + 500]).status == 200
        check(engine, oracle(prices, calls))
        table, = engine.get("/api/v1/pipeline").json()["lookups"]
        assert table["rows"] == sum(map(len, prices.values())) and table["error"] == ""


def test_costs_of_a_real_trace_by_real_prices(tmp_path):
    trace = SHARED / "llm/azure_llm_inference_code.csv"
    if not trace.exists():
        pytest.skip(f"{trace} is not there; test_costs_by_dated_prices does the same")
    prices = {}
    for file in sorted((SHARED / "llm/prices").glob("*.json")):
        for model in json.loads(file.read_text())["models"]:
            prices[model["id"]] = [[row["from_date"], row["input"], row["output"]]
                                   for row in model["price_history"]]
    # The trace does not say which model it was; some are not in the list.
    names = sorted(prices) + ["unheard-of"]
    calls = []
    with open(trace, newline="") as file:
        for i, row in enumerate(csv.DictReader(file)):
            calls.append({"timestamp": row["TIMESTAMP"][:23].replace(" ", "T") + "Z",
                          "model": names[i * 7919 % len(names)],
                          "prompt_tokens": int(row["ContextTokens"]),
                          "completion_tokens": int(row["GeneratedTokens"])})
    write_prices(tmp_path / "prices.csv", prices)
    with Streamobs(CONFIG.format(file=tmp_path / "prices.csv")) as engine:
        for i in range(0, len(calls), 1000):
            assert engine.post("calls", calls[i:i + 1000]).status == 200
        check(engine, oracle(prices, calls))


def test_a_new_version_counts_from_where_it_came_also_after_a_crash(tmp_path):
    file = tmp_path / "prices.csv"
    old = {"a": [[None, 1.0, 2.0]]}
    new = {"a": [[None, 10.0, 20.0]], "b": [[None, 3.0, 3.0]]}

    def call(model, minute):
        return {"timestamp": f"2025-03-01T12:{minute:02d}:00Z", "model": model,
                "prompt_tokens": 1000000, "completion_tokens": 0}

    write_prices(file, old)
    with Streamobs(CONFIG.format(file=file)) as engine:
        engine.post("calls", [call("a", 1), call("b", 1)])
        write_prices(file, new)
        engine.wait(lambda: engine.metric("streamobs_lookup_loads_total", lookup="prices") == 2,
                    "the new version")
        engine.post("calls", [call("a", 2), call("b", 2)])
        file.write_text("model,since,input,output\na,,x,1\n")
        engine.wait(lambda: engine.metric("streamobs_lookup_load_failures_total") == 1,
                    "the bad version")
        table, = engine.get("/api/v1/pipeline").json()["lookups"]
        assert "line 2" in table["error"] and table["rows"] == 2
        engine.stop(signal.SIGKILL)
        # The file is still wrong: what the log has goes on.
        engine.start()
        assert "the version in the log is used" in engine.messages()
        engine.post("calls", [call("a", 3)])
        wanted = {("2025-03-01T12:01:00Z", "a"): (1, 1.0, 0),
                  ("2025-03-01T12:01:00Z", "b"): (1, None, 1),
                  ("2025-03-01T12:02:00Z", "a"): (1, 10.0, 0),
                  ("2025-03-01T12:02:00Z", "b"): (1, 3.0, 0),
                  ("2025-03-01T12:03:00Z", "a"): (1, 10.0, 0)}
        check(engine, wanted)
        # History is counted anew by the files of now.
        write_prices(file, {"a": [[None, 7.0, 7.0]]})
        (tmp_path / "obs.toml").write_text(CONFIG.format(file="prices.csv"))
        run("replay", "--from-log", engine.data_dir, "--config", tmp_path / "obs.toml",
            "--data-dir", tmp_path / "again")
        again = query(tmp_path / "again/streamobs.db", "SELECT * FROM spent")
        assert rows_of(again) == {key: (1, 7.0 if key[1] == "a" else None, int(key[1] == "b"))
                                  for key in wanted}


def test_validate_reads_the_file_and_says_what_is_wrong(tmp_path):
    config = tmp_path / "obs.toml"

    def said(text=CONFIG.format(file="prices.csv")):
        config.write_text(text)
        done = run("validate", "--explain", "--config", config, check=False)
        return done.returncode, done.stderr + done.stdout

    code, text = said()
    assert code == 78 and f"{tmp_path}/prices.csv: No such file or directory" in text
    (tmp_path / "prices.csv").write_text("model,since,input,output\na,,1,1\na,,2,2\n")
    code, text = said()
    assert code == 78 and "line 2 and line 3 are both for a" in text and "obs.toml:2:" in text
    (tmp_path / "prices.csv").write_text("model,since,input,output\na,,1,1\n")
    code, text = said()
    assert code == 0 and "found by model, the newest whose since is not after" in text
    assert "without [wal] keep not beyond what a restart needs" in " ".join(text.split())
    (tmp_path / "prices.csv").write_text("model;since;input;output\na;;1;1\n")
    code, text = said()
    assert code == 78 and "prices.csv: line 1: the header is one cell with ';' in it" in text
    (tmp_path / "prices.csv").write_text("model,since,input,output\na ,,1,1\n")
    code, text = said()
    assert code == 0 and 'model begins or ends with a blank in 1 of 1 rows ("a ")' in text
    (tmp_path / "prices.csv").write_text("model,since,input,output\na,,1,1\n")
    code, text = said(CONFIG.format(file="prices.csv").replace('valid_from = "since"\n', ""))
    assert code == 0 and "Nothing goes by its column since" in text
    code, text = said(CONFIG.format(file="prices.csv").replace("'input'", "'inptu'"))
    assert code == 78 and "the table prices has no column inptu" in text and "'input'" in text
    code, text = said(CONFIG.format(file="prices.csv").replace('key = ["model"]', 'keys = ["model"]'))
    assert code == 78 and 'it is called "key" here' in text


def test_an_engine_without_its_table_does_not_start(tmp_path):
    (tmp_path / "obs.toml").write_text(CONFIG.format(file="prices.csv"))
    done = run("--config", tmp_path / "obs.toml", "--data-dir", tmp_path / "data", "--listen",
               "127.0.0.1:0", check=False)
    assert done.returncode == 78 and "prices.csv: No such file" in done.stderr

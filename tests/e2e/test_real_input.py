"""Real input, exact: what comes out equals an independent computation over the same files.

Each test on shared data has a twin on generated data that never skips.
"""

import collections
import csv
import datetime
import decimal
import json
import math
import pathlib
import random
import re

import pytest

import harness
from harness import KeepAlive, SHARED, Streamobs, query, run

RETAIL = """
[stream.sales]
time = "InvoiceDate"
fields = { InvoiceNo = "string", StockCode = "string", Description = "string", Quantity = "int", UnitPrice = "decimal(2)", CustomerID = "string", Country = "string" }
%(extra)s

[window.daily]
from = "sales"
size = "1d"
by = { country = "Country" }
allowed_lateness = "0s"
[window.daily.select]
revenue = "sum(Quantity * UnitPrice)"
lines = "count(*)"
least = "min(Quantity * UnitPrice)"
most = "max(Quantity * UnitPrice)"
customers = "count(distinct CustomerID)"
median_price = "quantile(UnitPrice, 0.5)"
p95_price = "quantile(UnitPrice, 0.95)"
"""
COLUMNS = ["window_start", "country", "revenue", "lines", "least", "most", "customers",
           "median_price", "p95_price"]


def sales_by_day(rows):
    """The oracle: Python's csv and decimal, nothing of ours."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[(row["InvoiceDate"][:10] + "T00:00:00Z", row["Country"])].append(row)
    expected = {}
    for key, members in groups.items():
        amounts = [decimal.Decimal(m["UnitPrice"]) * int(m["Quantity"]) for m in members]
        prices = sorted(float(m["UnitPrice"]) for m in members)
        expected[key] = {
            "revenue": sum(amounts), "lines": len(members), "least": min(amounts),
            "most": max(amounts),
            "customers": len({m["CustomerID"] for m in members if m["CustomerID"]}),
            "median_price": prices[math.floor(0.5 * (len(prices) - 1))],
            "p95_price": prices[math.floor(0.95 * (len(prices) - 1))],
        }
    return expected


def check_sales(found, expected):
    assert len(found) == len(expected)
    for row in found:
        want = expected[(row["window_start"], row["country"])]
        for column in ("revenue", "least", "most"):
            got = decimal.Decimal(str(row[column])).quantize(decimal.Decimal("0.01"))
            assert got == want[column], (column, row)
        assert row["lines"] == want["lines"]
        assert row["customers"] == want["customers"]
        for column in ("median_price", "p95_price"):
            assert row[column] == pytest.approx(want[column], rel=0.01), (column, row)


def generated_sales(path):
    """A month of invented sales in the same form, quotes and returns included."""
    source = random.Random(11)
    countries = ["United Kingdom", "France", "EIRE", "Channel Islands", "Österreich"]
    moment = datetime.datetime(2011, 3, 1, 8)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate",
                         "UnitPrice", "CustomerID", "Country"])
        for i in range(20000):
            moment += datetime.timedelta(seconds=source.expovariate(1 / 120))
            writer.writerow([
                500000 + i // 20, f"{source.randrange(20000, 30000)}A",
                source.choice(["WHITE LANTERN", 'HEART, "SMALL"', "TWO\nLINES", ""]),
                source.choice([1, 2, 6, 12, -1, 600]), moment.strftime("%Y-%m-%d %H:%M:%S"),
                f"{source.randrange(1, 5000) / 100:.2f}",
                source.choice(["", f"{source.randrange(12000, 12400)}.0"]),
                source.choice(countries)])
    return [path]


def sales_files(kind, directory):
    if kind == "generated":
        return generated_sales(directory / "sales.csv")
    files = sorted((SHARED / "retail").glob("*.csv"))
    if not files:
        pytest.skip(f"no {SHARED}/retail here; its twin on generated data runs")
    return files


def read_sales(files):
    rows = []
    for path in files:
        with open(path, newline="") as file:
            rows += list(csv.DictReader(file))
    return rows


def replay(config, stream, files, directory, *arguments, lanes=None):
    """Replays files into a database of their own and returns its path and the summary."""
    if lanes:
        config = f"lanes = {lanes}\nthreads = {lanes}\n" + config
    path = directory / "obs.toml"
    path.write_text(config)
    data = directory / f"data-{lanes}-{random.randrange(10**9)}"
    done = run("replay", "--config", path, "--data-dir", data, "--stream", stream, *arguments,
               *files)
    return data / "streamobs.db", done


@pytest.mark.parametrize("kind", ["real", "generated"])
def test_sales_per_day_and_country_are_exact(kind, tmp_path):
    files = sales_files(kind, tmp_path)
    expected = sales_by_day(read_sales(files))
    contents = []
    for lanes in (1, 2, 4):
        database, _ = replay(RETAIL % {"extra": ""}, "sales", files, tmp_path, "--format", "csv",
                             lanes=lanes)
        rows = query(database, f"SELECT {', '.join(COLUMNS)} FROM daily")
        check_sales(rows, expected)
        # Byte for byte: the tables themselves, sketches included.
        contents.append(query(database, "SELECT * FROM window_daily ORDER BY window_start, _key"))
    assert contents[0] == contents[1] == contents[2]


@pytest.mark.parametrize("kind", ["real", "generated"])
@pytest.mark.parametrize("cut", [1, 100, 10000])
def test_sales_over_http_are_the_same_however_they_are_cut(kind, cut, tmp_path):
    files = sales_files(kind, tmp_path)
    rows = read_sales(files)
    if cut == 1 and kind == "real":
        rows = rows[:20000]
    expected = sales_by_day(rows)
    numbers = ("Quantity", "UnitPrice")
    lines = []
    for row in rows:
        text = json.dumps({k: v or None for k, v in row.items() if k not in numbers})
        lines.append(f'{text[:-1]}, "Quantity": {row["Quantity"]}, "UnitPrice": {row["UnitPrice"]}}}'
                     .encode() + b"\n")
    bodies = [b"".join(lines[i:i + cut]) for i in range(0, len(lines), cut)]
    with Streamobs(RETAIL % {"extra": 'idle_timeout = "2s"'}) as engine:
        connection = KeepAlive(engine.url)
        replies = connection.post_all("sales", bodies, window=1 if cut > 1000 else 64)
        connection.close()
        assert {status for status, _ in replies} == {200}
        assert sum(json.loads(body)["accepted"] for _, body in replies) == len(rows)
        engine.wait(lambda: len(engine.closed("daily")) == len(expected), "all days to close")
        check_sales(engine.closed("daily"), expected)
        with engine.database() as database:
            engine.wait(lambda: database.execute("SELECT count(*) FROM window_daily").fetchone()[0]
                        == len(expected), "the last of them to be stored")
            stored = [tuple(row) for row in database.execute(
                "SELECT * FROM window_daily ORDER BY window_start, _key")]
    # The same rows as a replay of the same events from a file, by any number of lanes.
    path = tmp_path / "sales.ndjson"
    path.write_bytes(b"".join(lines))
    database, _ = replay(RETAIL % {"extra": ""}, "sales", [path], tmp_path, lanes=2)
    replayed = query(database, "SELECT * FROM window_daily ORDER BY window_start, _key")
    assert stored == [tuple(row.values()) for row in replayed]


LLM = """
[stream.calls]
time = "TIMESTAMP"
fields = { ContextTokens = "int", GeneratedTokens = "int" }
[window.tokens]
size = "1m"
[window.tokens.select]
calls = "count(*)"
prompt = "sum(ContextTokens)"
generated = "sum(GeneratedTokens)"
total = "sum(ContextTokens + GeneratedTokens)"
p99 = "quantile(GeneratedTokens, 0.99)"
"""


def llm_trace(kind, directory):
    if kind == "real":
        path = SHARED / "llm/azure_llm_inference_code.csv"
        if not path.exists():
            pytest.skip(f"no {path} here; its twin on generated data runs")
        return path
    source = random.Random(5)
    path = directory / "trace.csv"
    moment = datetime.datetime(2023, 11, 16, 18, 17, 3)
    with open(path, "w") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
        for _ in range(9000):
            moment += datetime.timedelta(seconds=source.expovariate(2.4))
            file.write(f"{moment.strftime('%Y-%m-%d %H:%M:%S.%f')}0,"
                       f"{source.randrange(1, 8000)},{source.randrange(1, 900)}\n")
    return path


@pytest.mark.parametrize("kind", ["real", "generated"])
def test_llm_tokens_per_minute_are_exact(kind, tmp_path):
    path = llm_trace(kind, tmp_path)
    minutes = collections.defaultdict(list)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            minutes[row["TIMESTAMP"][:16].replace(" ", "T") + ":00Z"].append(
                (int(row["ContextTokens"]), int(row["GeneratedTokens"])))
    database, _ = replay(LLM, "calls", [path], tmp_path, "--format", "csv")
    rows = query(database, "SELECT * FROM tokens")
    assert len(rows) == len(minutes)
    for row in rows:
        calls = minutes[row["window_start"]]
        assert row["calls"] == len(calls)
        assert row["prompt"] == sum(c for c, _ in calls)
        assert row["generated"] == sum(g for _, g in calls)
        assert row["total"] == sum(c + g for c, g in calls)
        exact = sorted(g for _, g in calls)[math.floor(0.99 * (len(calls) - 1))]
        assert row["p99"] == pytest.approx(exact, rel=0.01)


WEB = """
[stream.web]
time = "time_local"
fields = { status = "int", method = "string", path = "string" }
[window.hourly]
size = "1h"
allowed_lateness = "2h"
[window.hourly.select]
requests = "count(*)"
client_errors = "count(*) filter (where status between 400 and 499)"
server_errors = "count(*) filter (where status >= 500)"
"""


def access_log(kind, directory):
    if kind == "real":
        path = SHARED / "weblogs/apache_logs.txt"
        if not path.exists():
            pytest.skip(f"no {path} here; its twin on generated data runs")
        return path
    source = random.Random(9)
    path = directory / "access.log"
    moment = datetime.datetime(2015, 5, 17, 10, 5)
    with open(path, "w") as file:
        for _ in range(10000):
            moment += datetime.timedelta(seconds=source.expovariate(1 / 30))
            shown = moment - datetime.timedelta(seconds=source.randrange(60))
            status = source.choices([200, 304, 404, 403, 500, 503], [80, 8, 6, 2, 3, 1])[0]
            file.write(f'10.0.0.{source.randrange(255)} - - [{shown.strftime("%d/%b/%Y:%H:%M:%S")} '
                       f'+0000] "GET /a?b=\\"c\\" HTTP/1.1" {status} '
                       f'{source.choice(["-", "512"])} "-" "Mozilla/5.0 (x; y)"\n')
    return path


@pytest.mark.parametrize("kind", ["real", "generated"])
def test_requests_and_errors_per_hour_are_exact(kind, tmp_path):
    path = access_log(kind, tmp_path)
    hours = collections.defaultdict(list)
    lines = 0
    for line in path.read_text(errors="replace").splitlines():
        lines += 1
        moment = re.search(r"\[([^]]+)\]", line).group(1)
        start = datetime.datetime.strptime(moment[:14], "%d/%b/%Y:%H")
        # The status follows the request, which may hold escaped quotes.
        status = int(re.search(r'\] "(?:[^"\\]|\\.)*" (\d{3}) ', line).group(1))
        hours[start.strftime("%Y-%m-%dT%H:00:00Z")].append(status)
    assert lines == 10000
    database, _ = replay(WEB, "web", [path], tmp_path, "--format", "access_log")
    rows = query(database, "SELECT * FROM hourly")
    assert {r["window_start"]: (r["requests"], r["client_errors"], r["server_errors"])
            for r in rows} == {
        hour: (len(s), sum(400 <= x < 500 for x in s), sum(x >= 500 for x in s))
        for hour, s in hours.items()}

"""Views that unite windows of several sizes, over the running engine."""

import random
import sqlite3

import pytest

from harness import Streamobs, run

SELECT = """
count = "count(*)"
sum = "sum(value)"
p50 = "quantile(value, 0.5)"
"""
STREAM = """
[stream.metrics]
time = "t"
fields = { service = "string", value = "decimal(2)" }
"""


def window(name, size, select=SELECT, by='{ service_id = "service" }', more=""):
    return (f'[window.{name}]\nfrom = "metrics"\nsize = "{size}"\nby = {by}\nmax_keys = 3\n{more}\n'
            f"[window.{name}.select]{select}")


# The metrics of one of them stand in another order.
TURNED = "\n".join(reversed(SELECT.strip().split("\n"))) + "\n"
CONFIG = (STREAM + window("m1", "1m") + window("m5", "5m", "\n" + TURNED) + window("m15", "15m")
          + window("hops", "5m", more='hop = "1m"') + """
[view.metric_aggregates]
windows = ["m1", "m5", "m15", "hops"]

[endpoint."GET /v1/aggregates"]
window = "metric_aggregates"
required = { size = "window_size" }
optional = { service = "service_id", last = "windows" }
shape = "list"
""")
SIZES = {"m1": "1m", "m5": "5m", "m15": "15m", "hops": "5m/1m"}


def at(second):
    return f"2026-01-09T{12 + second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"


@pytest.fixture(scope="module")
def engine():
    with Streamobs(CONFIG) as engine:
        draw = random.Random(7)
        events = []
        for second in range(0, 3600, 3):
            service = draw.choice(["a", "b", "c", "d"])
            cents = draw.randrange(1, 10000)
            events.append({"t": at(second), "service": service,
                           "value": f"{cents // 100}.{cents % 100:02d}"})
        engine.post("metrics", events)
        engine.post("metrics", [{"t": at(3600), "service": "a", "value": "1.00"}])
        # The 15 minutes close last.
        engine.wait(lambda: engine.database().execute(
            "SELECT max(window_end) FROM m15").fetchone()[0] == at(3600), "the rows")
        yield engine


def united(engine, **parameters):
    """What the view ought to have, put together from what its windows answer."""
    rows = []
    for name, size in SIZES.items():
        rows += [{**row, "window_size": size} for row in engine.closed(name, **parameters)]
    return rows


def as_set(rows):
    return sorted(sorted(row.items(), key=lambda item: item[0]) for row in
                  [{k: str(v) for k, v in row.items()} for row in rows])


def test_the_api_has_the_rows_of_all_windows(engine):
    rows = [row for row in engine.windows("metric_aggregates") if row["closed"]]
    # 3 keys and the rest; 60, 12 and 4 tumbling windows, and as many hopping ones as have closed.
    assert {row["service_id"] for row in rows} == {"a", "b", "c", "d", "__overflow__"} - {
        s for s in "abcd" if not any(r["service_id"] == s for r in rows)}
    assert as_set(rows) == as_set(united(engine))
    starts = [row["window_start"] for row in rows]
    assert starts == sorted(starts, reverse=True)
    assert list(rows[0]) == ["window_start", "window_end", "closed", "revision", "service_id",
                             "window_size", "count", "sum", "p50"]
    # The events are all there, once in each of the tumbling sizes.
    for size in ("1m", "5m", "15m"):
        assert sum(r["count"] for r in rows if r["window_size"] == size) == 1200


def test_one_size_and_one_key(engine):
    rows = engine.windows("metric_aggregates", window_size="5m", service_id="a")
    own = engine.windows("m5", service_id="a")
    assert [{k: v for k, v in r.items() if k != "window_size"} for r in rows] == own and own
    assert all(row["window_size"] == "5m" for row in rows)
    assert len(engine.windows("metric_aggregates", limit=7)) == 7
    # The newest so many of each size.
    newest = engine.windows("metric_aggregates", windows=1, to=at(3300))
    assert {(r["window_size"], r["window_start"]) for r in newest} == {
        ("1m", at(3240)), ("5m", at(3000)), ("15m", at(2700)), ("5m/1m", at(3240))}


def test_it_is_merged_like_its_windows(engine):
    merged = engine.windows("metric_aggregates", step="1h", by="", to=at(3600), window_size="15m")
    assert [(r["window_size"], r["count"]) for r in merged] == [("15m", 1200)]
    reply = engine.get("/api/v1/windows/metric_aggregates", step="5m")
    assert reply.status == 400 and "windows of 15m do not fill it" in reply.json()["detail"]
    reply = engine.get("/api/v1/windows/metric_aggregates", window_size="2m")
    assert reply.status == 400 and "1m, 5m, 15m and 5m/1m" in reply.json()["detail"]


def test_an_endpoint_answers_with_it(engine):
    rows = engine.get("/v1/aggregates", size="15m", service="a", last=2).json()
    assert rows == engine.windows("metric_aggregates", window_size="15m", service_id="a", windows=2)
    assert engine.get("/v1/aggregates", service="a").status == 400


def test_it_is_listed_with_its_windows(engine):
    views = engine.get("/api/v1/windows").json()["views"]
    assert [v["view"] for v in views] == ["metric_aggregates"]
    assert {w["window"]: w["window_size"] for w in views[0]["windows"]} == SIZES
    paths = engine.get("/api/v1/openapi.json").json()["paths"]
    names = paths["/api/v1/windows/{name}"]["get"]["parameters"][0]["schema"]["enum"]
    assert "metric_aggregates" in names


def test_sqlite_has_it_as_a_view(engine):
    database = engine.database()
    cursor = database.execute("SELECT * FROM metric_aggregates")
    columns = [column[0] for column in cursor.description]
    assert columns == ["window_start", "window_end", "service_id", "window_size", "count", "sum",
                       "p50", "closed", "revision"]
    rows = [dict(zip(columns, row)) for row in cursor.fetchall()]

    def plain(row):
        return {**row, "closed": bool(row["closed"]), "sum": float(row["sum"]), "p50": float(row["p50"])}

    assert as_set(map(plain, rows)) == as_set(map(plain, united(engine)))
    assert database.execute("SELECT sum(count) FROM metric_aggregates WHERE window_size = '5m'"
                            ).fetchone()[0] == 1200


def test_a_view_follows_the_config(tmp_path):
    text = STREAM + window("m1", "1m") + window("m5", "5m")
    both = text + '[view.sizes]\nwindows = ["m1", "m5"]\n'

    def views(engine):
        return {row[0]: row[1] for row in engine.database().execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'view'")}

    with Streamobs(both) as engine:
        engine.post("metrics", [{"t": at(60 * i), "service": "a", "value": "1.00"} for i in range(20)])
        engine.wait(lambda: len(engine.closed("m5")) == 3, "the rows")
        assert "sizes" in views(engine)

        def restart(config):
            engine.stop()
            (engine.directory / "obs.toml").write_text(config)
            engine.start()

        # A metric more, a window less, and what somebody made himself stays.
        engine.stop()
        with sqlite3.connect(engine.data_dir / "streamobs.db") as own:
            own.execute("CREATE VIEW mine AS SELECT * FROM m1 UNION ALL SELECT * FROM m5")
        (engine.directory / "obs.toml").write_text(both.replace(
            'count = "count(*)"', 'count = "count(*)"\nmost = "max(value)"'))
        engine.start()
        columns = [c[0] for c in engine.database().execute("SELECT * FROM sizes").description]
        assert "most" in columns
        assert engine.database().execute("SELECT count(*) FROM sizes WHERE window_size = '5m'"
                                         ).fetchone()[0] == 3
        restart(text)
        assert "sizes" not in views(engine) and "mine" in views(engine)
        assert engine.get("/api/v1/windows/sizes").status == 404
        # What was a view is a window, and the other way round.
        restart(STREAM + window("sizes", "1m") + window("m5", "5m"))
        assert "m5" in views(engine) and "sizes" in views(engine)
        restart(STREAM + window("one", "1m") + window("m5", "5m")
                + '[view.sizes]\nwindows = ["one", "m5"]\n')
        sizes = engine.database().execute("SELECT DISTINCT window_size FROM sizes").fetchall()
        assert [row[0] for row in sizes] == ["5m"]


@pytest.mark.parametrize("other, words", [
    (window("m5", "5m", SELECT + 'p99 = "quantile(value, 0.99)"\n'),
     "m5 has a metric p99 and m1 has none"),
    (window("m5", "5m", by='["service"]'), "m1 has a key service_id and m5 has none"),
    (window("m5", "5m", SELECT.replace("sum(value)", "avg(value)")), "the metric sum is"),
    (window("m5", "5m", SELECT + 'window_size = "min(value)"\n'), "window_size"),
    (STREAM.replace("metrics", "others") + window("m5", "5m").replace('"metrics"', '"others"'),
     "m1 is over stream metrics and m5 over others"),
])
def test_windows_that_differ_are_not_united(tmp_path, other, words):
    config = tmp_path / "obs.toml"
    text = STREAM + window("m1", "1m") + other + '[view.sizes]\nwindows = ["m1", "m5"]\n'
    config.write_text(text)
    done = run("validate", "--config", config, check=False)
    line = text.count("\n")
    assert done.returncode == 78
    assert f"obs.toml:{line}:19: error: windows: " in done.stderr and words in done.stderr, done.stderr

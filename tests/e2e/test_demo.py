"""The first run: the demo shows something worth seeing, and loadgen's truth is what comes out."""

import collections
import json
import time

import pytest

from harness import ROOT, Streamobs, run


def test_the_shipped_config_shows_an_anomaly_and_its_incident_within_a_minute():
    with Streamobs((ROOT / "config/obs.toml").read_text()) as engine:
        engine.wait(lambda: engine.get("/api/v1/incidents").json()["rows"], "an incident", seconds=60)
        incident = engine.get("/api/v1/incidents").json()["rows"][0]
        assert incident["title"] and len(incident["explanation"]) > 40 and incident["evidence"]
        anomaly = engine.get("/api/v1/anomalies").json()["rows"][0]
        assert anomaly["anomaly_type"] in ("error_surge", "latency_spike")
        assert len({r["service"] for r in engine.windows("service_metrics", windows=5)}) == 3
        page = engine.get("/")
        assert page.status == 200 and b"<script" in page.body
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        columns = [c[1] for c in engine.database().execute("PRAGMA table_info(service_metrics)")]
        assert columns[:10] == ["window_start", "window_end", "service", "request_count", "error_count",
                                "error_rate", "avg_latency_ms", "p50_latency_ms", "p95_latency_ms",
                                "p99_latency_ms"]
        columns = [c[1] for c in engine.database().execute("PRAGMA table_info(anomalies)")]
        for name in ("detected_at", "window_start", "window_end", "service", "anomaly_type", "severity",
                     "metric_name", "metric_value", "baseline_value", "threshold_value", "description",
                     "resolved"):
            assert name in columns


def test_loadgen_says_the_same_twice(tmp_path):
    for name in ("a", "b"):
        run("loadgen", "services", "--rate", "0", "--events", "20000", "--seed", "9", "--start",
            "2026-01-09T12:00:00Z", "--file", tmp_path / f"{name}.ndjson", "-q")
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "b.ndjson").read_bytes()
    assert len((tmp_path / "a.ndjson").read_bytes().splitlines()) == 20000

#!/usr/bin/env python3
"""The binary as a whole process: start-up, idle memory, two lanes against one, live latency.

Floors are those of the project's issue. Figures are medians over several runs.
"""

import json
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import harness  # noqa: E402

CONFIG = """
[stream.requests]
time = "event_time"
fields = { service = "string", endpoint = "string", latency_ms = "float", status_code = "int" }
[window.service_metrics]
size = "1m"
by = ["service"]
allowed_lateness = "10s"
emit_every = "10ms"
[window.service_metrics.select]
request_count = "count(*)"
error_count = "count(*) filter (where status_code >= 500)"
p99_latency_ms = "quantile(latency_ms, 0.99)"
"""


def report(what, value, unit, floor, good):
    print(f"{what:<58} {value:>9.2f} {unit:<4} floor {floor} {'ok' if good else 'BELOW'}", flush=True)


def start_up():
    """From exec to the line that says it listens, on an empty data directory."""
    times = []
    for _ in range(7):
        with tempfile.TemporaryDirectory() as directory:
            config = pathlib.Path(directory) / "obs.toml"
            config.write_text(CONFIG)
            begin = time.perf_counter()
            process = subprocess.Popen(
                [harness.BINARY, "--config", config, "--data-dir", directory + "/data", "--listen",
                 "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
            while "listening on" not in process.stderr.readline():
                pass
            times.append((time.perf_counter() - begin) * 1000)
            process.terminate()
            process.wait()
    value = statistics.median(times)
    report("start to serving, empty data directory", value, "ms", 200, value <= 200)


def idle_memory():
    """Resident memory of the demo preset after ten seconds."""
    with harness.Streamobs((ROOT / "config/obs.toml").read_text()) as engine:
        time.sleep(10)
        status = pathlib.Path(f"/proc/{engine.process.pid}/status").read_text()
        kib = int(next(l for l in status.splitlines() if l.startswith("VmRSS")).split()[1])
    report("idle memory with the demo preset", kib / 1024, "MB", 48, kib / 1024 <= 48)


def lanes():
    """Wall time of a replay by two lanes on two cores against one on one (pinned: reading the file
    would otherwise take the second core)."""
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        events = directory / "events.ndjson"
        harness.run("loadgen", "services", "--rate", "0", "--events", "4000000", "--start",
                    "2026-01-09T12:00:00Z", "--event-rate", "10000", "--keys", "50", "--file", events, "-q")
        ratios = []
        for _ in range(5):
            seconds = {}
            for count in (1, 2):
                config = directory / f"obs{count}.toml"
                config.write_text(f"threads = {count}\nlanes = {count}\n" + CONFIG)
                data = directory / f"data{count}"
                begin = time.perf_counter()
                cores = "0" if count == 1 else "0,1"
                subprocess.run(["taskset", "-c", cores, harness.BINARY, "replay", "--config", config,
                                "--data-dir", data, events], check=True, capture_output=True)
                seconds[count] = time.perf_counter() - begin
                subprocess.run(["rm", "-rf", data])
            ratios.append(seconds[1] / seconds[2])
        value = statistics.median(ratios)
        report("two lanes on two cores against one, wall time", value, "×", 1.6, value >= 1.6)
        print(f"{'':<58} one lane: {4 / seconds[1]:.2f} M events/s, two: {4 / seconds[2]:.2f}")


def live_latency():
    """Event posted → seen by a live reader, p99, beside a load of 100,000 events/s."""
    with harness.Streamobs(CONFIG) as engine:
        load = subprocess.Popen(
            [harness.BINARY, "loadgen", "services", "--target", engine.url, "--rate", "100000",
             "--duration", "20s", "--batch", "1000", "-q"])
        time.sleep(3)
        host, port = engine.url.removeprefix("http://").split(":")
        reader = socket.create_connection((host, int(port)), timeout=10)
        reader.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        poster = harness.KeepAlive(engine.url)
        times = []
        for i in range(200):
            name = f"probe-{i}"
            event = {"event_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                     "service": name, "endpoint": "/", "latency_ms": 1, "status_code": 200}
            begin = time.perf_counter()
            poster.post_all("requests", [harness.ndjson([event])])
            seen = b""
            while f'"{name}"'.encode() not in seen:
                seen = seen[-200:] + reader.recv(1 << 20)
            times.append((time.perf_counter() - begin) * 1000)
            time.sleep(0.02)
        load.terminate()
        load.wait()
    times.sort()
    value = times[int(0.99 * len(times))]
    report("event in the window → seen by a live reader, p99", value, "ms", 50, value <= 50)
    print(f"{'':<58} median {statistics.median(times):.1f} ms")


if __name__ == "__main__":
    start_up()
    idle_memory()
    lanes()
    live_latency()

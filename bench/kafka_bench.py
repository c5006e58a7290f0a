#!/usr/bin/env python3
"""A topic into windows against a bare consumer: bench_kafka with a real broker of its own.

    bench/kafka_bench.py [rounds] [events]

The broker is that of the tests (its jars come from Maven Central, once). How it
is measured stands at the head of kafka_bench.cpp.
"""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from kafka_broker import Broker  # noqa: E402

with Broker() as broker:
    broker.create("requests", partitions=4)
    sys.exit(subprocess.run([ROOT / "build/release/bench/bench_kafka", broker.address, "requests",
                             *sys.argv[1:]]).returncode)

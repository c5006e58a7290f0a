#!/usr/bin/env bash
# Runs every benchmark and keeps what it prints in bench/results/. Quiet machine, please: some 15
# minutes of it. Data goes below the repository, whose disk is what is measured.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=build/release/bench
mkdir -p bench/results
for bench in engine decode window http log codec window_state templates durability acknowledge; do
  [ -x "$bin/bench_$bench" ] || continue
  echo "== $bench"
  "$bin/bench_$bench" | tee "bench/results/$bench.txt"
done
echo "== kafka"
python3 bench/kafka_bench.py | tee bench/results/kafka.txt
echo "== process"
python3 bench/process_bench.py | tee bench/results/process.txt

#!/usr/bin/env bash
# Runs every fuzz target for SECONDS each over its kept seeds; stops at the first finding.
#   tests/fuzz/run.sh [SECONDS] [TARGET…]
# New inputs go to build/fuzz/corpus; a finding is left there as crash-… with its reproducer.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-30}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(decode expr config http)
found=0
for target in "${targets[@]}"; do
  program=build/fuzz/tests/fuzz/fuzz_$target
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus" "tests/fuzz/corpus/$target"
  echo "== fuzz $target: $seconds s"
  if ! "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
      -print_final_stats=1 -artifact_prefix="$corpus/" \
      "$corpus" "tests/fuzz/corpus/$target" >"build/fuzz/$target.log" 2>&1; then
    tail -60 "build/fuzz/$target.log"
    echo "fuzz $target: a finding; its input is in $corpus" >&2
    found=1
  else
    grep -E 'stat::number_of_executed_units|cov:' "build/fuzz/$target.log" | tail -2
  fi
done
exit $found

#!/usr/bin/env bash
# Runs every fuzz target for SECONDS each over its kept seeds; stops at the first finding.
#   tests/fuzz/run.sh [SECONDS] [TARGET…]
# New inputs go to BUILD/corpus; a finding is left there as crash-… with its reproducer. BUILD is
# FUZZ_BUILD (build/fuzz). BUILD/TARGET.log has libFuzzer's output, each line with its second.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${FUZZ_BUILD:-build/fuzz}
seconds=${1:-30}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(decode expr config http wal)

stamped() { while IFS= read -r line; do printf '%d %s\n' "$((SECONDS - begin))" "$line"; done; }

# "cov a b c d": covered edges after each quarter of the run.
coverage() {
  awk -v seconds="$seconds" '
    { for (i = 2; i < NF; i++) if ($i == "cov:") {
        for (q = 4; q >= 1 && $1 <= seconds * q / 4; q--) cov[q] = $(i + 1) } }
    END { print "cov after each quarter:", cov[1], cov[2], cov[3], cov[4] }' "$1"
}

found=0
for target in "${targets[@]}"; do
  corpus=$build/corpus/$target
  log=$build/$target.log
  mkdir -p "$corpus" "tests/fuzz/corpus/$target"
  echo "== fuzz $target: $seconds s"
  begin=$SECONDS
  if ! "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 \
      -rss_limit_mb=2048 -max_len=65536 -dict="tests/fuzz/dict/$target.dict" \
      -print_final_stats=1 -artifact_prefix="$corpus/" \
      "$corpus" "tests/fuzz/corpus/$target" 2>&1 | stamped >"$log"; then
    tail -60 "$log"
    echo "fuzz $target: a finding; its input is in $corpus" >&2
    found=1
  else
    grep -oE 'stat::number_of_executed_units:.*' "$log"
    coverage "$log"
    echo "inputs kept: $(find "$corpus" -type f | wc -l)"
  fi
done
exit $found

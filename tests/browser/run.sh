#!/usr/bin/env bash
# The dashboard in headless Chromium, against the real binary: with the demo source, and with each preset.
#   SCREENSHOT_DIR=build/screenshots tests/browser/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=$(realpath "${STREAMOBS:-build/release/streamobs}")
work=$(mktemp -d)
# With a sink whose brokers are not there: nothing listens on port 1.
{ cat config/obs.toml; printf '[sink.away]\ntype = "kafka"\nbrokers = "127.0.0.1:1"\nfrom = "service_metrics"\ntopic = "results"\n'; } >"$work/obs.toml"
"$binary" --config "$work/obs.toml" --data-dir "$work/data" --listen 127.0.0.1:0 2>"$work/log" &
engine=$!
trap 'kill "$engine" 2>/dev/null || true; wait "$engine" 2>/dev/null || true; rm -rf "$work"' EXIT

url=
for _ in $(seq 300); do
  url=$(sed -n 's/^listening on \(http:.*\)$/\1/p' "$work/log")
  [ -n "$url" ] && break
  kill -0 "$engine" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done
[ -n "$url" ] || { echo "streamobs did not start" >&2; cat "$work/log" >&2; exit 1; }

cd tests/browser
[ -d node_modules/playwright-core ] || npm ci --no-audit --no-fund --loglevel=error
BASE_URL="$url/" STREAMOBS="$binary" SCREENSHOT_DIR="${SCREENSHOT_DIR:-$PWD/../../build/screenshots}" npm test

#!/usr/bin/env bash
# All tests of the running binary. Those against a Kafka broker go beside the others: both wait more
# than they work. What they print comes behind.
set -uo pipefail
cd "$(dirname "$0")/../.."
printed=$(mktemp)
python3 -m pytest -q tests/e2e/test_kafka*.py >"$printed" 2>&1 &
beside=$!
trap 'kill "$beside" 2>/dev/null; rm -f "$printed"' EXIT
python3 -m pytest -q tests/house tests/e2e --ignore-glob='*/test_kafka*.py'
others=$?
wait "$beside"
kafka=$?
cat "$printed"
exit $((others != 0 ? others : kafka))

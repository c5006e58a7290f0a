#!/bin/sh
# Installs what is missing: `install.sh build` for building and running, `install.sh test` for the
# tests as well. Debian 12's packages, as root; npm packages come with the dashboard's own
# package-lock.json. Does nothing, quickly, when all is there.
set -eu

build="g++ cmake ninja-build make pkg-config ccache mold git ca-certificates
  libboost1.81-dev librdkafka-dev libsqlite3-dev libsimdjson-dev libfmt-dev libcli11-dev
  libtomlplusplus-dev libssl-dev zlib1g-dev libxxhash-dev liblz4-dev libzstd-dev catch2 tzdata"
test="clang-19 libclang-rt-19-dev chromium openssl sqlite3 python3 python3-pytest curl
  openjdk-17-jre-headless maven kcat"

wanted=$build
[ "${1:-build}" = test ] && wanted="$build $test"
# Node.js may come from elsewhere than Debian; any node that has npm beside it will do.
if ! command -v npm >/dev/null 2>&1; then wanted="$wanted nodejs npm"; fi

missing=
for package in $wanted; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

echo "installing:$missing"
if [ "$(id -u)" != 0 ]; then
  echo "this needs root. Run: sudo apt-get install --no-install-recommends$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# libboost-dev (1.74) and libboost1.81-dev exclude each other; apt replaces the one by the other.
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing

#!/usr/bin/env bash
# Passes the tests. Installs what they need where that is possible, and says what it skips.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v cc >/dev/null; then
  echo "test.sh: no C compiler; installing gcc"
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq gcc libc6-dev
  else
    echo "test.sh: cannot: install a C compiler (Debian: apt-get install gcc libc6-dev)" >&2
    exit 1
  fi
fi

if [ -f editors/test/package.json ]; then
  if ! command -v npm >/dev/null; then
    echo "test.sh: no npm: the editors' grammars are not tested"
  elif [ ! -d editors/test/node_modules ] && ! npm ci --silent --no-audit --no-fund --prefix editors/test; then
    echo "test.sh: npm ci failed: the editors' grammars are not tested"
  fi
fi

if ! command -v pebble >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "test.sh: no ACME server; installing pebble"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq pebble; } ||
      echo "test.sh: cannot install pebble: certificates by ACME are not tested"
  else
    echo "test.sh: no pebble (Debian: apt-get install pebble): certificates by ACME are not tested"
  fi
fi

cargo test --locked

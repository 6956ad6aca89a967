#!/usr/bin/env bash
# Installs the peers, builds gw, measures everything; results/ gets the JSON, standard output the tables.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo build --release --locked
exec python3 bench.py "$@"

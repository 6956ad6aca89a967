#!/usr/bin/env bash
# Runs the 146 cases of h2spec against `gw serve`: HTTP/2 by prior knowledge, and over TLS.
#
#   tests/conformance/h2spec.sh SOURCE [GW]
#
# SOURCE is a checkout of https://github.com/summerwind/h2spec, GW a binary (default: target/debug/gw, built if absent).
# It is built outside of SOURCE in GOPATH mode from Debian's packages, without any download:
#   apt-get install golang-go golang-golang-x-net-dev golang-github-fatih-color-dev golang-github-spf13-cobra-dev
set -euo pipefail
source=${1:?usage: $0 SOURCE [GW]}
root=$(cd "$(dirname "$0")/../.." && pwd)
gw=${2:-$root/target/debug/gw}
[ -x "$gw" ] || (cd "$root" && cargo build --locked)
command -v go >/dev/null || { echo "h2spec.sh: skipped: Go is not installed (apt-get install golang-go)" >&2; exit 3; }

work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT
mkdir -p "$work/go/src/github.com/summerwind"
cp -r "$source" "$work/go/src/github.com/summerwind/h2spec"
(
  cd "$work"
  export GOPATH="$work/go:/usr/share/gocode" GO111MODULE=off GOFLAGS="" GOCACHE="$work/cache"
  go build -o "$work/h2spec" github.com/summerwind/h2spec/cmd/h2spec
)

# against LISTEN PORT ARGUMENTS…
against() {
  local listen=$1 port=$2
  shift 2
  # `echo` answers when the whole request has come: some cases look at what comes of a request that is not ended.
  printf '%s\nupstream back { echo }\nroute ANY /{rest...} -> back\n' "$listen" >"$work/gateway.gw"
  (cd "$work" && exec "$gw" serve gateway.gw --workers 1 >"$work/gw.log" 2>&1) &
  pids+=($!)
  for _ in $(seq 100); do
    grep -q 'ready' "$work/gw.log" && break
    sleep 0.05
  done
  "$work/h2spec" -h 127.0.0.1 -p "$port" -o 3 "$@" >"$work/out" 2>&1 || true
  sed -n '/^Failures:/,$p' "$work/out"
  tail -n 1 "$work/out"
  grep -q ' 0 failed' "$work/out"
}

failed=0
echo "== h2c"
against "listen http 127.0.0.1:18480 { protocols h2c; timeout header 3s, idle 5s }" 18480 || failed=1

echo "== h2 (TLS)"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
tls="listen https 127.0.0.1:18481 { certificate \"cert.pem\" key \"key.pem\"; timeout header 3s, idle 5s }"
against "$tls" 18481 -t -k || failed=1
exit $failed

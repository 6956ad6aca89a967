#!/usr/bin/env python3
"""Latency that a proxy adds at a fixed rate: h2load sends so many requests each second (HTTP/1.1, small GET), straight to the
backend and through each proxy (one worker on core 0; backend and h2load on core 1). Rounds are interleaved; the tables show
medians of the rounds and (least..most). `added` is the median of what a round had more than its direct one.

A connection asks for the next answer when it has the one before, so a proxy that stalls is asked less: where `req/s` is below
the rate the percentiles flatter."""
import argparse, os, statistics, sys, time
import bench

CONNS = 32
SHARES = ("p50", "p99", "p999")


def one(way, a):
    bench.free_wait(bench.UP); bench.free_wait(bench.PORT)
    running = [bench.start(f"{bench.ROOT}/backend/backend {bench.UP}", 1)]
    port = bench.UP
    try:
        if way != "direct":
            cmd, env, d = bench.prepare(way, "plain")
            running.append(bench.start(cmd, 0, env, f"{d}/out.log"))
            port = bench.PORT
        bench.await_ready(running[-1], port)
        run = lambda secs: bench.h2load(f"http://127.0.0.1:{port}/hello", secs, 1, ("--h1", f"-c{CONNS}", f"--rps={a.rate // CONNS}"))
        run(a.warm)
        return run(a.secs)
    finally:
        for p in reversed(running):
            bench.stop(p)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-p", "--proxies", default="nginx122,haproxy,gw", help="comma list of: " + ", ".join(bench.PROXIES))
    ap.add_argument("--rate", type=int, default=32_000, help="requests each second (default 32000, about half of what the proxies can do)")
    ap.add_argument("-r", "--rounds", type=int, default=5)
    ap.add_argument("--secs", type=int, default=5)
    ap.add_argument("--warm", type=int, default=1)
    ap.add_argument("--maxwait", type=float, default=20, help="before each run wait up to so many seconds for the other processes to be quiet")
    a = ap.parse_args()
    bench.begin({1})
    ways = ["direct"] + a.proxies.split(",")
    res = {w: [] for w in ways}
    for rnd in range(a.rounds):
        for w in ways:
            bench.wait_quiet(0.06, a.maxwait)
            r = one(w, a)
            res[w].append(r)
            print(f"[{rnd}] {w:9s} " + " ".join(f"{k}={r[k]}" for k in ("reqs", *SHARES)), file=sys.stderr, flush=True)

    def cell(values):
        return f"{statistics.median(values):.0f} ({min(values):.0f}..{max(values):.0f})"

    print(f"\n### {a.rate} requests each second\n\n| way | req/s | p50 µs | p99 µs | p99.9 µs | added p50 | added p99 | added p99.9 |" + "\n" + "|---" * 8 + "|")
    for w in ways:
        rs = res[w]
        cells = [cell([r["reqs"] / a.secs for r in rs])] + [cell([r[k] for r in rs]) for k in SHARES]
        more = ["–"] * 3 if w == "direct" else [cell([r[k] - d[k] for r, d in zip(rs, res["direct"])]) for k in SHARES]
        print(f"| {w} | " + " | ".join(cells + more) + " |")


if __name__ == "__main__":
    main()

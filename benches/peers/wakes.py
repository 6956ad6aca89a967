#!/usr/bin/env python3
"""Who wakes whom: how often backend, proxy and load tool go to sleep (`slept`) or are pushed off their core (`pushed`), and how
many rescheduling interrupts go between the cores, in 1,000 requests. Proxy on core 0; backend and load tool on core 1. Two
proxies with the same system calls may differ by a tenth in system time because one wakes its clients for every answer.

usage: wakes.py [-s plain|tls|h2] [-r ROUNDS] NAME...   (names of bench.PROXIES)"""
import argparse, os, re, threading, time
import bench


def switches(pid):
    slept = pushed = 0
    for p in bench.tree(pid):
        for t in os.listdir(f"/proc/{p}/task"):
            text = open(f"/proc/{p}/task/{t}/status").read()
            slept += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])
            pushed += int(re.search(r"^nonvoluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])
    return slept, pushed


def interrupts():
    line = next(l for l in open("/proc/interrupts") if l.strip().startswith("RES"))
    return sum(int(f) for f in line.split()[1:] if f.isdigit())


def load_tool():
    """The load tool that runs now."""
    for d in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open(f"/proc/{d}/comm").read().strip() in ("wrk", "h2load"):
                return int(d)
        except OSError:
            pass
    raise RuntimeError("no load tool runs")


def one(name, scn, secs):
    cmd, env, d = bench.prepare(name, scn)
    bench.free_wait(bench.UP); bench.free_wait(bench.PORT)
    be = bench.start(f"{bench.ROOT}/backend/backend {bench.UP}", 1)
    px = bench.start(cmd, 0, env, f"{d}/out.log")
    try:
        bench.await_ready(px, bench.PORT, "/hello", scn != "plain", "")
        url = f"http{'' if scn == 'plain' else 's'}://127.0.0.1:{bench.PORT}/hello"
        got = {}
        run = (lambda: bench.h2load(url, secs + 2, 1)) if scn == "h2" else (lambda: bench.wrk(url, secs + 2, 1))
        tool = threading.Thread(target=lambda: got.update(run()))
        tool.start()
        time.sleep(1)
        pids = [be.pid, px.pid, load_tool()]
        look = lambda: (time.time(), interrupts(), [switches(p) for p in pids], [bench.cpu(p) for p in pids])
        a = look()
        time.sleep(secs)
        b = look()
        tool.join()
        n = got["reqs"] / got["us"] * 1e6 * (b[0] - a[0])
        cells = []
        for who, s0, s1, c0, c1 in zip(("backend", "proxy", "client"), a[2], b[2], a[3], b[3]):
            slept, pushed = ((y - x) / n * 1e3 for x, y in zip(s0, s1))
            user, system = ((y - x) / n * 1e6 for x, y in zip(c0, c1))
            cells.append(f"{who} slept {slept:5.1f} pushed {pushed:5.1f} cpu {user:.2f}+{system:.2f} us")
        print(f"{name:10s} {n / (b[0] - a[0]):7.0f} req/s, interrupts {(b[1] - a[1]) / n * 1e3:5.1f} | " + " | ".join(cells), flush=True)
    finally:
        bench.stop(px); bench.stop(be)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-s", "--scenario", default="plain", choices=("plain", "tls", "h2"))
    ap.add_argument("-r", "--rounds", type=int, default=1)
    ap.add_argument("--secs", type=int, default=3)
    ap.add_argument("names", nargs="+", metavar="NAME", choices=list(bench.PROXIES), help=", ".join(bench.PROXIES))
    a = ap.parse_args()
    for _ in range(a.rounds):
        for name in a.names:
            one(name, a.scenario, a.secs)

#!/usr/bin/env python3
"""User-space instructions per request (valgrind --tool=callgrind), plain small-GET scenario. Robust against a noisy machine.
usage: ir.py NAME...   (names of bench.PROXIES); writes logs/cg.NAME (callgrind_annotate it)."""
import glob, os, re, subprocess, sys, time
import bench
bench.PORT, bench.UP = 28080, 29000
for name in sys.argv[1:]:
    cmd, env, d = bench.prepare(name, "plain")
    if os.path.exists(f"{d}/nginx.conf"):
        t = open(f"{d}/nginx.conf").read().replace("daemon off;", "daemon off; master_process off;")
        open(f"{d}/nginx.conf", "w").write(t)
    os.makedirs(f"{bench.ROOT}/logs", exist_ok=True)
    for f in glob.glob(f"{bench.ROOT}/logs/cg.{name}*"):
        os.unlink(f)
    be = bench.start(f"{bench.ROOT}/backend/backend {bench.UP}")
    px = bench.start(f"valgrind --tool=callgrind --callgrind-out-file={bench.ROOT}/logs/cg.{name} " + cmd, None, env, f"{d}/out.log")
    try:
        for _ in range(100):
            try:
                if bench.fetch(bench.PORT, "/hello")[0] == 200: break
            except Exception: pass
            time.sleep(0.2)
        url = f"http://127.0.0.1:{bench.PORT}/hello"
        # one wrk run for warm-up and one for measurement; bench.wrk uses its own lua file name, fine
        w = lambda s: int(re.search(r"(\d+) requests in", subprocess.run(["wrk", "-t1", "-c64", f"-d{s}s", url], capture_output=True, text=True).stdout)[1])
        w(2)
        subprocess.run(["callgrind_control", "-z", str(px.pid)], capture_output=True)
        n = w(4)
        subprocess.run(["callgrind_control", "-d", str(px.pid)], capture_output=True)
        time.sleep(0.5)
        tot = 0
        for f in glob.glob(f"{bench.ROOT}/logs/cg.{name}*.1"):
            m = re.findall(r"^(?:totals|summary):\s+(\d+)", open(f).read(), re.M)
            tot += int(m[-1]) if m else 0
        print(f"{name:22s} reqs={n} Ir/req={tot / n:.0f}", flush=True)
    finally:
        bench.stop(px); bench.stop(be)

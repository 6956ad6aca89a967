#!/usr/bin/env python3
"""What clients see of faults: gw (2 workers, three servers behind it) under load, one fault, one row of a Markdown table.

The load is this program's own, since wrk counts a refused connection, a reset and half an answer all as `read`: 64 clients, each with
one request at a time; every 50th request says `Connection: close`, so that there are always new connections. `failed` is

  STATUS …   an answer other than 200, with the words of its Proxy-Status
  half       the connection ended within the answer
  unheard    a new connection ended before the first byte of an answer
  late       no answer within 10 s
  refused    nobody listened (not counted where gw was told to end)

`again` is no failure: a connection that had served ended before the first byte of the next answer, as HTTP allows at any time, and
the client asks again on another (RFC 9112, 9.3.1). `longest` is the longest wait for an answer. `retried` counts the requests that
gw retried (not those that it repeated since a kept connection to a server was stale), and `why` is from its log."""
import argparse, asyncio, collections, json, os, re, select, signal, socket, ssl, struct, subprocess, sys, threading, time
import bench

D = f"{bench.ROOT}/conf/faults"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100
CLIENTS, PATIENCE = 64, 10


# --- the third server, where it is to misbehave -----------------------------------------------------------------------------

class Bad(asyncio.Protocol):
    """Answers every N-th request as `kind` says."""
    kind, every, count = "", 1, 0

    def connection_made(self, transport):
        self.transport = transport
        # What aborts, resets.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def data_received(self, data):
        Bad.count += 1
        write = self.transport.write
        if Bad.count % Bad.every:
            write(ANSWER)
        elif Bad.kind == "503":
            write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        elif Bad.kind == "garbage":
            write(b"\x16\x03\x01 what is this\r\n\r\n")
        elif Bad.kind == "half":
            write(ANSWER[:-50])
            self.transport.abort()
        else:
            self.transport.abort()


async def bad(port, kind, every):
    Bad.kind, Bad.every = kind, int(every)
    server = await asyncio.get_running_loop().create_server(Bad, "127.0.0.1", int(port), backlog=1024)
    await server.serve_forever()


# --- the load ---------------------------------------------------------------------------------------------------------------

class Client:
    socket = None


class Load(threading.Thread):
    def __init__(self, tls):
        super().__init__()
        self.tls = ssl.create_default_context() if tls else None
        if tls:
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.answered, self.again, self.longest, self.failed = 0, 0, 0, collections.Counter()
        self.certificates, self.resting, self.ending = set(), [], False
        self.epoll, self.clients = select.epoll(), {}
        self.broken = None

    def run(self):
        try:
            self.ask_on()
        except Exception as x:
            self.broken = x

    def ask_on(self):
        for _ in range(CLIENTS):
            self.connect(Client())
        swept = time.monotonic()
        while self.clients or not self.ending:
            for fd, _ in self.epoll.poll(0.01):
                self.readable(self.clients[fd])
            resting, self.resting = self.resting, []
            for client in resting if not self.ending else ():
                self.connect(client)
            now = time.monotonic()
            if now - swept > 0.5:
                swept = now
                for client in [c for c in self.clients.values() if now - c.began > PATIENCE]:
                    self.lost(client, "late")

    def stop(self):
        """No more requests; waits for the last answers."""
        self.ending = True
        self.join()
        if self.broken:
            raise self.broken

    def connect(self, client):
        try:
            s = socket.create_connection(("127.0.0.1", bench.PORT), timeout=PATIENCE)
        except ConnectionRefusedError:
            self.failed["refused"] += 1
            self.resting.append(client)
            return
        client.socket, client.served = s, 0
        client.buffer = b""
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                client.socket = s = self.tls.wrap_socket(s, server_hostname="bench.local")
                self.certificates.add(hash(s.getpeercert(True)))
            s.setblocking(False)
        except OSError:
            s.close()
            self.failed["unheard"] += 1
            self.resting.append(client)
            return
        self.clients[s.fileno()] = client
        self.epoll.register(s.fileno(), select.EPOLLIN)
        self.ask(client)

    def ask(self, client):
        client.buffer, client.length, client.began = b"", 0, time.monotonic()
        client.last = (self.answered + 1) % 50 == 0
        try:
            client.socket.send(b"GET /hello HTTP/1.1\r\nHost: bench.local\r\n" + (b"Connection: close\r\n\r\n" if client.last else b"\r\n"))
        except OSError:
            self.lost(client)

    def readable(self, client):
        try:
            data = client.socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        if not data:
            return self.lost(client)
        client.buffer += data
        if not client.length:
            head, end, _ = client.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            client.head = head.lower()
            client.length = len(head) + 4 + int(re.search(rb"\ncontent-length: (\d+)", client.head)[1])
        if len(client.buffer) < client.length:
            return
        if client.head.startswith(b"http/1.1 200 "):
            self.answered += 1
        else:
            said = re.search(rb"\nproxy-status: (.*)", client.head)
            self.failed[client.head[9:12].decode() + (" " + said[1].decode().strip() if said else " of the server")] += 1
        client.served += 1
        self.longest = max(self.longest, time.monotonic() - client.began)
        if self.ending:
            self.close(client)
        elif client.last or b"\nconnection: close" in client.head:
            self.close(client)
            self.connect(client)
        else:
            self.ask(client)

    def lost(self, client, why=None):
        if why or client.buffer:
            self.failed[why or "half"] += 1
        elif client.served:
            self.again += 1
        else:
            self.failed["unheard"] += 1
        self.close(client)
        self.resting.append(client)

    def close(self, client):
        self.epoll.unregister(client.socket.fileno())
        del self.clients[client.socket.fileno()]
        client.socket.close()


# --- gw and its servers -----------------------------------------------------------------------------------------------------

class House:
    """gw, its servers, and its log but for the lines of requests that went well at once."""

    def __init__(self, settings="", third=None, tls=False):
        self.settings, self.third, self.tls = settings, third, tls
        os.makedirs(D, exist_ok=True)
        if tls:
            self.certificate()
        self.program(0)
        self.gw, self.grep, self.servers, self.log = None, None, [], f"{D}/gw.log"
        open(self.log, "w").close()

    def begin(self):
        for port in [bench.PORT] + [bench.UP + n for n in range(3)]:
            bench.free_wait(port)
        self.servers = [self.server(n) for n in range(3)]
        self.start()

    def start(self):
        self.gw = subprocess.Popen([bench.GW, "serve", f"{D}/gateway.gw", "--workers", "2", "--log-format", "json"], stdout=subprocess.PIPE, start_new_session=True)
        wanted = [f'-e"{key}":' for key in ("error", "detail", "message", "failed_attempts")]
        self.grep = subprocess.Popen(["grep", "-F", "--line-buffered", *wanted], stdin=self.gw.stdout, stdout=open(self.log, "ab"))
        self.gw.stdout.close()
        bench.await_ready(self.gw, bench.PORT, tls=self.tls)

    def program(self, n):
        """A program that differs with `n`, in an upstream too."""
        tls = f' {{ certificate "{D}/cert.pem" key "{D}/key.pem" }}' if self.tls else ""
        servers = "".join(f"  server http://127.0.0.1:{bench.UP + k}\n" for k in range(3))
        settings = self.settings if "retry" in self.settings else f"  retry 1 on connect, reset budget 20%\n{self.settings}"
        put("gateway.gw", f"listen {'https' if tls else 'http'} 127.0.0.1:{bench.PORT}{tls}\n"
            f"upstream be {{\n{servers}  timeout response 1s\n  pool idle {10 + n}s\n{settings}\n}}\n"
            f"route ANY /{{rest...}} -> be {{ response {{ set header.x-n = \"{n}\" }} }}\n")

    def certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9", "-subj", "/CN=bench.local",
                        "-keyout", f"{D}/key.new", "-out", f"{D}/cert.new"], check=True, capture_output=True)
        os.replace(f"{D}/key.new", f"{D}/key.pem")
        os.replace(f"{D}/cert.new", f"{D}/cert.pem")

    def server(self, n):
        if n == 2 and self.third:
            command = f"{sys.executable} {__file__} --server {bench.UP + n} {self.third}"
        else:
            command = f"{bench.ROOT}/backend/backend {bench.UP + n}"
        process = bench.start(command)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", bench.UP + n)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        return process

    def lines(self, message=""):
        lines = [json.loads(line) for line in open(self.log) if line.endswith("}\n")]
        return [line for line in lines if line.get("message", "").startswith(message)]

    def processes(self):
        return [self.gw.pid] + [int(line["process"]) for line in self.lines("the new process serves")]

    def end(self):
        for pid in self.processes() if self.gw else ():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        for process in self.servers:
            process.send_signal(signal.SIGCONT)
        if self.gw:
            self.gw.wait()
            # It ends when the last gw has closed its output.
            self.grep.wait()
        for process in self.servers:
            bench.stop(process)


def put(name, text):
    open(f"{D}/{name}.new", "w").write(text)
    os.replace(f"{D}/{name}.new", f"{D}/{name}")


# --- faults -----------------------------------------------------------------------------------------------------------------

def nothing(house, secs):
    time.sleep(secs)


def killed(house, secs):
    for _ in range(max(secs // 3, 1)):
        house.servers[2].kill()
        house.servers[2].wait()
        time.sleep(1)
        house.servers[2] = house.server(2)
        time.sleep(2)


def frozen(length):
    def fault(house, secs):
        for _ in range(max(secs // 5, 1)):
            house.servers[2].send_signal(signal.SIGSTOP)
            time.sleep(length)
            house.servers[2].send_signal(signal.SIGCONT)
            time.sleep(max(5 - length, 1))
    return fault


def reloaded(house, secs):
    for n in range(secs):
        house.program(n + 1)
        time.sleep(1)
    return f"{len(house.lines('reloaded'))} reloads"


def certified(house, secs):
    for _ in range(secs):
        house.certificate()
        time.sleep(1)
    return f"{len(house.load.certificates)} certificates seen"


def upgraded(house, secs):
    for n in range(2):
        os.kill(house.processes()[-1], signal.SIGUSR2)
        until = time.monotonic() + 20
        while len(house.processes()) < n + 2 and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(max(secs / 2, 2))
    return f"{len(house.processes()) - 1} upgrades"


def ended(house, secs):
    times = max(secs // 3, 1)
    for _ in range(times):
        house.gw.terminate()
        house.gw.wait()
        house.grep.wait()
        house.start()
        time.sleep(1)
    # Nobody listened in between, and that is no failure of gw's.
    return f"{times} times; {house.load.failed.pop('refused', 0)} connections refused while nobody listened"


RETRY_503, EJECT = "  retry 1 on connect, reset, 503 budget 20%", "  eject after 5 failures for 5s"
# name: (title, settings of the upstream besides the usual, the third server, fault)
FAULTS = {
    "none": ("nothing", "", None, nothing),
    "kill": ("a server killed (-9), back after 1 s, again and again", "", None, killed),
    "freeze": ("a server frozen for 0.5 s", "", None, frozen(0.5)),
    "freeze-long": ("a server frozen for 3 s, `timeout response 1s`", "", None, frozen(3)),
    "freeze-retry": ("the same, and `retry 1 on connect, reset, timeout`", "  retry 1 on connect, reset, timeout budget 20%", None, frozen(3)),
    "freeze-eject": ("the same, and `eject after 5 failures`", EJECT, None, frozen(3)),
    "reset": ("a server resets every 10th request", "", "reset 10", nothing),
    "half": ("a server resets every 10th answer halfway", "", "half 10", nothing),
    "garbage": ("a server answers garbage to every 10th", "", "garbage 10", nothing),
    "garbage-eject": ("a server answers garbage only, `eject after 5 failures`", EJECT, "garbage 1", nothing),
    "503": ("a server answers 503 to every 2nd", "", "503 2", nothing),
    "503-retry": ("the same, and `retry 1 on …, 503`", RETRY_503, "503 2", nothing),
    "503-eject": ("the same, and `eject over 20%`", "  eject over 20% for 5s", "503 2", nothing),
    "503-both": ("the same, and both", RETRY_503 + "\n  eject over 20% for 5s", "503 2", nothing),
    "reload": ("the program changes every second", "", None, reloaded),
    "certificate": ("the certificate changes every second (https)", "", None, certified),
    "upgrade": ("SIGUSR2, twice", "", None, upgraded),
    "end": ("SIGTERM, and started again", "", None, ended),
}
LONG = {"reload", "certificate"}


def row(name, secs):
    title, settings, third, fault = FAULTS[name]
    house = House(settings, third, tls=name == "certificate")
    house.load = load = Load(house.tls)
    try:
        house.begin()
        load.start()
        try:
            time.sleep(1)
            note = fault(house, secs)
        finally:
            load.stop()
    finally:
        house.end()
    why, retried = collections.Counter(), 0
    for line in house.lines():
        retried += "failed_attempts" in line
        if "status" in line and ("error" in line or "detail" in line):
            said = f"{line['status']} {line.get('error', '')}: {line.get('detail', '')}, asked {line.get('attempts', 0)} times"
            why[re.sub(r"127\.0\.0\.1:\d+", "it", said)] += 1
        elif line.get("level") in ("warn", "error") and "message" in line:
            why[re.sub(r"\d+", "N", line["message"])] += 1
    counts = lambda counter: "; ".join(f"{n} × {what}" for what, n in counter.most_common(5))
    failed = sum(load.failed.values())
    kinds = f" ({counts(load.failed)})" if failed else ""
    words = "; ".join(filter(None, [note, counts(why)])) or "–"
    return f"| {title} | {load.answered + failed} | {failed}{kinds} | {load.again} | {load.longest * 1000:.0f} ms | {retried} | {words.replace('|', '/')} |"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("faults", nargs="*", default=list(FAULTS), help="of: " + ", ".join(FAULTS))
    ap.add_argument("--secs", type=int, default=15, help="how long a fault lasts or is repeated")
    ap.add_argument("--long", type=int, default=60, help="how often a file changes, once a second")
    ap.add_argument("--server", nargs=3, metavar=("PORT", "KIND", "N"), help="be a server that fails every Nth request")
    a = ap.parse_args()
    if a.server:
        return asyncio.run(bad(*a.server))
    bench.begin({0, 1})
    print("| fault | requests | failed | again | longest | retried | why |\n|---|---|---|---|---|---|---|", flush=True)
    for name in a.faults:
        print(row(name, a.long if name in LONG else a.secs), flush=True)


if __name__ == "__main__":
    main()

"""A weir process that is measured: processor time, memory, disk; and waiting for it."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
TIME_MAX_S = 900


def say(text):
    print(text, file=sys.stderr, flush=True)


class Process:
    """A weir process that is measured."""

    def __init__(self, args, work, binary, name):
        self.name = name
        self.log_path = os.path.join(work, name + ".log")
        self.log = open(self.log_path, "wb")
        env = {key: value for key, value in os.environ.items() if not key.startswith("WEIR_")}
        self.child = subprocess.Popen([binary] + args, cwd=work, stdout=self.log, stderr=self.log, env=env)
        self.private_kb = 0
        self.over = threading.Event()
        self.sampler = threading.Thread(target=self.sample, daemon=True)
        self.sampler.start()

    def status(self, key):
        for line in open(f"/proc/{self.child.pid}/status"):
            if line.startswith(key + ":"):
                return int(line.split()[1])
        return 0

    def sample(self):
        while not self.over.wait(0.1):
            try:
                self.private_kb = max(self.private_kb, self.status("RssAnon"))
            except OSError:
                return

    def cpu(self):
        fields = open(f"/proc/{self.child.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def check(self):
        if self.child.poll() is not None:
            raise SystemExit(f"{self.name} ended by itself; its last words:\n" + open(self.log_path).read()[-3000:])

    def settle(self):
        """Waits until it is idle: less than 3 % of a core for two seconds."""
        for _ in range(60):
            before = self.cpu()
            time.sleep(2)
            self.check()
            if self.cpu() - before < 0.06:
                return

    def end(self):
        """Ends it and returns its figures."""
        figures = {
            "cpu_s": round(self.cpu(), 2),
            "rss_peak_mb": round(self.status("VmHWM") / 1024, 1),
            "private_peak_mb": round(self.private_kb / 1024, 1),
        }
        self.over.set()
        self.sampler.join()
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        return figures


def free_port():
    while True:
        port = random.randrange(15000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_for(what, process, probe):
    until = time.time() + TIME_MAX_S
    while time.time() < until:
        process.check()
        try:
            if probe():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"no {what} within {TIME_MAX_S} s")


def connects(port):
    def probe():
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True

    return probe


def disk_bytes(folder):
    return sum(os.stat(os.path.join(at, name)).st_blocks * 512 for at, _, names in os.walk(folder) for name in names)

"""Seconds to fetch one file over the loopback: ours, curl's and gdown's; and after a kill.

    python benchmarks/download_speed.py [--gib 1] [--runs 5]

Ours includes the sha256 of the file and its record; the others check nothing. Runs alternate. Then
ours is killed half way, run again, and run once more on the finished file. Prints one table, writes
JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

BLOCK = os.urandom(1 << 20)
OURS = """
import sys
from pathlib import Path
from imclust.competitions.downloads import Expected
from imclust.competitions.http import fetch
fetch(sys.argv[1], Path(sys.argv[2]), Expected(size=int(sys.argv[3])))
"""


class Handler(BaseHTTPRequestHandler):
    """Serves `size` bytes, or the rest of them."""

    protocol_version = "HTTP/1.1"
    size = 0

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """The file from the first byte that is asked for."""
        asked = self.headers.get("Range")
        start = int(asked[6:-1]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(self.size - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{self.size - 1}/{self.size}")
        self.end_headers()
        while start < self.size:
            at = start % len(BLOCK)
            self.wfile.write(BLOCK[at:])
            start += len(BLOCK) - at


class Server(ThreadingHTTPServer):
    """Says nothing of clients that hang up: one is killed on purpose."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing."""


def seconds(command: list[str]) -> float:
    """Wall time of a command that must succeed."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def after_a_kill(ours: list[str], body: Path, size: int) -> dict[str, float]:
    """Kill ours half way; seconds of the run that goes on, and of one that finds it done."""
    child = subprocess.Popen(ours, stdout=subprocess.DEVNULL)
    while not (body.exists() and body.stat().st_size > size // 2):
        time.sleep(0.005)
    child.kill()
    child.wait()
    had = body.stat().st_size / size
    return {
        "share there at the kill": had,
        "going on (s)": seconds(ours),
        "there already (s)": seconds(ours),
    }


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/download_speed.json"))
    cfg = parser.parse_args()
    Handler.size = int(cfg.gib * 2**30)
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/a.bin"
    folder = Path(tempfile.mkdtemp())
    ours = [sys.executable, "-c", OURS, url, str(folder / "ours" / "a.bin"), str(Handler.size)]
    commands = {"ours": ours}
    if shutil.which("curl"):
        commands["curl"] = ["curl", "-s", "-o", str(folder / "curl"), url]
    commands["gdown"] = [sys.executable, "-m", "gdown", "-q", url, "-O", str(folder / "gdown")]
    taken: dict[str, list[float]] = {name: [] for name in commands}
    try:
        for run in range(cfg.runs):
            for name in list(commands)[:: -1 if run % 2 else 1]:
                taken[name].append(seconds(commands[name]))
                shutil.rmtree(folder)
                folder.mkdir()
        doc = {f"{name} (s)": float(np.median(times)) for name, times in taken.items()}
        doc |= after_a_kill(ours, folder / "ours" / ".a.bin.partial" / "a.bin", Handler.size)
    finally:
        server.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in doc.items():
        print(f"{name:28} {value:8.2f}")
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    cfg.out.write_text(json.dumps({"gib": cfg.gib, "runs": cfg.runs, **doc}, indent=2) + "\n")


if __name__ == "__main__":
    main()

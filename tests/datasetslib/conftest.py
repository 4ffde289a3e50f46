import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datasetslib import download, manifest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for toysets, under one name here and in child processes

import toysets  # noqa: E402


class Handler(BaseHTTPRequestHandler):
    """Serves the mirror's files, or misbehaves as the mirror's plan says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        mirror = self.server.mirror
        path = self.path if self.path.startswith("/") else self.path.split("/", 3)[3]
        name = path.rpartition("/")[2]
        with mirror.mutex:
            mirror.requests.append((self.path, dict(self.headers)))
            plan = mirror.plans.pop(0) if mirror.plans else mirror.usual
        body = plan.get("body", mirror.files.get(name))
        status = plan.get("status", 200 if body is not None else 404)
        if status >= 400:
            body = body or b"no"
        headers = {"ETag": f'"{plan.get("etag", "one")}"'} if plan.get("etag", True) else {}
        span = self.headers.get("Range")
        if status == 200 and span and plan.get("ranges", True):
            condition = self.headers.get("If-Range")
            start = int(span.removeprefix("bytes=").rstrip("-"))
            if condition in (None, headers.get("ETag")):
                if start >= len(body):
                    status, body = 416, b""
                else:
                    status = 206
                    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    body = body[start:]
        headers |= plan.get("headers", {})
        self.send_response(status)
        if plan.get("length", True):
            self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.close_connection = True
        keep = body[: plan["cut"]] if "cut" in plan else body
        try:
            step = plan.get("step", 1 << 16)
            for first in range(0, len(keep), step):
                self.wfile.write(keep[first : first + step])
                time.sleep(plan.get("pause", 0))
            if plan.get("stall"):
                self.wfile.flush()
                mirror.release.wait(20)
        except OSError:
            pass  # the client was killed, or had enough

    def log_message(self, *_):
        pass


class Mirror:
    """A server on loopback, the files it has, and how it misbehaves.

    ``plans`` holds one dictionary for each coming request, ``usual`` is for all others:
    status, headers, body, etag, ranges, length (False: none is sent), cut (bytes after which
    the connection closes), stall, step and pause (bytes and seconds).
    """

    def __init__(self):
        self.files, self.plans, self.usual, self.requests = {}, [], {}, []
        self.mutex, self.release = threading.Lock(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.mirror = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def paths(self):
        return [path for path, _ in self.requests]

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="session")
def toy_packages():
    return toysets.packages()


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """The toy data sets in the manifest, a private cache, and short waits."""
    for name in list(os.environ):
        if name.startswith("DATASETSLIB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    # The locale has a say in the order of the mirrors.
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("DATASETSLIB_CACHE", str(tmp_path / "cache"))
    for name, dataset in toysets.datasets().items():
        monkeypatch.setitem(manifest.DATASETS, name, dataset)
    monkeypatch.setattr(download, "TIMEOUT", (2.0, 0.3))
    monkeypatch.setattr(download, "BACKOFF", 0.01)
    return manifest.DATASETS


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def mirror(toys, toy_packages, monkeypatch):
    """A mirror that has the toy data sets and stands in DATASETSLIB_MIRROR."""
    mirror = Mirror()
    mirror.files = dict(toy_packages)
    monkeypatch.setenv("DATASETSLIB_MIRROR", mirror.url)
    yield mirror
    mirror.close()


@pytest.fixture
def home(toys, toy_packages, tmp_path, monkeypatch):
    """A folder in the official layout, in DATASETSLIB_HOME."""
    home = tmp_path / "home"
    digits, pictures = home / "toydigits", home / "toypictures" / "toy-bin"
    digits.mkdir(parents=True)
    pictures.mkdir(parents=True)
    for name in toysets.digits():
        (digits / f"{name}.gz").write_bytes(toy_packages[f"{name}.gz"])
    for name, data in toysets.pictures().items():
        (pictures / name).write_bytes(data)
    monkeypatch.setenv("DATASETSLIB_HOME", str(home))
    return home


@pytest.fixture
def child():
    """Start a process that loads a toy data set; whatever still runs at the end is killed."""
    running = []

    def start(name):
        paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
        process = subprocess.Popen(
            [sys.executable, str(HERE / "toysets.py"), name],
            env=os.environ | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def listing(folder):
    """Return every file under a folder with its bytes, locks left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture
def snapshot():
    return listing

"""A web server for the built book, like a real host: a sub-path, compression, no more.

The browser tests and the measurements use it.
"""

import gzip
import mimetypes
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"

#: The book lies below a path wherever it is published, and a test at the root would not notice
#: links that begin with a slash.
PREFIX = "/course/book/"

#: What the table of the system may not know, or knows differently elsewhere.
TYPES = {
    ".css": "text/css", ".html": "text/html", ".ico": "image/x-icon", ".inv": "text/plain",
    ".ipynb": "application/x-ipynb+json", ".js": "text/javascript", ".json": "application/json",
    ".map": "application/json", ".md": "text/markdown", ".svg": "image/svg+xml",
    ".txt": "text/plain", ".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2",
    ".xml": "application/xml",
}
COMPRESSED = ("text/", "application/json", "application/xml", "application/x-ipynb", "image/svg")


def content_type(path):
    """
    Return the type of a file, with the character set where it is text.

    Examples
    --------
    >>> content_type("a/page.html"), content_type("font.woff2")
    ('text/html; charset=utf-8', 'font/woff2')
    """
    suffix = Path(path).suffix.lower()
    kind = TYPES.get(suffix) or mimetypes.guess_type(str(path))[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


@lru_cache(maxsize=512)
def _compressed(path, _changed):
    """Return a file's bytes, compressed; a file that changed is read again."""
    return gzip.compress(Path(path).read_bytes(), 6, mtime=0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: D102 (http.server calls it by this name)
        self._answer(body=True)

    def do_HEAD(self):  # noqa: D102
        self._answer(body=False)

    def _answer(self, body):
        path = unquote(urlsplit(self.path).path)
        prefix, site = self.server.prefix, self.server.site
        file = None
        if path.startswith(prefix):
            file = (site / path[len(prefix):]).resolve()
            if file.is_dir():
                file = file / "index.html"
            if not file.is_relative_to(site):
                file = None
        if file is None or not file.is_file():
            self.send_error(404)
            return
        kind = content_type(file)
        headers = {"Content-Type": kind, "Cache-Control": "max-age=600"}
        if kind.startswith(COMPRESSED) and "gzip" in self.headers.get("Accept-Encoding", ""):
            content = _compressed(file, file.stat().st_mtime_ns)
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        else:
            content = file.read_bytes()
        self.send_response(200)
        for name, value in (headers | {"Content-Length": len(content)}).items():
            self.send_header(name, str(value))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):  # noqa: D102
        pass


class Server:
    """
    A server on this machine's own address, in threads; use it in a ``with`` statement.

    Parameters
    ----------
    site : path-like
        The folder to serve.
    prefix : str
        The path below which it lies, with a slash at either end.
    port : int
        0 takes any free port.

    Attributes
    ----------
    address : str
        ``http://127.0.0.1:port/course/book/``.
    """

    def __init__(self, site=SITE, prefix=PREFIX, port=0):
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        self._server.daemon_threads = True
        self._server.site, self._server.prefix = Path(site).resolve(), prefix
        self.address = f"http://127.0.0.1:{self._server.server_port}{prefix}"

    def __enter__(self):
        """Start to serve."""
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        """Stop, and give the port back."""
        self._server.shutdown()
        self._server.server_close()

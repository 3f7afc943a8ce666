"""A small server that plays Kaggle for the real `kaggle` command.

The command sends to http://localhost when KAGGLE_API_ENVIRONMENT=LOCALHOST; with this server as its HTTP proxy those
requests arrive here, on any free port. For a person: `python -m tests.kaggle_stand_in` says what to set.
"""

import argparse
import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

try:
    from kaggle_site import Dataset, RefusedError, Site
except ModuleNotFoundError:  # run as a module of the package `tests`
    from tests.kaggle_site import Dataset, RefusedError, Site

OWNER, SLUG = "somebody", "car-photos"
LOGIN = "Basic " + base64.b64encode(b"someone:secret-key").decode()
ETAG, MODIFIED = '"1"', "Mon, 02 Jan 2023 03:04:05 GMT"
REDIRECT, ARCHIVE = 302, "/storage/archive.zip"


@dataclass
class StandIn:
    """What the server gives, and what it was asked."""

    archive: bytes = b""  # the dataset somebody/car-photos
    status: int = 200  # of every answer of the service
    message: str = ""  # with a status: answered as JSON; without: as a web page
    drop: bool = False  # close every connection without a word
    cuts: int = 0  # so many downloads end half-way
    slow: float = 0.0  # seconds before every answer
    asked: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    site: Site = field(default_factory=Site)

    def __post_init__(self) -> None:
        self.site.datasets[f"{OWNER}/{SLUG}"] = Dataset([{}])


@contextmanager
def serving(stand_in: StandIn, port: int = 0) -> Iterator[str]:
    """Serve on a local port (0: any that is free); yields the server's address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(stand_in))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            method = urlsplit(self.path).path.rpartition("/")[2]
            body = json.loads(self._body() or b"{}")
            stand_in.asked.append(method)
            if self.headers.get("Authorization") not in (None, LOGIN):
                stand_in.bad.append("Authorization")
            time.sleep(stand_in.slow)
            if stand_in.drop:
                self.close_connection = True
            elif stand_in.status != 200:
                self._refuse(stand_in.status, stand_in.message)
            else:
                self._call(method, body)

        def do_PUT(self) -> None:
            token = urlsplit(self.path).path.rpartition("/")[2]
            stand_in.asked.append("PUT")
            try:
                stand_in.site.receive(token, self._body())
            except RefusedError as refusal:
                self._refuse(refusal.status, str(refusal))
            else:
                self._answer(200, b"{}")

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            sent = self.headers.get("Range", "bytes=0-")
            stand_in.asked.append(f"GET {sent}")
            content = stand_in.archive if path == ARCHIVE else stand_in.site.stored(path)
            start = int(sent.removeprefix("bytes=").removesuffix("-"))
            rest = content[start:]
            common = {"ETag": ETAG, "Last-Modified": MODIFIED, "Accept-Ranges": "bytes", "Type": "application/zip"}
            cut = stand_in.cuts > 0
            stand_in.cuts -= cut
            self._answer(206 if start else 200, rest, len(rest) // 2 if cut else None, **common)

        def _call(self, method: str, body: dict[str, Any]) -> None:
            whole = body == {"ownerSlug": OWNER, "datasetSlug": SLUG}
            try:
                answer = stand_in.site.answer(method, body) if not (whole and method == "DownloadDataset") else ""
            except RefusedError as refusal:
                if refusal.status == 400 and method in str(refusal):
                    stand_in.bad.append(str(refusal))
                self._refuse(refusal.status, str(refusal))
                return
            if isinstance(answer, str):
                self._answer(REDIRECT, b"", Location=answer or f"http://localhost{ARCHIVE}?signature=1")
            else:
                self._answer(200, json.dumps(answer).encode())

        def _refuse(self, status: int, message: str) -> None:
            told = json.dumps({"code": status, "message": message}).encode()
            kind = "application/json" if message else "text/html"
            self._answer(status, told if message else b"<p>", Type=kind)

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, body: bytes, only: int | None = None, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", headers.pop("Type", "application/json"))
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            with suppress(ConnectionError):  # the command need not read to the end
                self.wfile.write(body[:only])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def main() -> None:
    """Serve until Ctrl-C, for a person who tries the commands."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=7777)
    parser.add_argument("--data", type=Path, help="a zip: the data of the competition `cars` and of the dataset")
    options = parser.parse_args()
    data = options.data.read_bytes() if options.data else b""
    with serving(StandIn(archive=data, site=Site(data=data)), options.port) as address:
        print("export KAGGLE_API_ENVIRONMENT=LOCALHOST KAGGLE_USERNAME=someone KAGGLE_KEY=secret-key")
        print(f"export http_proxy={address}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()

"""A small server that plays Kaggle's dataset service for the real `kaggle` command.

The command sends to http://localhost when KAGGLE_API_ENVIRONMENT=LOCALHOST; with this server as its HTTP proxy those
requests arrive here, on any free port.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SERVICE = "/api/v1/datasets.DatasetApiService/"
OWNER, SLUG = "somebody", "car-photos"
FIELDS = {"GetDatasetMetadata": {"ownerSlug", "datasetSlug"}, "DownloadDataset": {"ownerSlug", "datasetSlug"}}
LOGIN = "Basic " + base64.b64encode(b"someone:secret-key").decode()
ETAG, MODIFIED = '"1"', "Mon, 02 Jan 2023 03:04:05 GMT"


@dataclass
class StandIn:
    """What the server gives, and what it was asked."""

    archive: bytes = b""
    status: int = 200  # of every answer of the service
    message: str = ""  # with a status: answered as JSON; without: as a web page
    drop: bool = False  # close every connection without a word
    cuts: int = 0  # so many downloads end half-way
    asked: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


@contextmanager
def serving(stand_in: StandIn) -> Iterator[str]:
    """Serve on a free local port; yields the server's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stand_in))
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
            path = urlsplit(self.path).path
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            stand_in.asked.append(path.removeprefix(SERVICE))
            self._check(path, body)
            if stand_in.drop:
                self.close_connection = True
            elif stand_in.status != 200:
                message = {"code": stand_in.status, "message": stand_in.message}
                known = (
                    (json.dumps(message).encode(), "application/json") if stand_in.message else (b"<p>", "text/html")
                )
                self._answer(stand_in.status, known[0], Type=known[1])
            elif path.endswith("/DownloadDataset"):
                self._answer(302, b"", Location="http://localhost/storage/archive.zip?signature=1")
            else:
                self._answer(200, json.dumps({"info": {"licenses": [{"name": "CC0-1.0"}]}}).encode())

        def do_GET(self) -> None:
            sent = self.headers.get("Range", "bytes=0-")
            stand_in.asked.append(f"GET {sent}")
            start = int(sent.removeprefix("bytes=").removesuffix("-"))
            rest = stand_in.archive[start:]
            common = {"ETag": ETAG, "Last-Modified": MODIFIED, "Accept-Ranges": "bytes", "Type": "application/zip"}
            cut = stand_in.cuts > 0
            stand_in.cuts -= cut
            self._answer(206 if start else 200, rest, len(rest) // 2 if cut else None, **common)

        def _check(self, path: str, body: dict[str, str]) -> None:
            known = FIELDS.get(path.removeprefix(SERVICE), set())
            if set(body) != known or body.get("ownerSlug") != OWNER or body.get("datasetSlug") != SLUG:
                stand_in.bad.append(f"{path} {body}")
            if self.headers.get("Authorization") not in (None, LOGIN):
                stand_in.bad.append("Authorization")

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

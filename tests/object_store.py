"""A stand-in for S3 over loopback HTTP: one bucket's objects in memory, asked path-style."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class ObjectStore(ThreadingHTTPServer):
    """Keeps objects under `bucket/key`, remembers what it was asked as (verb, path).

    With `is_down` it answers 503 to everything; with `other` it hands out these bytes for every
    object, whatever was stored.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.is_down = False
        self.other: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this store."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def fetched(self) -> list[str]:
        """The objects that were handed out, in order."""
        return [path for verb, path in self.asked if verb == "GET" and path.endswith(".parquet")]


@contextlib.contextmanager
def running() -> Iterator[ObjectStore]:
    """Serve in a thread for as long as the block lasts."""
    with ObjectStore() as store:
        thread = threading.Thread(target=store.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield store
        store.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: ObjectStore
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self._is_refused():
            return
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self._list(query.get("prefix", [""])[0], query.get("delimiter", [""])[0])
            return
        content = self.server.objects.get(self._key)
        if content is None:
            self._send(404, _fault("NoSuchKey"))
            return
        if self.server.other is not None:
            content = self.server.other
        tag = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
        wished = _RANGE.fullmatch(self.headers.get("Range", ""))
        if not wished:
            self._send(200, content, tag)
            return
        first, last = int(wished[1]), int(wished[2] or len(content) - 1)
        part = content[first : last + 1]
        span = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        self._send(206, part, tag | {"Content-Range": span})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self._is_refused():
            return
        self.server.objects[self._key] = body
        self._send(200, b"", {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'})

    def do_DELETE(self) -> None:
        if self._is_refused():
            return
        self.server.objects.pop(self._key, None)
        self._send(204, b"")

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/")

    def _is_refused(self) -> bool:
        self.server.asked.append((self.command, self._key))
        if self.server.is_down:
            self._send(503, _fault("SlowDown"))
        return self.server.is_down

    def _list(self, prefix: str, delimiter: str) -> None:
        bucket = self._key.rstrip("/")
        keys = [key.removeprefix(f"{bucket}/") for key in sorted(self.server.objects)]
        keys = [key for key in keys if key.startswith(prefix)]
        deeper = {
            prefix + key.removeprefix(prefix).partition(delimiter)[0] + delimiter
            for key in keys
            if delimiter and delimiter in key.removeprefix(prefix)
        }
        found = [
            f"<Contents><Key>{escape(key)}</Key><Size>{self._size(bucket, key)}</Size>"
            '<LastModified>2026-11-20T12:00:00.000Z</LastModified><ETag>"x"</ETag>'
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys
            if not any(key.startswith(folder) for folder in deeper)
        ] + [
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in sorted(deeper)
        ]
        answer = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
            f'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{escape(bucket)}</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(found)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{''.join(found)}"
            "</ListBucketResult>"
        )
        self._send(200, answer.encode())

    def _size(self, bucket: str, key: str) -> int:
        return len(self.server.objects[f"{bucket}/{key}"])

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silence: the tests read `asked`."""


def _fault(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()

"""A stand-in for an object store over loopback HTTP, with its objects in memory.

It understands the requests of S3 (path-style) or of Google's JSON API.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.support.serving import serving

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class ObjectStore(ThreadingHTTPServer):
    """A store with its objects, its requests, and two faults to switch on."""

    def __init__(self, scheme: str) -> None:
        super().__init__(("127.0.0.1", 0), {"s3": _S3Handler, "gs": _GoogleHandler}[scheme])
        # "s3" or "gs".
        self.scheme = scheme
        # Bytes by "bucket/key".
        self.objects: dict[str, bytes] = {}
        # (verb, "bucket/key") of each request.
        self.requests: list[tuple[str, str]] = []
        # A status that every response has, if it is set.
        self.error_status: int | None = None
        # Bytes that every download returns, if they are set.
        self.wrong_content: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a process needs to use this store."""
        if self.scheme == "gs":
            return {"STORAGE_EMULATOR_HOST": self.url}
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def downloads(self) -> list[str]:
        """The objects that were downloaded, in order."""
        return [path for verb, path in self.requests if verb == "GET" and path.endswith(".parquet")]


@contextlib.contextmanager
def run_object_store(scheme: str) -> Iterator[ObjectStore]:
    """Serve in a thread during the block."""
    with serving(ObjectStore(scheme)) as store:
        yield store


class _Handler(BaseHTTPRequestHandler):
    server: ObjectStore
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each body waits until the client acknowledges the headers

    @property
    def _key(self) -> str:
        raise NotImplementedError

    def _build_error(self, code: str) -> bytes:
        raise NotImplementedError

    def _query(self, name: str) -> str:
        return parse_qs(urlsplit(self.path).query).get(name, [""])[0]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _sends_error(self) -> bool:
        """Record the request, and send the error status if one is set."""
        self.server.requests.append((self.command, self._key))
        if self.server.error_status:
            self._send(self.server.error_status, self._build_error("Refused"))
        return self.server.error_status is not None

    def _send_object(self) -> None:
        """Send an object, or the range of it that the request names."""
        content = self.server.objects.get(self._key)
        if content is None:
            self._send(404, self._build_error("NoSuchKey"))
            return
        if self.server.wrong_content is not None:
            content = self.server.wrong_content
        tag = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
        requested = _RANGE.fullmatch(self.headers.get("Range", ""))
        if not requested:
            self._send(200, content, tag)
            return
        first, last = int(requested[1]), int(requested[2] or len(content) - 1)
        part = content[first : last + 1]
        span = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        self._send(206, part, tag | {"Content-Range": span})

    def _find_keys(self, bucket: str) -> tuple[list[str], list[str]]:
        """Return the keys and the folders below the prefix of the request."""
        prefix, delimiter = self._query("prefix"), self._query("delimiter")
        keys = [key.removeprefix(f"{bucket}/") for key in sorted(self.server.objects)]
        keys = [key for key in keys if key.startswith(prefix)]
        folders = {
            prefix + key.removeprefix(prefix).partition(delimiter)[0] + delimiter
            for key in keys
            if delimiter and delimiter in key.removeprefix(prefix)
        }
        direct = [key for key in keys if not any(key.startswith(folder) for folder in folders)]
        return direct, sorted(folders)

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
        """Print nothing: the tests read `requests`."""


class _S3Handler(_Handler):
    def do_GET(self) -> None:
        if self._sends_error():
            return
        if self._query("list-type"):
            self._send_list()
        else:
            self._send_object()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        body = self._body()
        if self._sends_error():
            return
        self.server.objects[self._key] = body
        self._send(200, b"", {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'})

    def do_DELETE(self) -> None:
        if self._sends_error():
            return
        self.server.objects.pop(self._key, None)
        self._send(204, b"")

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/")

    def _build_error(self, code: str) -> bytes:
        return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()

    def _send_list(self) -> None:
        bucket = self._key.rstrip("/")
        keys, folders = self._find_keys(bucket)
        found = [
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.server.objects[f'{bucket}/{key}'])}</Size>"
            '<LastModified>2026-11-20T12:00:00.000Z</LastModified><ETag>"x"</ETag>'
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys
        ] + [
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in folders
        ]
        response = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
            f'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{escape(bucket)}</Name>'
            f"<Prefix>{escape(self._query('prefix'))}</Prefix><KeyCount>{len(found)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{''.join(found)}"
            "</ListBucketResult>"
        )
        self._send(200, response.encode())


class _GoogleHandler(_Handler):
    """Follows https://cloud.google.com/storage/docs/json_api/v1."""

    def do_GET(self) -> None:
        if self._sends_error():
            return
        if self._query("alt") == "media":
            self._send_object()
        elif "/" in self._key:
            self._send_metadata(self._key)
        else:
            self._send_list()

    def do_POST(self) -> None:
        metadata, content = self._split_upload(self._body())
        if self._sends_error():
            return
        key = f"{self._key}/{json.loads(metadata)['name']}"
        self.server.objects[key] = content
        self._send_metadata(key)

    def do_DELETE(self) -> None:
        if self._sends_error():
            return
        was_stored = self.server.objects.pop(self._key, None) is not None
        self._send(204 if was_stored else 404, b"")

    @property
    def _key(self) -> str:
        path = urlsplit(self.path).path.partition("/storage/v1/b/")[2]
        bucket, _, key = path.partition("/o")
        return unquote(f"{bucket}{key}")

    def _build_error(self, code: str) -> bytes:
        return json.dumps({"error": {"message": code}}).encode()

    def _split_upload(self, body: bytes) -> tuple[bytes, bytes]:
        """Return the metadata and the content of a multipart upload."""
        boundary = self.headers["Content-Type"].partition('boundary="')[2].rstrip('"').encode()
        _, metadata, content, _ = body.split(b"--" + boundary)
        return metadata.partition(b"\n\n")[2], content.partition(b"\n\n")[2].removesuffix(b"\n")

    def _send_metadata(self, key: str) -> None:
        if key in self.server.objects:
            self._send(200, json.dumps(self._build_metadata(key)).encode())
        else:
            self._send(404, self._build_error("NotFound"))

    def _build_metadata(self, key: str) -> dict[str, Any]:
        bucket, _, name = key.partition("/")
        content = self.server.objects[key]
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        return {
            "name": name,
            "bucket": bucket,
            "size": str(len(content)),
            "md5Hash": base64.b64encode(digest).decode(),
            "updated": "2026-11-20T12:00:00.000Z",
        }

    def _send_list(self) -> None:
        keys, folders = self._find_keys(self._key)
        items = [self._build_metadata(f"{self._key}/{key}") for key in keys]
        self._send(200, json.dumps({"items": items, "prefixes": folders}).encode())

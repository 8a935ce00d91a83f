"""A stand-in for an object store over loopback HTTP: objects in memory, asked as S3 is (path-style)
or as Google's JSON API is."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class ObjectStore(ThreadingHTTPServer):
    """Keeps objects under `bucket/key`, remembers what it was asked as (verb, bucket/key).

    `scheme` is "s3" or "gs". With `refusal`, a status, it answers nothing else; with `other` it
    hands out these bytes for every object, whatever was stored.
    """

    def __init__(self, scheme: str) -> None:
        super().__init__(("127.0.0.1", 0), {"s3": _S3Handler, "gs": _GoogleHandler}[scheme])
        self.scheme = scheme
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.refusal: int | None = None
        self.other: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this store."""
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
    def fetched(self) -> list[str]:
        """The objects that were handed out, in order."""
        return [path for verb, path in self.asked if verb == "GET" and path.endswith(".parquet")]


@contextlib.contextmanager
def running(scheme: str) -> Iterator[ObjectStore]:
    """Serve in a thread for as long as the block lasts."""
    with ObjectStore(scheme) as store:
        thread = threading.Thread(target=store.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield store
        store.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: ObjectStore
    protocol_version = "HTTP/1.1"

    @property
    def _key(self) -> str:
        raise NotImplementedError

    def _fault(self, code: str) -> bytes:
        raise NotImplementedError

    def _query(self, name: str) -> str:
        return parse_qs(urlsplit(self.path).query).get(name, [""])[0]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _is_refused(self) -> bool:
        self.server.asked.append((self.command, self._key))
        if self.server.refusal:
            self._send(self.server.refusal, self._fault("Refused"))
        return self.server.refusal is not None

    def _hand_out(self) -> None:
        """An object, or the part of it that is asked for."""
        content = self.server.objects.get(self._key)
        if content is None:
            self._send(404, self._fault("NoSuchKey"))
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

    def _listed(self, bucket: str) -> tuple[list[str], list[str]]:
        """The keys below the prefix that is asked for, and the folders."""
        prefix, delimiter = self._query("prefix"), self._query("delimiter")
        keys = [key.removeprefix(f"{bucket}/") for key in sorted(self.server.objects)]
        keys = [key for key in keys if key.startswith(prefix)]
        folders = {
            prefix + key.removeprefix(prefix).partition(delimiter)[0] + delimiter
            for key in keys
            if delimiter and delimiter in key.removeprefix(prefix)
        }
        there = [key for key in keys if not any(key.startswith(folder) for folder in folders)]
        return there, sorted(folders)

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


class _S3Handler(_Handler):
    def do_GET(self) -> None:
        if self._is_refused():
            return
        if self._query("list-type"):
            self._list()
        else:
            self._hand_out()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        body = self._body()
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

    def _fault(self, code: str) -> bytes:
        return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()

    def _list(self) -> None:
        bucket = self._key.rstrip("/")
        keys, folders = self._listed(bucket)
        found = [
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.server.objects[f'{bucket}/{key}'])}</Size>"
            '<LastModified>2026-11-20T12:00:00.000Z</LastModified><ETag>"x"</ETag>'
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys
        ] + [
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in folders
        ]
        answer = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
            f'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{escape(bucket)}</Name>'
            f"<Prefix>{escape(self._query('prefix'))}</Prefix><KeyCount>{len(found)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{''.join(found)}"
            "</ListBucketResult>"
        )
        self._send(200, answer.encode())


class _GoogleHandler(_Handler):
    """As https://cloud.google.com/storage/docs/json_api/v1 has it."""

    def do_GET(self) -> None:
        if self._is_refused():
            return
        if self._query("alt") == "media":
            self._hand_out()
        elif "/" in self._key:
            self._describe(self._key)
        else:
            self._list()

    def do_POST(self) -> None:
        described, content = self._parts(self._body())
        if self._is_refused():
            return
        key = f"{self._key}/{json.loads(described)['name']}"
        self.server.objects[key] = content
        self._describe(key)

    def do_DELETE(self) -> None:
        if self._is_refused():
            return
        is_there = self.server.objects.pop(self._key, None) is not None
        self._send(204 if is_there else 404, b"")

    @property
    def _key(self) -> str:
        path = urlsplit(self.path).path.partition("/storage/v1/b/")[2]
        bucket, _, key = path.partition("/o")
        return unquote(f"{bucket}{key}")

    def _fault(self, code: str) -> bytes:
        return json.dumps({"error": {"message": code}}).encode()

    def _parts(self, body: bytes) -> tuple[bytes, bytes]:
        """What a multipart upload tells of its object, and the object."""
        boundary = self.headers["Content-Type"].partition('boundary="')[2].rstrip('"').encode()
        _, told, content, _ = body.split(b"--" + boundary)
        return told.partition(b"\n\n")[2], content.partition(b"\n\n")[2].removesuffix(b"\n")

    def _describe(self, key: str) -> None:
        if key in self.server.objects:
            self._send(200, json.dumps(self._described(key)).encode())
        else:
            self._send(404, self._fault("NotFound"))

    def _described(self, key: str) -> dict[str, Any]:
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

    def _list(self) -> None:
        keys, folders = self._listed(self._key)
        items = [self._described(f"{self._key}/{key}") for key in keys]
        self._send(200, json.dumps({"items": items, "prefixes": folders}).encode())

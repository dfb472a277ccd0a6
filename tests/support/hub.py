"""A server that speaks as much of the Hugging Face Hub's protocol as reading a dataset takes, on this machine."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0" * 40


class Hub(ThreadingHTTPServer):
    """Serves one dataset, the files of a folder, under a name; notes the paths it was asked for."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name, self.files, self.asked = name, {path.name: path.read_bytes() for path in root.iterdir()}, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        path, files, name = unquote(urlsplit(self.path).path), self.server.files, re.escape(self.server.name)
        self.server.asked.append(f"{self.command} {path}")
        if re.fullmatch(rf"/api/datasets/{name}(/revision/\w+)?", path):
            siblings = [{"rfilename": file} for file in files]
            self._send({"id": self.server.name, "sha": COMMIT, "private": False, "siblings": siblings})
        elif re.fullmatch(rf"/api/datasets/{name}/tree/\w+", path):
            about = {file: {"size": len(content), "oid": _digest(content)} for file, content in files.items()}
            self._send([{"type": "file", "path": file, **more} for file, more in about.items()])
        elif (asked := re.fullmatch(rf"/datasets/{name}/resolve/\w+/(.*)", path)) and asked[1] in files:
            content = files[asked[1]]
            self._send(content, ETag=f'"{_digest(content)}"', **{"X-Repo-Commit": COMMIT})
        else:
            missing = "EntryNotFound" if f"/datasets/{self.server.name}/" in path else "RepoNotFound"
            self._send({}, status=404, **{"X-Error-Code": missing})

    do_HEAD = do_GET

    def _send(self, body: object, status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()

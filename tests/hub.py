"""A small model hub over loopback: serves folders as repositories, in the few calls that downloading a snapshot makes."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(repositories: dict[str, Path], *, refused: str = ""):
    """Serve `repositories` ({id: folder}) without the file `refused`; give the address and the list of what was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(repositories, refused))
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.requests
    finally:
        server.shutdown()
        server.server_close()


def _handler(repositories: dict[str, Path], refused: str):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def _answer(self, body: bool):
            path = unquote(urlparse(self.path).path)
            self.server.requests.append(f"{self.command} {path}")
            for name, folder in repositories.items():
                if path.startswith(f"/api/models/{name}/revision/") or path == f"/api/models/{name}":
                    files = [{"rfilename": file.name} for file in sorted(folder.iterdir())]
                    return self._json({"id": name, "modelId": name, "sha": COMMIT, "siblings": files, "private": False})
                if path.startswith(f"/api/models/{name}/tree/"):
                    files = sorted(folder.iterdir())
                    return self._json([_entry(file) for file in files])
                if path.startswith(f"/{name}/resolve/"):
                    return self._file(folder / path.rsplit("/", 1)[-1], body)
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _json(self, value):
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _file(self, file: Path, body: bool):
            if not file.is_file():
                return self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            data = file.read_bytes()
            if body and file.name == refused:
                return self._send(403, b"", {"X-Error-Message": "refused"})
            headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._send(200, data, headers, body)

        def _send(self, status: int, data: bytes, headers: dict, body: bool = True):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if body and self.command == "GET":
                self.wfile.write(data)

    return Handler


def _entry(file: Path) -> dict:
    data = file.read_bytes()
    return {"type": "file", "path": file.name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

"""A small hub over loopback: serves folders as models and data sets, in the few calls that downloading a snapshot makes.

It also takes uploads: what is committed to a repository lands in the folder `uploads` that it is given.
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

import yaml

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_ASKED = re.compile(r"/([0-9a-f]{40})(?:/|$)")  # a revision that is a commit is answered with that commit


@contextmanager
def serve(repositories: dict[str, Path], *, refused: str = "", uploads: Path | None = None, token: str = ""):
    """Serve `repositories` ({id: folder}) without the file `refused`; give the address and the list of what was asked.

    uploads: where commits to any repository land, in a folder by its name; only who shows `token` may write.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(repositories, refused, uploads, token))
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.requests
    finally:
        server.shutdown()
        server.server_close()


def _handler(repositories: dict[str, Path], refused: str, uploads: Path | None, token: str):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def do_POST(self):
            self._take(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def do_PUT(self):
            self._take(self.rfile.read(int(self.headers["Content-Length"])))

        def _take(self, data: bytes):
            path = unquote(urlparse(self.path).path)
            self.server.requests.append(f"{self.command} {path}")
            if uploads is None or self.command == "PUT":
                return self._stored(path, data)
            if self.headers.get("Authorization") != f"Bearer {token}":
                return self._send(401, b'{"error": "who are you?"}', {"X-Error-Message": "who are you?"})
            if path == "/api/repos/create":
                asked = json.loads(data)
                name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
                (uploads / name).mkdir(parents=True, exist_ok=True)
                (uploads / name / ".private").write_text(asked.get("visibility") or str(asked.get("private")))
                return self._json({"url": f"http://{self.headers['Host']}/{name}"})
            if path == "/api/validate-yaml":
                return self._json({"errors": _wrong_yaml(json.loads(data)["content"]), "warnings": []})
            name, _, _ = path.removeprefix("/api/models/").rpartition("/")
            name, _, action = name.rpartition("/")
            if action == "preupload":
                return self._json({"files": [_how(file) for file in json.loads(data)["files"]]})
            if path.endswith("/info/lfs/objects/batch"):
                objects = [self._place(each) for each in json.loads(data)["objects"]]
                return self._json({"transfer": "basic", "objects": objects})
            if action == "commit":
                return self._commit(name, data)
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _place(self, each: dict) -> dict:
            href = f"http://{self.headers['Host']}/lfs/{each['oid']}"
            return {**each, "actions": {"upload": {"href": href}}}

        def _stored(self, path: str, data: bytes):
            (uploads / path.rpartition("/")[2]).write_bytes(data)
            self._send(200, b"", {})

        def _commit(self, name: str, data: bytes):
            for line in map(json.loads, data.splitlines()):
                value = line["value"]
                target = uploads / name / value.get("path", "")
                target.parent.mkdir(parents=True, exist_ok=True)
                if line["key"] == "file":
                    target.write_bytes(base64.b64decode(value["content"]))
                elif line["key"] == "lfsFile":
                    (uploads / value["oid"]).rename(target)
            address = f"http://{self.headers['Host']}/{name}/commit/{COMMIT}"
            self._json({"commitUrl": address, "commitOid": COMMIT, "pullRequestUrl": None})

        def _answer(self, body: bool):
            path = unquote(urlparse(self.path).path)
            self.server.requests.append(f"{self.command} {path}")
            for name, folder in repositories.items():
                for api, files_at in (
                    (f"/api/models/{name}", f"/{name}"),
                    (f"/api/datasets/{name}", f"/datasets/{name}"),
                ):
                    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
                    if path.startswith(f"{api}/revision/") or path == api:
                        siblings = [{"rfilename": file.relative_to(folder).as_posix()} for file in files]
                        told = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "private": False}
                        return self._json(told)
                    if path.startswith(f"{api}/tree/"):
                        return self._json([_entry(file, folder) for file in files])
                    if path.startswith(f"{files_at}/resolve/"):
                        return self._file(folder / path.removeprefix(f"{files_at}/resolve/").partition("/")[2], body)
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _json(self, value):
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _file(self, file: Path, body: bool):
            if not file.is_file():
                return self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            data = file.read_bytes()
            if body and file.name == refused:
                return self._send(403, b"", {"X-Error-Message": "refused"})
            asked = _ASKED.search(self.path)
            commit = asked[1] if asked else COMMIT
            headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": commit}
            self._send(200, data, headers, body)

        def _send(self, status: int, data: bytes, headers: dict, body: bool = True):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if body and self.command in ("GET", "POST"):
                self.wfile.write(data)

    return Handler


def _wrong_yaml(card: str) -> list[dict]:
    """What is wrong with the lines between a card's dashes."""
    try:
        told = yaml.safe_load(card.split("---\n")[1])
        missing = {"library_name", "pipeline_tag", "tags"} - set(told)
        return [{"message": f"no {name}"} for name in missing]
    except (yaml.YAMLError, IndexError) as error:
        return [{"message": str(error)}]


def _how(file: dict) -> dict:
    """Weights go by git-lfs, everything else within the commit."""
    mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}


def _entry(file: Path, folder: Path) -> dict:
    data = file.read_bytes()
    return {
        "type": "file",
        "path": file.relative_to(folder).as_posix(),
        "size": len(data),
        "oid": hashlib.sha1(data).hexdigest(),
    }

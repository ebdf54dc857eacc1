"""A W&B server on 127.0.0.1: just enough of the protocol to take in one run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = {"id": "e", "name": "somebody"}
BUCKET = {"id": "run", "name": "run", "displayName": "run", "historyLineCount": 0}
VIEWER = {"id": "v", "entity": "somebody", "username": "u", "flags": "{}", "teams": {"edges": []}}


class Server(ThreadingHTTPServer):
    """Keeps the run that was opened and the history lines; stalls or refuses when told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.runs: list[dict[str, Any]] = []  # variables of each UpsertBucket
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.requests = 0
        self.stalled = threading.Event()
        self.status = 200

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests += 1
        while self.server.stalled.is_set():
            time.sleep(0.05)
        if self.path.endswith("/graphql"):
            self.reply(self.answer(**json.loads(body)))
        elif self.path.endswith("/file_stream"):
            self.store(json.loads(body).get("files", {}))
            self.reply({"exitcode": None, "limits": {}})
        else:
            self.reply({})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.reply({})

    def answer(self, query: str, variables: dict[str, Any] | None = None, **_: object) -> object:
        given = variables or {}
        if "UpsertBucket" in query:
            self.server.runs.append(given)
            project = {"id": "p", "name": "seqcontrast", "entity": ENTITY}
            bucket = BUCKET | {"name": given.get("name"), "project": project}
            return {"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}
        if "CreateRunFiles" in query:
            files = [{"name": f, "uploadUrl": f"{self.server.url}/{f}"} for f in given["files"]]
            made = {"runID": "run", "uploadHeaders": [], "files": files}
            return {"data": {"createRunFiles": made}}
        if "ServerFeatures" in query:
            return {"data": {"serverInfo": {"features": []}}}
        if "Viewer" in query:
            return {"data": {"viewer": VIEWER}}
        return {"errors": [{"message": "not known here"}]}

    def store(self, files: dict[str, Any]) -> None:
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            self.server.history.append(json.loads(line))
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.server.summary = json.loads(line)

    def reply(self, answer: object) -> None:
        data = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server for the length of the block."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.stalled.clear()
        server.shutdown()
        server.server_close()
        thread.join()

"""`cityevents dev` on a folder of its own, to be called over HTTP."""

import http.client
import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PASSWORD = "correct horse battery"
READY = re.compile(r"cityevents is ready at http://(\S+) \(operations at http://(\S+)\)")
# On a machine that does other things as well, a decision or an end can take longer than people are
# asked to wait.
PATIENT = {
    "CITYEVENTS__INGEST__WAIT": "20s",
    "CITYEVENTS__INGEST__WAIT_MAX": "20s",
    "CITYEVENTS__OPS__SHUTDOWN_BUDGET": "50s",
}
EVENT = {
    "title": "Night of lights",
    "description": "Bring a lamp.",
    "city": "Porto",
    "category": "art",
    "start_time": "2099-06-01T20:00:00Z",
    "end_time": "2099-06-01T23:00:00Z",
}


class Instance:
    """Without rate limits. `binary`: one that is built already; `None` has cargo build it."""

    def __init__(self, folder: Path, binary: Path | None, settings: dict[str, str]):
        self.data = folder / "data"
        self.log = folder / "log"
        environment = {**os.environ, **PATIENT, "CITYEVENTS__LIMITS__ENABLED": "false", **settings}
        listen = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]
        build = ["cargo", "run", "--locked", "--quiet", "--"]
        self.command = [binary.resolve()] if binary else build
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*self.command, "dev", *listen, "--data", self.data],
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.address, self.operations = self.wait()

    def wait(self) -> tuple[str, str]:
        # Nothing but the log tells; reading it again costs nothing.
        while self.process.poll() is None:
            found = READY.search(self.log.read_text())
            if found:
                return found.groups()
            try:
                self.process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                pass
        sys.exit(f"the instance did not start:\n{self.log.read_text()}")

    def call(self, method: str, path: str, body=None, token=None, headers=None):
        """Status and body; without the body of a stream, which has no end."""
        headers = {"Idempotency-Key": secrets.token_hex(8), **(headers or {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        answer = self.ask(method, path, body, headers)
        if answer.getheader("content-type", "").startswith("text/event-stream"):
            return answer.status, None
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith(b"{") else text

    def ask(self, method: str, path: str, body, headers) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request(method, path, body=body, headers=headers)
        return connection.getresponse()

    def stop(self):
        self.process.terminate()
        self.process.wait()

#!/usr/bin/env python3
"""Holds one join against the trace that a real OTLP receiver has of it.

`cityevents dev` hands its spans to rotel, a receiver of OpenTelemetry, which reads them and hands them
on to this program. One join by HTTP, with its mail, must be one trace: every span by name, every
parent, and the links of what was done for many at once. Then the receiver goes away: joins go on as if
nothing were, that is said once, and what waited arrives when the receiver is back.

    ops/tracing/check.py
    ops/tracing/check.py --binary target/debug/cityevents
"""

import argparse
import contextlib
import email
import email.policy
import gzip
import http.client
import http.server
import os
import random
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Compiled modules would be litter in the work tree.
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent))

from checking.instance import EVENT as SOME_EVENT  # noqa: E402
from checking.instance import PASSWORD, Instance  # noqa: E402
from servers.ports import is_free  # noqa: E402
from servers.provision import Cache, default_cache  # noqa: E402

# How long anything may take to come on a busy machine.
PATIENCE = 60
JOIN = "POST /api/events/{id}/join"
# Each span of a join, and the one that caused it.
TREE = {
    "ingest append": JOIN,
    "registration decide": "ingest append",
    "projection write": "registration decide",
    "notifier tell": "registration decide",
    "mailer send": "notifier tell",
}
# What is done for many at once, and the span of the join that it links to.
BURSTS = {
    "registration burst": "ingest append",
    "projection batch": "registration decide",
    "notifier batch": "registration decide",
}
EVENT = {**SOME_EVENT, "capacity": 100}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, help="a cityevents that is built already")
    arguments = parser.parse_args()
    folder = provision()
    if Path(sys.prefix) != folder:
        # Again, with what reads the messages of the receiver.
        python = folder / "bin" / "python"
        os.execv(python, [python, "-B", __file__, *sys.argv[1:]])
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cityevents-tracing.")))
        spans = Spans()
        stack.callback(spans.server.shutdown)
        receiver = Receiver(work, spans)
        stack.callback(receiver.stop)
        receiver.start()
        instance = Traced(work, receiver.address, arguments.binary)
        stack.callback(instance.stop)
        world = World(instance)
        check_join(world, spans)
        check_account(world, spans)
        check_outage(world, spans, receiver)
    print("a join is one trace, and a receiver that is away costs nobody anything")
    return 0


def provision() -> Path:
    """An environment with receiver and messages, kept for the next run."""
    wanted = (HERE / "requirements.txt").read_text().split()
    return Cache(default_cache(), print).python("tracing", wanted[0].partition("==")[2], wanted)


def wait_for(what: str, look):
    """What `look` finds, once it does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


class Spans:
    """What the receiver has handed on."""

    def __init__(self):
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        self.taken, lock = [], threading.Lock()
        request, answer = trace_service_pb2.ExportTraceServiceRequest, b""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                if handler.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                with lock:
                    self.taken.append(request.FromString(body))
                handler.send_response(200)
                handler.send_header("Content-Type", "application/x-protobuf")
                handler.send_header("Content-Length", str(len(answer)))
                handler.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def all(self) -> list:
        resources = [one for request in list(self.taken) for one in request.resource_spans]
        for one in resources:
            named = {pair.key: pair.value.string_value for pair in one.resource.attributes}
            assert named["service.name"] == "cityevents" and named["service.instance.id"], named
        return [span for one in resources for scope in one.scope_spans for span in scope.spans]

    def of(self, trace: str) -> dict:
        """By name."""
        return {span.name: span for span in self.all() if span.trace_id.hex() == trace}


class Receiver:
    """rotel, on an address of its own."""

    def __init__(self, work: Path, spans: Spans):
        import rotel

        self.program = Path(rotel.__file__).parent / "rotel-agent"
        self.address, self.work, self.spans, self.process = free_address(), work, spans, None

    def start(self):
        command = [
            *(self.program, "start"),
            *("--otlp-http-endpoint", self.address, "--otlp-grpc-endpoint", free_address()),
            *("--exporter", "otlp", "--otlp-exporter-protocol", "http"),
            *("--otlp-exporter-endpoint", f"http://127.0.0.1:{self.spans.server.server_port}"),
            *("--pid-file", self.work / "rotel.pid", "--log-file", self.work / "rotel.log"),
        ]
        with (self.work / "rotel.out").open("a") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        wait_for("the receiver listens", self.listens)

    def listens(self) -> bool:
        assert self.process.poll() is None, (self.work / "rotel.out").read_text()
        host, port = self.address.split(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return True
        return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def free_address() -> str:
    """Below the ports that the system gives to whoever asks for any: nobody takes it meanwhile."""
    port = next(port for port in random.sample(range(20_000, 32_000), 1_000) if is_free(port))
    return f"127.0.0.1:{port}"


class Traced(Instance):
    """An instance that keeps every trace."""

    def __init__(self, work: Path, receiver: str, binary: Path | None):
        settings = {
            "CITYEVENTS__TELEMETRY__LOG_FORMAT": "json",
            "CITYEVENTS__TELEMETRY__OTLP_ENDPOINT": f"http://{receiver}",
            "CITYEVENTS__TELEMETRY__TRACE_RATIO": "1.0",
        }
        super().__init__(work, binary, settings)

    def count(self, outcome: str) -> int:
        connection = http.client.HTTPConnection(self.operations, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        series = re.escape(f'cityevents_trace_spans_total{{outcome="{outcome}"}}')
        return int(re.search(rf"^{series} (\d+)$", text, re.MULTILINE)[1])

    def mails(self) -> list:
        files = (self.data / "mails").glob("*.eml")
        return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]


class World:
    """A published event, and people who join it."""

    def __init__(self, instance: Traced):
        self.instance, self.people = instance, 0
        _, organiser = self.register()
        _, event = instance.call("POST", "/api/events", EVENT, organiser)
        self.event = event["id"]
        status, answer = instance.call("POST", f"/api/events/{self.event}/publish", None, organiser)
        assert status == 200, answer

    def register(self, parent: str | None = None):
        """Address and token of somebody new."""
        self.people += 1
        address = f"person-{self.people}@example.org"
        body = {"email": address, "password": PASSWORD, "name": f"Person {self.people}"}
        headers = {"traceparent": parent} if parent else {}
        status, answer = self.instance.call("POST", "/api/auth/register", body, headers=headers)
        assert status == 201, answer
        return address, answer["data"]["tokens"]["access_token"]

    def join(self, trace: str, parent: str) -> str:
        """Somebody new joins; their address."""
        address, token = self.register()
        headers = {"traceparent": f"00-{trace}-{parent}-00"}
        path = f"/api/events/{self.event}/join"
        status, answer = self.instance.call("POST", path, None, token, headers)
        assert status == 200, answer
        return address


def check_join(world: World, spans: Spans):
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    address = world.join(trace, caller)
    names = {JOIN, *TREE}
    wait_for(f"the spans {names}", lambda: names <= set(spans.of(trace)))
    found = spans.of(trace)
    assert set(found) == names, set(found) - names
    assert found[JOIN].parent_span_id.hex() == caller
    for name, parent in TREE.items():
        assert found[name].parent_span_id == found[parent].span_id, (name, parent)
        assert found[name].start_time_unix_nano <= found[name].end_time_unix_nano, name
    assert all(span.status.code == 0 for span in found.values()), found
    attributes = {pair.key: pair.value for pair in found[JOIN].attributes}
    assert attributes["http.route"].string_value == "/api/events/{id}/join", attributes
    assert attributes["http.response.status_code"].int_value == 200, attributes
    for name, linked in BURSTS.items():
        linked = found[linked].span_id

        def links_to(span) -> bool:
            return any(link.trace_id.hex() == trace and link.span_id == linked for link in span.links)

        def look() -> list:
            return [span for span in spans.all() if span.name == name and links_to(span)]

        bursts = wait_for(f"{name} links to the join", look)
        assert all(span.trace_id.hex() != trace and not span.parent_span_id for span in bursts)
    expected = f"00-{trace}-{found['mailer send'].span_id.hex()}-01"
    mails = [mail for mail in world.instance.mails() if mail["traceparent"] == expected]
    assert len(mails) == 1 and address in mails[0]["to"], mails


def check_account(world: World, spans: Spans):
    """A mail with a link belongs to the request that asked for it."""
    trace = secrets.token_hex(16)
    world.register(f"00-{trace}-{secrets.token_hex(8)}-00")
    names = {"POST /api/auth/register", "mail request", "mailer send"}
    wait_for(f"the spans {names}", lambda: names <= set(spans.of(trace)))
    found = spans.of(trace)
    assert found["mailer send"].parent_span_id == found["mail request"].span_id
    assert found["mail request"].parent_span_id == found["POST /api/auth/register"].span_id


def check_outage(world: World, spans: Spans, receiver: Receiver):
    receiver.stop()
    traces = [secrets.token_hex(16) for _ in range(5)]
    for trace in traces:
        world.join(trace, secrets.token_hex(8))

    def warnings() -> list:
        lines = world.instance.log.read_text().splitlines()
        return [line for line in lines if "cannot be given spans" in line]

    wait_for("a warning", warnings)
    receiver.start()
    for trace in traces:
        wait_for("what waited arrives", lambda: {JOIN, *TREE} <= set(spans.of(trace)))
    assert len(warnings()) == 1, warnings()
    back = "taken at http"
    wait_for("the end is said", lambda: back in world.instance.log.read_text())
    assert world.instance.count("dropped") == 0
    assert world.instance.count("taken") >= len(spans.all())


if __name__ == "__main__":
    sys.exit(main())

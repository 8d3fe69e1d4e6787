#!/usr/bin/env python3
"""Walks the described HTTP contract with schemathesis, against a running instance.

As nobody, as somebody, as the organiser of an event, as a moderator and as an administrator, with
ids that are there and without rate limits: no answer is a server error, every status is described,
and every body is as declared. In the end at least 90 % of the operations must have succeeded at
least once, or the walk has shown little.

    ops/contract/check.py              a new seed, which is printed
    ops/contract/check.py --seed 7     the same walk again
"""

import argparse
import email
import email.policy
import http.server
import json
import random
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Compiled modules would be litter in the work tree.
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent))

from checking.instance import EVENT as SOME_EVENT  # noqa: E402
from checking.instance import PASSWORD, REPOSITORY, Instance  # noqa: E402
from servers.provision import Cache, default_cache  # noqa: E402

# Streams have no end to wait for, and lines of JSON no generator: by hand.
BY_HAND = ["/api/events/{id}/live", "/api/me/live", "/api/ingest"]
# Calls after which the caller is nobody: each with an account that is made for it.
LAST = ["/api/auth/logout", "/api/auth/sessions/revoke", "/api/auth/password/change"]
SUCCEEDED_MIN = 0.9
EVENT = {**SOME_EVENT, "capacity": 3}
CHECKS = ",".join(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    ]
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--examples", type=int, default=15, help="requests for each operation")
    parser.add_argument("--binary", type=Path, help="a cityevents that is built already")
    arguments = parser.parse_args()
    schemathesis = provision()
    print(f"SEED={arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="cityevents-contract.") as folder:
        instance = Contract(Path(folder), arguments.binary)
        try:
            return walk(instance, Path(folder), schemathesis, arguments)
        finally:
            instance.stop()


def provision() -> list:
    """The command of the tool, in an environment of its own that is kept for the next run."""
    wanted = (HERE / "requirements.txt").read_text().split()
    folder = Cache(default_cache(), print).python("contract", wanted[0].partition("==")[2], wanted)
    return [folder / "bin" / "python", "-m", "schemathesis.cli"]


def start_provider() -> str:
    """As much of an OpenID provider as it takes to send people there; nobody comes back from it. The
    whole way is walked in ops/browser. Its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            keys = self.path == "/keys"
            body = json.dumps({"keys": []} if keys else document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = f"http://127.0.0.1:{server.server_port}"
    document = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return issuer


class Contract(Instance):
    """An instance that knows of a provider, and can be asked by the command line too."""

    def __init__(self, folder: Path, binary: Path | None):
        provider = {
            "CITYEVENTS__OAUTH__EXAMPLE__ISSUER": start_provider(),
            "CITYEVENTS__OAUTH__EXAMPLE__CLIENT_ID": "contract",
        }
        super().__init__(folder, binary, provider)

    def run(self, *arguments: str) -> dict:
        done = subprocess.run(
            [*self.command, *arguments, "--data", self.data, "--output", "json"],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout)

    def cookie(self, method: str, path: str, body) -> str:
        """The cookie that an answer sets."""
        answer = self.ask(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer.read()
        return answer.getheader("set-cookie").split(";")[0]


class World:
    """What there is to be asked about."""

    def __init__(self, instance: Instance):
        self.instance = instance
        self.person, person_token = self.register("person")
        self.person_token = person_token
        self.target, _ = self.register("target")
        _, user = self.register("user")
        _, organiser = self.register("organiser")
        self.organiser = organiser
        self.callers = {
            "nobody": None,
            "user": user,
            "organiser": organiser,
            "moderator": self.staff("moderator"),
            "admin": self.staff("admin"),
        }

    def register(self, name: str):
        body = {"email": f"{name}@example.org", "password": PASSWORD, "name": name}
        status, answer = self.instance.call("POST", "/api/auth/register", body)
        assert status == 201, answer
        return answer["data"]["user"]["id"], answer["data"]["tokens"]["access_token"]

    def staff(self, role: str):
        made = self.instance.run("account", "create", "--email", f"{role}@example.org", "--role", role)
        body = {"email": made["email"], "password": made["password"]}
        status, answer = self.instance.call("POST", "/api/auth/login", body)
        assert status == 200, answer
        return answer["data"]["tokens"]["access_token"]

    def publish(self):
        """An event of the organiser that the person has joined, and the command that did it."""
        call = self.instance.call
        _, event = call("POST", "/api/events", EVENT, self.organiser)
        event = event["id"]
        status, answer = call("POST", f"/api/events/{event}/publish", None, self.organiser)
        assert status == 200, answer
        status, answer = call("POST", f"/api/events/{event}/join", None, self.person_token)
        assert status == 200, answer
        return event

    def walk_by_hand(self):
        """Calls that a generator has no body or no key for."""
        call, event, organiser = self.instance.call, self.publish(), self.organiser
        for stream in (f"/api/events/{event}/live", "/api/me/live"):
            status, _ = call("GET", stream, token=self.person_token)
            assert status == 200, (stream, status)
        for path, token in (
            (f"/api/events/{event}/ticket", self.person_token),
            (f"/api/events/{event}/check-in?user_id={self.person}", organiser),
        ):
            status, answer = call("GET", path, token=token)
            assert status == 200, (path, status, answer)
        message = {"to": "all", "subject": "Doors", "text": "They open at seven."}
        for method, path, body in (
            ("PATCH", f"/api/events/{event}", {"capacity": 5}),
            ("POST", f"/api/events/{event}/messages", message),
            ("POST", f"/api/events/{event}/check-in", {"user_id": self.person}),
            ("POST", f"/api/events/{event}/bans", {"user_id": self.person, "reason": "noise"}),
            ("DELETE", f"/api/events/{event}/bans/{self.person}", None),
            ("POST", f"/api/events/{event}/unpublish", None),
            ("POST", f"/api/events/{event}/publish", None),
        ):
            status, answer = call(method, path, body, organiser)
            assert status == 200, (path, status, answer)
        staff, stated = self.callers["moderator"], {"reason": "It breaks the rules."}
        other = self.publish()
        for path, token, body in (
            (f"/api/events/{other}/cancel", self.person_token, None),
            (f"/api/admin/events/{other}/unpublish", staff, stated),
            (f"/api/admin/events/{other}/cancel", staff, stated),
        ):
            status, answer = call("POST", path, body, token)
            assert status == 200, (path, status, answer)
        kicked = f"/api/events/{self.publish()}/participants/{self.person}"
        status, answer = call("DELETE", kicked, None, organiser)
        assert status == 200, answer
        self.sign_in_by_hand()
        self.bring_by_hand()
        line = {
            "type": "join",
            "event_id": event,
            "user_id": self.person,
            "idempotency_key": "bulk",
        }
        made = self.instance.run("api-keys", "create", "--scope", "ingest")
        deadline = time.monotonic() + 30
        status = 401
        # The instance looks at the keys every now and then.
        while status == 401 and time.monotonic() < deadline:
            status, answer = call("POST", "/api/ingest", [line], made["key"])
        assert status == 200, (status, answer)


    def bring_by_hand(self):
        """A picture on its whole way: no generator draws one."""
        call, token = self.instance.call, self.person_token
        self.picture = self.bring("avatar", token)
        for path in (f"/media/{self.picture}/avatar-256.webp", f"/media/{self.picture}/avatar-512.jpg"):
            status, _ = call("GET", path)
            assert status == 200, (path, status)
        status, answer = call("PATCH", "/api/auth/me/avatar", {"upload_id": self.picture}, token)
        assert status == 200, answer
        cover = self.bring("event_cover", self.organiser)
        body = {"cover_image_ids": [cover]}
        status, answer = call("PATCH", f"/api/events/{self.publish()}", body, self.organiser)
        assert status == 200 and cover in answer["cover_image"], answer

    def bring(self, purpose: str, token: str) -> str:
        call = self.instance.call
        status, upload = call("POST", "/api/media/request-upload", {"purpose": purpose}, token)
        assert status == 200, upload
        path = "/api/" + upload["presigned_url"].split("/api/", 1)[1]
        answer = self.instance.ask("PUT", path, picture(), {"Content-Type": "image/png"})
        assert answer.status == 204, answer.read()
        body = {"upload_id": upload["upload_id"]}
        status, answer = call("POST", "/api/media/complete", body, token)
        assert status == 200, answer
        path, deadline = f"/api/media/{upload['upload_id']}/status", time.monotonic() + 60
        while time.monotonic() < deadline:
            status, answer = call("GET", path, token=token, headers={"Prefer": "wait=10"})
            assert status == 200 and answer["status"] != "FAILED", answer
            if answer["status"] == "READY":
                return upload["upload_id"]
        sys.exit(f"the picture is not worked on: {answer}")

    def sign_in_by_hand(self):
        """What needs a cookie, or a link from a mail."""
        call, address = self.instance.call, "by-hand@example.org"
        _, token = self.register("by-hand")
        status, answer = call("POST", "/api/auth/verify-email/confirm", {"token": self.mailed(address)})
        assert status == 204, answer
        _, stranger = self.register("unsubscribing")
        event = self.publish()
        status, answer = call("POST", f"/api/events/{event}/join", None, stranger)
        assert status == 200, answer
        link = self.mailed("unsubscribing@example.org", "night of lights")
        status, answer = call("GET", f"/api/unsubscribe?token={link}")
        assert status == 200 and answer["data"]["on"], answer
        status, answer = call("POST", "/api/unsubscribe", {"token": link})
        assert status == 204, answer
        status, answer = call("POST", "/api/auth/password/reset/request", {"email": address})
        assert status == 204, answer
        link = self.mailed(address, "another password")
        status, answer = call("GET", f"/api/auth/password/reset/validate?token={link}")
        assert status == 200, answer
        body = {"token": link, "new_password": PASSWORD + " again"}
        status, answer = call("POST", "/api/auth/password/reset/confirm", body)
        assert status == 204, answer
        body = {"email": address, "password": PASSWORD + " again"}
        cookie = self.instance.cookie("POST", "/api/auth/login", body)
        headers = {"Cookie": cookie, "Origin": f"http://{self.instance.address}"}
        status, answer = call("POST", "/api/auth/refresh", headers=headers)
        assert status == 200, answer
        token = answer["data"]["tokens"]["access_token"]
        body = {**EVENT, "title": "Later"}
        headers = {"Prefer": "respond-async"}
        status, answer = call("POST", "/api/events", body, token, headers)
        assert status == 202, answer
        status, answer = call("GET", f"/api/commands/{answer['id']}", token=token)
        assert status == 200, answer
        call("POST", "/api/auth/login", {"email": address, "password": PASSWORD + " again"})
        _, sessions = call("GET", "/api/auth/sessions", token=token)
        session = next(one["id"] for one in sessions["data"] if not one["current"])
        status, answer = call("DELETE", f"/api/auth/sessions/{session}", token=token)
        assert status == 204, answer
        body = {"old_password": PASSWORD + " again", "new_password": PASSWORD}
        status, answer = call("POST", "/api/auth/password/change", body, token)
        assert status == 204, answer
        _, answer = call("POST", "/api/auth/login", {"email": address, "password": PASSWORD})
        token = answer["data"]["tokens"]["access_token"]
        status, answer = call("DELETE", "/api/auth/me", token=token)
        assert status == 204, answer

    def mailed(self, address: str, subject: str = "confirm") -> str:
        """The token of a mail, once it is there."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for file in sorted((self.instance.data / "mails").glob("*.eml")):
                mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                if address in mail["to"] and subject in mail["subject"].lower():
                    text = mail.get_body(("plain",)).get_content()
                    return re.search(r"token=(\S+)", text).group(1)
        sys.exit(f"no mail came to {address}")


def picture() -> bytes:
    """A small one, as PNG writes it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 32, 18, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes([200, 90, row * 10]) * 32 for row in range(18))
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def walk(instance: Instance, folder: Path, schemathesis: list, arguments) -> int:
    _, document = instance.call("GET", "/openapi.json")
    world = World(instance)
    world.walk_by_hand()
    failed = []
    for name, token in world.callers.items():
        config = folder / f"{name}.toml"
        config.write_text(configuration(world, token))
        if not run(schemathesis, instance, config, token, arguments, name, BY_HAND + LAST, []):
            failed.append(name)
    for path in LAST:
        name = "leaving-by-" + path.rsplit("/", 1)[1]
        _, leaving = world.register(name)
        config = folder / f"{name}.toml"
        config.write_text(configuration(world, leaving))
        if not run(schemathesis, instance, config, leaving, arguments, name, [], [path]):
            failed.append(name)
    share = succeeded(instance, document)
    if failed:
        print(f"the contract does not hold for: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed or share < SUCCEEDED_MIN else 0


def configuration(world: World, token) -> str:
    """Ids that are there, by the kind of thing that a path is about."""
    event, call = world.publish(), world.instance.call
    calendar, session = "none", world.person
    if token:
        _, link = call("GET", "/api/me/calendar", token=token)
        calendar = link["url"].split("token=")[1]
    kinds = [
        (r"^/api/(admin/)?events/", {"path.id": event, "path.user": world.person}),
        (r"^/api/auth/(mod|admin)/users/", {"path.id": world.target}),
        (r"^/api/auth/sessions/", {"path.id": session}),
        (r"^/api/auth/oauth/", {"path.provider": "example", "query.return_to": "/docs/"}),
        (r"^/(api/)?media/", {"path.id": world.picture, "path.name": "avatar-256.webp"}),
        (r"^/api/me/calendar\.ics", {"query.token": calendar}),
        (r"^/api/meta/cities", {"query.q": "Po"}),
    ]
    lines = []
    for pattern, parameters in kinds:
        values = ", ".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in parameters.items())
        lines += ["[[operations]]", f"include-path-regex = {json.dumps(pattern)}", f"parameters = {{ {values} }}", ""]
    return "\n".join(lines)


def run(tool, instance, config, token, arguments, name, excluded, only) -> bool:
    command = [*tool, "--config-file", config, "run", f"http://{instance.address}/openapi.json"]
    command += ["--phases", "examples,coverage,fuzzing", "--checks", CHECKS, "--mode", "all"]
    command += ["--max-examples", str(arguments.examples), "--seed", str(arguments.seed)]
    command += ["--generation-database", "none", "--request-timeout", "30", "--no-color"]
    command += ["--continue-on-failure"]
    for path in excluded:
        command += ["--exclude-path", path]
    for path in only:
        command += ["--include-path", path]
    if not only:
        # The account is needed for longer.
        command += ["--exclude-operation-id", "erase_account"]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    counted = re.search(r"(\d+) generated.*", done.stdout)
    print(f"{name}: {counted.group(0) if counted else 'nothing generated'}", flush=True)
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
    return done.returncode == 0


def succeeded(instance: Instance, document: dict) -> float:
    """The share of the operations that answered with a success, by the log of the instance."""
    operations = [
        (method.upper(), re.compile("^" + re.sub(r"\\\{[a-z]+\\\}", "[^/]+", re.escape(path)) + "$"), path)
        for path, methods in document["paths"].items()
        for method in methods
    ]
    seen = set()
    # Going somewhere else is what some calls are for.
    line = re.compile(r'"message":"([A-Z]+) (\S+) (?:2\d\d|303)"')
    for method, path in line.findall(instance.log.read_text()):
        bare = path.split("?")[0]
        seen.update(one[::2] for one in operations if one[0] == method and one[1].match(bare))
    missing = [f"{method} {path}" for method, _, path in operations if (method, path) not in seen]
    share = 1 - len(missing) / len(operations)
    print(f"{share:.0%} of {len(operations)} operations succeeded; not: {', '.join(missing) or 'none'}")
    return share


if __name__ == "__main__":
    sys.exit(main())

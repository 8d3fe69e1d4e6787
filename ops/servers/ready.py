"""Whether a server answers in its own protocol. An open port alone proves nothing.

Each function asks one small question and raises `NotReady` with what it got instead of an answer.
"""

import smtplib
import socket
import ssl
import struct
import urllib.error
import urllib.request

# One question; the caller asks again until its own deadline.
ANSWER_WITHIN_SECONDS = 3.0


class NotReady(Exception):
    """Not yet; the message says what is missing."""


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_SECONDS)


def receive(connection: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise NotReady("the connection was closed")
        parts += part
    return parts


def http(url: str) -> bytes:
    """The body of an answer that is 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_WITHIN_SECONDS) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise NotReady(f"{url} answered {error.code}") from error
    except (OSError, ValueError) as error:
        raise NotReady(f"{url}: {error}") from error


def kafka_request(connection: socket.socket, key: int, version: int, body: bytes) -> bytes:
    """One request with header version 1 and the body of its answer."""
    client = b"ops-stack"
    request = struct.pack(">hhih", key, version, 7, len(client)) + client + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", receive(connection, 4))
    answer = receive(connection, length)
    if struct.unpack(">i", answer[:4])[0] != 7:
        raise NotReady("an answer to a question that was not asked")
    return answer[4:]


def kafka_versions(connection: socket.socket) -> None:
    """ApiVersions, the one request that every broker answers before anything else."""
    (error,) = struct.unpack(">h", kafka_request(connection, 18, 0, b"")[:2])
    if error != 0:
        raise NotReady(f"ApiVersions answered error {error}")


def kafka(port: int, brokers: int) -> None:
    """The broker knows so many brokers that take requests, itself among them, and a controller."""
    try:
        with connect(port) as connection:
            kafka_versions(connection)
            # Metadata version 1 with an empty list of topics: brokers and controller only.
            answer = kafka_request(connection, 3, 1, struct.pack(">i", 0))
    except OSError as error:
        raise NotReady(f"port {port}: {error}") from error
    alive, controller, ports = kafka_metadata(answer)
    if alive < brokers:
        raise NotReady(f"{alive} of {brokers} brokers are there")
    if controller < 0 or port not in ports:
        raise NotReady("the broker has no controller, or is not part of the cluster yet")


def kafka_metadata(answer: bytes) -> tuple[int, int, set[int]]:
    """Count of brokers, id of the controller and ports of the brokers from a Metadata v1 answer."""
    (count,) = struct.unpack(">i", answer[:4])
    at, ports = 4, set()
    for _ in range(count):
        (host_length,) = struct.unpack(">h", answer[at + 4 : at + 6])
        at += 6 + host_length
        port, rack_length = struct.unpack(">ih", answer[at : at + 6])
        ports.add(port)
        at += 6 + max(rack_length, 0)
    (controller,) = struct.unpack(">i", answer[at : at + 4])
    return count, controller, ports


def kafka_tls(port: int, authority: str) -> None:
    """The handshake is made, the certificate is good, and a broker answers behind it."""
    try:
        context = ssl.create_default_context(cafile=authority)
        with (
            connect(port) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            kafka_versions(connection)
    except OSError as error:
        raise NotReady(f"port {port}: {error}") from error


def cql_request(connection: socket.socket, operation: int, body: bytes) -> int:
    """One frame of protocol version 4; the operation of its answer."""
    connection.sendall(struct.pack(">BBhBi", 4, 0, 1, operation, len(body)) + body)
    _, _, _, answered, length = struct.unpack(">BBhBi", receive(connection, 9))
    receive(connection, length)
    return answered


def cassandra(port: int) -> None:
    """OPTIONS is answered SUPPORTED, STARTUP is answered READY, and a row can be read."""
    try:
        with connect(port) as connection:
            if cql_request(connection, 0x05, b"") != 0x06:
                raise NotReady("OPTIONS was refused")
            if cql_request(connection, 0x01, b"\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0") != 0x02:
                raise NotReady("STARTUP was refused")
            query = b"SELECT key FROM system.local"
            # Consistency ONE, no flags.
            body = struct.pack(">i", len(query)) + query + struct.pack(">hB", 1, 0)
            if cql_request(connection, 0x07, body) != 0x08:
                raise NotReady("a query was refused")
    except OSError as error:
        raise NotReady(f"port {port}: {error}") from error


def redis(port: int) -> None:
    """PING is answered PONG; while it loads its data, it answers an error."""
    try:
        with connect(port) as connection:
            connection.sendall(b"PING\r\n")
            answer = receive(connection, 7)
    except OSError as error:
        raise NotReady(f"port {port}: {error}") from error
    if answer != b"+PONG\r\n":
        raise NotReady(f"PING was answered {answer!r}")


def postgres(port: int, user: str, database: str) -> None:
    """A session is opened; a server that still recovers answers an error instead."""
    words = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
    try:
        with connect(port) as connection:
            connection.sendall(struct.pack(">ii", 8 + len(words), 196608) + words)
            kind = receive(connection, 1)
            (length,) = struct.unpack(">i", receive(connection, 4))
            body = receive(connection, length - 4)
            connection.sendall(b"X\x00\x00\x00\x04")
    except OSError as error:
        raise NotReady(f"port {port}: {error}") from error
    if kind != b"R":
        raise NotReady(body.replace(b"\0", b" ").decode(errors="replace"))


def smtp(port: int, authority: str) -> None:
    """STARTTLS with a certificate that the authority signed, and a server that wants a password."""
    try:
        with smtplib.SMTP("localhost", port, timeout=ANSWER_WITHIN_SECONDS) as client:
            client.starttls(context=ssl.create_default_context(cafile=authority))
            client.ehlo()
            if not client.has_extn("auth"):
                raise NotReady("the mail server does not ask for a password")
    except (OSError, smtplib.SMTPException) as error:
        raise NotReady(f"the mail server: {error}") from error

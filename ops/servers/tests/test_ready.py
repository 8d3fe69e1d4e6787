"""A port that is open is not an answer."""

import socket
import struct
import threading
import unittest

from servers import ready
from servers.ready import NotReady

PROBES = {
    "kafka": lambda port: ready.kafka(port, brokers=1),
    "cassandra": ready.cassandra,
    "redis": ready.redis,
    "postgres": lambda port: ready.postgres(port, "user", "database"),
    "http": lambda port: ready.http(f"http://127.0.0.1:{port}/"),
}


class Silent:
    """Listens, gives one answer to whoever speaks first, and hangs up."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(self.answer)

    def close(self) -> None:
        self.thread.join()
        self.listener.close()


class Answers(unittest.TestCase):
    def ask(self, name: str, answer: bytes) -> None:
        server = Silent(answer)
        self.addCleanup(server.close)
        PROBES[name](server.port)

    def test_a_closed_port_is_not_ready(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        for name, probe in PROBES.items():
            with self.subTest(name), self.assertRaises(NotReady):
                probe(port)

    def test_a_server_that_hangs_up_is_not_ready(self) -> None:
        for name in PROBES:
            with self.subTest(name), self.assertRaises(NotReady):
                self.ask(name, b"")

    def test_an_error_in_the_server_s_own_words_is_not_ready(self) -> None:
        answers = {
            "kafka": struct.pack(">iih", 6, 7, 35),
            "cassandra": struct.pack(">BBhBi", 0x84, 0, 1, 0x00, 0),
            "redis": b"-LOADING Redis is loading\r\n",
            "postgres": b"E"
            + struct.pack(">i", 4 + 20)
            + b"M"
            + b"starting up".ljust(18, b".")
            + b"\0",
            "http": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        }
        for name, answer in answers.items():
            with self.subTest(name), self.assertRaises(NotReady):
                self.ask(name, answer)

    def test_a_good_answer_is_enough(self) -> None:
        self.ask("redis", b"+PONG\r\n")
        self.ask("postgres", b"R" + struct.pack(">ii", 8, 0))
        self.ask("http", b"HTTP/1.1 204 No Content\r\n\r\n")

    def test_brokers_and_controller_are_read_from_metadata(self) -> None:
        def broker(node: int, port: int, rack: bytes | None) -> bytes:
            tail = struct.pack(">h", -1) if rack is None else struct.pack(">h", len(rack)) + rack
            return struct.pack(">ih", node, 9) + b"127.0.0.1" + struct.pack(">i", port) + tail

        answer = struct.pack(">i", 2) + broker(1, 19192, None) + broker(2, 19193, b"north")
        answer += struct.pack(">ii", 2, 0)
        self.assertEqual(ready.kafka_metadata(answer), (2, 2, {19192, 19193}))


class MailServer(unittest.TestCase):
    """It speaks first."""

    def ask(self, greeting: bytes, abilities: bytes) -> None:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(greeting)
                while connection.recv(4096):
                    connection.sendall(abilities)

        listener = socket.create_server(("localhost", 0))
        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(listener.close)
        self.addCleanup(thread.join)
        ready.smtp(listener.getsockname()[1], "/nonexistent/authority.pem")

    def test_one_that_is_not_open_or_not_secured_is_not_ready(self) -> None:
        with socket.create_server(("localhost", 0)) as listener:
            port = listener.getsockname()[1]
        with self.assertRaises(NotReady):
            ready.smtp(port, "/nonexistent/authority.pem")
        for greeting, abilities in (
            (b"554 no service\r\n", b""),
            (b"220 here\r\n", b"250 here\r\n"),
        ):
            with self.subTest(greeting), self.assertRaises(NotReady):
                self.ask(greeting, abilities)

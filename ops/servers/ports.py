"""Which port each listener gets: the fixed one, the one it had, its usual one, or the next free.

All servers listen on the loopback address only. A port that was once given is stored by the caller,
so that clients find a server where it was after a restart.
"""

import socket
from collections.abc import Callable, Iterable

from .errors import StackError, UsageError

# Usual ports, by listener. Their order is also their place after --port-base. They lie below the
# range from which Linux takes ports for outgoing connections (32768 and up), so that no client of
# ours can sit on one by chance.
USUAL = {
    "kafka": 19092,
    "kafka.controller": 19093,
    "cassandra": 19042,
    "cassandra.storage": 19043,
    "registry": 18081,
    "postgres": 15432,
    "redis": 16379,
    "s3": 15000,
    "connect": 18083,
    "kafka-cluster/1": 19192,
    "kafka-cluster/2": 19193,
    "kafka-cluster/3": 19194,
    "kafka-cluster/1.controller": 19195,
    "kafka-cluster/2.controller": 19196,
    "kafka-cluster/3.controller": 19197,
    "kafka-tls": 19292,
    "kafka-tls.expired": 19293,
    "kafka-tls.inner": 19294,
    "kafka-tls.controller": 19295,
    "smtp": 10025,
}

# The product's own listeners (public and operations) are there.
KEPT_FREE = {8080, 9090}

HIGHEST = 65535
# How far from its usual place a listener may be moved before something is badly wrong.
TRIES = 2000


def is_free(port: int) -> bool:
    """Whether a server could listen there now. Connections in TIME_WAIT do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def parse_fixed(texts: Iterable[str]) -> dict[str, int]:
    """Reads `--port kafka=19092`, given any number of times."""
    fixed: dict[str, int] = {}
    for text in texts:
        listener, equals, number = text.partition("=")
        if not equals:
            raise UsageError(f"--port {text}: write LISTENER=NUMBER, for example kafka=19092")
        if listener not in USUAL:
            raise UsageError(f"--port {text}: no such listener; known: {', '.join(USUAL)}")
        fixed[listener] = check(number, f"--port {text}")
    numbers = list(fixed.values())
    for number in numbers:
        if numbers.count(number) > 1:
            raise UsageError(f"--port: {number} is given to two listeners")
    return fixed


def check(text: str, option: str) -> int:
    """A port number that may be asked for."""
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= HIGHEST:
        raise UsageError(f"{option}: a port is a number from 1024 to {HIGHEST}")
    if int(text) in KEPT_FREE:
        raise UsageError(f"{option}: {text} is kept free for the product")
    return int(text)


def check_base(text: str) -> int:
    """The first of a row of ports, one a listener."""
    base = check(text, f"--port-base {text}")
    if base + len(USUAL) - 1 > HIGHEST:
        raise UsageError(f"--port-base {text}: at most {HIGHEST - len(USUAL) + 1}")
    return base


def choose(
    listeners: Iterable[str],
    stored: dict[str, int],
    fixed: dict[str, int],
    base: int | None,
    free: Callable[[int], bool] = is_free,
) -> dict[str, int]:
    """Ports for listeners that are all closed now.

    A fixed port that is taken is an error, since somebody counts on it; from every other choice
    the listener moves on to the next free port.
    """
    order = list(USUAL)
    chosen: dict[str, int] = {}
    for listener in listeners:
        if listener in fixed:
            port = fixed[listener]
            if not free(port):
                raise StackError(
                    f"port {port} is taken by another program: stop it, or give {listener} another"
                    f" port with --port {listener}=NUMBER"
                )
            chosen[listener] = port
            continue
        if base is not None:
            first = base + order.index(listener)
        else:
            first = stored.get(listener, USUAL[listener])
        others = set(fixed.values()) | set(chosen.values()) | KEPT_FREE
        others |= {port for name, port in stored.items() if name != listener}
        others |= {port for name, port in USUAL.items() if name != listener and base is None}
        chosen[listener] = next_free(listener, first, others, free)
    return chosen


def next_free(listener: str, first: int, others: set[int], free: Callable[[int], bool]) -> int:
    """The first port from `first` upwards that is free and nobody else's."""
    for port in range(first, min(first + TRIES, HIGHEST + 1)):
        if port not in others and free(port):
            return port
    raise StackError(
        f"no free port for {listener} from {first} on: give one with --port {listener}=NUMBER"
    )

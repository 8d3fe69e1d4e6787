"""What a server is to this program.

A service has one member, or several that are started together and can be killed one by one
(`kafka-cluster/1`). It knows how to fetch its programs, how to write its configuration, when it is
ready, and what clients need to find it. It does not know when it is started or by whom.
"""

import signal
import string
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError
from .process import Launch
from .provision import HERE, Cache


@dataclass(frozen=True)
class Place:
    """Where a service lives: the data folder, its ports, and the programs."""

    data: Path
    ports: dict[str, int]
    cache: Cache

    def folder(self, member: str) -> Path:
        """Everything that one member keeps."""
        path = self.data / file_name(member)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def port(self, listener: str) -> int:
        return self.ports[listener]

    def address(self, listener: str) -> str:
        return f"127.0.0.1:{self.ports[listener]}"


class Service:
    """To be implemented by each server."""

    name = ""
    summary = ""
    # Services that must be ready before this one starts.
    needs: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    # Names of its listeners, as in ports.USUAL.
    listeners: tuple[str, ...] = ()
    # From the start of the process to its first answer, on a busy machine.
    ready_within_seconds = 300.0
    # What asks it to stop.
    stop_signal = signal.SIGTERM
    # From there to SIGKILL.
    stop_within_seconds = 20.0

    def provision(self, cache: Cache) -> None:
        """Fetches what is missing on this machine."""
        raise NotImplementedError

    def prepare(self, member: str, place: Place) -> Launch:
        """Writes the configuration, and whatever has to be there before the first start."""
        raise NotImplementedError

    def probe(self, member: str, place: Place) -> None:
        """Returns when the member answers, raises `NotReady` otherwise."""
        raise NotImplementedError

    def gather(self, place: Place) -> None:
        """Returns when the members together are ready, raises `NotReady` otherwise."""
        for member in self.members:
            self.probe(member, place)

    def environment(self, place: Place) -> dict[str, str]:
        """Where clients find it, for `ops/stack env`."""
        raise NotImplementedError


def file_name(member: str) -> str:
    return member.replace("/", "-")


def render(template: str, target: Path, **values: object) -> Path:
    """Writes a configuration file from templates/, where `${name}` is replaced."""
    text = (HERE / "templates" / template).read_text()
    try:
        target.write_text(
            string.Template(text).substitute({name: str(value) for name, value in values.items()})
        )
    except KeyError as error:
        raise StackError(f"templates/{template} asks for {error}, which nobody gives") from error
    return target

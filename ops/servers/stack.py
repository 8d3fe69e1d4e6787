"""The servers of one data folder: brings them up, tells how they are, takes them down.

    ports.json     the port of each listener, kept over restarts
    run/           one pid file a member
    logs/          one log a member, appended to by each start
    NAME/          what the member itself keeps

One lock file for the folder: whoever starts or stops servers holds it meanwhile, so that two
invocations at once do the same work once. Signals that only disturb a server (kill, freeze, thaw)
go without.
"""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from . import ports, process
from .catalogue import SERVICES, members_of, service_of
from .errors import StackError
from .provision import Cache, locked
from .ready import NotReady
from .service import Place, Service, file_name

ASK_EVERY_SECONDS = 0.05
LOG_LINES_SHOWN = 30


class Stack:
    def __init__(self, data: Path, cache: Cache, say: Callable[[str], None]) -> None:
        self.data = data.resolve()
        self.cache = cache
        self.say = say
        # Set when the user interrupts: the threads that wait for servers look at it.
        self.interrupted = threading.Event()
        # What this invocation started, to tell how it ended if it did.
        self.children: dict[str, subprocess.Popen] = {}

    # Where things are.

    def pid_path(self, member: str) -> Path:
        return self.data / "run" / f"{file_name(member)}.json"

    def log_path(self, member: str) -> Path:
        return self.data / "logs" / f"{file_name(member)}.log"

    def record(self, member: str) -> process.Record | None:
        return process.load(self.pid_path(member))

    def state(self, member: str) -> str:
        return process.state(self.record(member))

    def place(self) -> Place:
        return Place(self.data, self.stored_ports(), self.cache)

    def stored_ports(self) -> dict[str, int]:
        try:
            return json.loads((self.data / "ports.json").read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StackError(
                f"{self.data}/ports.json is not JSON: stop all servers and delete it"
            ) from error

    def store_ports(self, numbers: dict[str, int]) -> None:
        path = self.data / "ports.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(numbers, indent=2) + "\n")
        temporary.replace(path)

    def running(self) -> list[str]:
        """Every member that lives, frozen or not."""
        return [member for member in members_of(list(SERVICES)) if self.state(member) != "dead"]

    @contextmanager
    def alone(self) -> Iterator[None]:
        for folder in (self.data, self.data / "run", self.data / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        with locked(self.data / ".lock"):
            yield

    # Up.

    def provision(self, names: list[str]) -> None:
        self.each(
            {service_of(name).name: service_of(name) for name in names},
            lambda s: s.provision(self.cache),
        )

    def up(self, names: list[str], fixed: dict[str, int], base: int | None) -> None:
        """Starts what does not run yet, and returns when all of it answers."""
        wanted = self.with_needs(members_of(names))
        services = {service_of(member).name: service_of(member) for member in wanted}
        with self.alone():
            self.choose_ports(list(services.values()), fixed, base)
            place = self.place()
            done: dict[str, Future] = {}
            begun = threading.Event()

            def bring_up(service: Service) -> None:
                service.provision(self.cache)
                begun.wait()
                for need in service.needs:
                    if done[need].exception() is not None:
                        raise StackError(f"{service.name} was not started: it needs {need}")
                self.start(
                    service, [member for member in service.members if member in wanted], place
                )

            self.each(services, bring_up, done, begun)

    def with_needs(self, members: list[str]) -> list[str]:
        """The members, and whatever their services need, each once."""
        wanted = list(members)
        for member in wanted:
            for need in service_of(member).needs:
                wanted += [other for other in service_of(need).members if other not in wanted]
        return wanted

    def each(
        self,
        services: dict[str, Service],
        work: Callable[[Service], None],
        futures: dict[str, Future] | None = None,
        begun: threading.Event | None = None,
    ) -> None:
        """Does the work for all services at once; all their failures are told together."""
        futures = {} if futures is None else futures
        with ThreadPoolExecutor(max_workers=len(services)) as pool:
            for name, service in services.items():
                futures[name] = pool.submit(work, service)
            if begun is not None:
                begun.set()
            try:
                failures = [future.exception() for future in futures.values()]
            except KeyboardInterrupt:
                self.interrupted.set()
                raise
        failures = [failure for failure in failures if failure is not None]
        for failure in failures:
            if not isinstance(failure, StackError):
                raise failure
        if failures:
            raise StackError("\n".join(str(failure) for failure in failures))

    def choose_ports(
        self, services: list[Service], fixed: dict[str, int], base: int | None
    ) -> None:
        stored = self.stored_ports()
        closed: list[str] = []
        for service in services:
            if all(self.state(member) == "dead" for member in service.members):
                closed += service.listeners
                continue
            for listener in service.listeners:
                if fixed.get(listener, stored.get(listener)) != stored.get(listener):
                    raise StackError(
                        f"{service.name} runs already, {listener} on port {stored.get(listener)}:"
                        f" stop it first with ops/stack down {service.name}"
                    )
        before = dict(stored)
        stored.update(ports.choose(closed, stored, fixed, base))
        self.store_ports(stored)
        for listener in closed:
            usual = fixed.get(listener, before.get(listener, ports.USUAL[listener]))
            if base is None and stored[listener] != usual:
                self.say(f"{listener}: port {usual} is taken, using {stored[listener]}")

    def start(self, service: Service, members: list[str], place: Place) -> None:
        """Starts those that are dead, then waits until all of them answer."""
        for member in members:
            if self.state(member) == "frozen":
                raise StackError(f"{member} is frozen: let it go on with ops/stack thaw {member}")
        dead = [member for member in members if self.state(member) == "dead"]
        begun = time.monotonic()
        with ThreadPoolExecutor(max_workers=max(len(dead), 1)) as pool:
            launches = dict(pool.map(lambda one: (one, service.prepare(one, place)), dead))
        for member, launch in launches.items():
            log, pid = self.log_path(member), self.pid_path(member)
            _, self.children[member] = process.start(launch, log, pid)
        try:
            self.wait(service, members, place)
        except StackError:
            for member in dead:
                process.stop(
                    self.record(member), service.stop_within_seconds, service.stop_signal
                )
            raise
        where = ", ".join(place.address(member) for member in members)
        if dead:
            self.say(f"{service.name}: ready after {time.monotonic() - begun:.1f} s on {where}")
        else:
            self.say(f"{service.name}: runs already on {where}")

    def wait(self, service: Service, members: list[str], place: Place) -> None:
        deadline = time.monotonic() + service.ready_within_seconds
        while True:
            for member in members:
                if self.state(member) == "dead":
                    raise StackError(self.obituary(member, self.cause_of_death(member)))
            try:
                if len(members) == len(service.members):
                    service.gather(place)
                else:
                    for member in members:
                        service.probe(member, place)
                return
            except NotReady as reason:
                if time.monotonic() > deadline:
                    seconds = f"{service.ready_within_seconds:.0f} s"
                    late = f"{service.name} was not ready after {seconds} ({reason})"
                    raise StackError(self.obituary(members[0], late)) from reason
            if self.interrupted.wait(ASK_EVERY_SECONDS):
                raise StackError(f"{service.name}: interrupted while it started")

    def cause_of_death(self, member: str) -> str:
        child = self.children.get(member)
        code = None if child is None else child.poll()
        match code:
            case None:
                how = ""
            case _ if code < 0:
                how = f" ({signal.Signals(-code).name})"
            case _:
                how = f" (exit code {code})"
        return f"{member} died while it started{how}"

    def obituary(self, member: str, what: str) -> str:
        record, log = self.record(member), self.log_path(member)
        lines = process.last_lines(log, record.log_offset_bytes if record else 0, LOG_LINES_SHOWN)
        told = "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"
        return f"{what}; the end of {log}:\n{told}"

    # Down.

    def down(self, names: list[str]) -> None:
        """Stops what runs, those that need others first."""
        if not self.data.is_dir():
            return
        with self.alone():
            members = [member for member in members_of(names) if self.record(member) is not None]
            first = [member for member in members if service_of(member).needs]
            for wave in (first, [member for member in members if member not in first]):
                with ThreadPoolExecutor(max_workers=max(len(wave), 1)) as pool:
                    list(pool.map(self.stop, wave))

    def stop(self, member: str) -> None:
        service = service_of(member)
        how = process.stop(self.record(member), service.stop_within_seconds, service.stop_signal)
        self.pid_path(member).unlink(missing_ok=True)
        words = {
            "gone": "was not running",
            "stopped": "stopped",
            "killed": "killed, since it did not stop in time",
        }
        self.say(f"{member}: {words[how]}")

    def restart(self, names: list[str]) -> None:
        """Stops and starts, on the same ports."""
        members = members_of(names)
        with self.alone():
            place = self.place()
            for member in members:
                if any(listener not in place.ports for listener in service_of(member).listeners):
                    raise StackError(
                        f"{member} was never started: ops/stack up {service_of(member).name}"
                    )
            with ThreadPoolExecutor(max_workers=len(members)) as pool:
                list(pool.map(self.stop, members))
            services = {service_of(member).name: service_of(member) for member in members}
            self.each(
                services,
                lambda service: self.start(
                    service, [one for one in service.members if one in members], place
                ),
            )

    def disturb(self, names: list[str], number: signal.Signals) -> None:
        """Signals servers, each by its stored pid."""
        for member in members_of(names):
            record = self.record(member)
            if not process.send(record, number):
                raise StackError(f"{member} is not running")
            if number == signal.SIGKILL:
                # Whoever goes on from here may count on it being dead.
                process.wait_for_end(record, service_of(member).stop_within_seconds)
            self.say(f"{member}: {number.name} sent to process {record.pid}")

    # What there is.

    def status(self, names: list[str]) -> list[dict[str, object]]:
        """One row for each member that was started."""
        place = self.place()
        members = [member for member in members_of(names) if self.record(member) is not None]
        with ThreadPoolExecutor(max_workers=max(len(members), 1)) as pool:
            return list(pool.map(lambda member: self.row(member, place), members))

    def row(self, member: str, place: Place) -> dict[str, object]:
        service, record, state = service_of(member), self.record(member), self.state(member)
        row: dict[str, object] = {"service": service.name, "member": member, "state": state}
        row["ready"] = False
        row["address"] = place.address(member)
        row["log"] = str(self.log_path(member))
        if state != "dead" and record is not None:
            row |= {"pid": record.pid, "since": record.since, **process.usage(record)}
        if state == "running":
            try:
                service.probe(member, place)
                row["ready"] = True
            except NotReady as reason:
                row["reason"] = str(reason)
        return row

    def environment(self) -> dict[str, str]:
        """What clients have to know of everything that runs; the first to name a setting has it."""
        place, settings = self.place(), {}
        for member in self.running():
            for name, value in service_of(member).environment(place).items():
                settings.setdefault(name, value)
        return settings

"""One server process: started on its own, found again later, signalled only when it is surely ours.

A number alone does not name a process: it is given to another one after the first has died. The
stored record therefore has the boot and the moment at which the process started, both as the kernel
tells them, and every signal compares them first.
"""

import json
import os
import re
import signal
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

# How often a process that should end is looked at.
LOOK_EVERY_SECONDS = 0.05


@dataclass(frozen=True)
class Launch:
    """What is needed to start a server."""

    command: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    # Name of the user it runs as; None: the one who started this program.
    user: str | None = None


@dataclass(frozen=True)
class Record:
    """The stored pid file."""

    pid: int
    # Clock ticks from boot to the start of the process, as in /proc/PID/stat.
    started_ticks: int
    boot: str
    # For people; never compared.
    since: str
    log_offset_bytes: int


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name before them stands in brackets and may have spaces and brackets of its own.
    return text[text.rindex(")") + 2 :].split()


def started_ticks(pid: int) -> int | None:
    fields = stat_fields(pid)
    return None if fields is None else int(fields[19])


def state(record: Record | None) -> str:
    """`running`, `frozen`, or `dead`."""
    if record is None or record.boot != boot_id():
        return "dead"
    fields = stat_fields(record.pid)
    # A zombie has ended; it only waits for its parent to notice.
    if fields is None or fields[0] in "ZX" or int(fields[19]) != record.started_ticks:
        return "dead"
    return "frozen" if fields[0] in "Tt" else "running"


def usage(record: Record) -> dict[str, float | int]:
    """Processor time so far, and memory now."""
    fields = stat_fields(record.pid)
    if fields is None:
        return {}
    ticks = int(fields[11]) + int(fields[12])
    return {
        "cpu_seconds": round(ticks / os.sysconf("SC_CLK_TCK"), 2),
        "memory_bytes": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
    }


def load(path: Path) -> Record | None:
    """The stored record; None when there is none, or it was torn by a crash of the machine."""
    try:
        return Record(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def save(path: Path, record: Record) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(record), indent=2) + "\n")
    temporary.replace(path)


def start(launch: Launch, log: Path, path: Path) -> tuple[Record, subprocess.Popen]:
    """Starts the server in a session of its own: it outlives this program and its terminal."""
    with log.open("ab") as output:
        offset = output.tell()
        child = subprocess.Popen(
            launch.command,
            cwd=launch.folder,
            env=os.environ | launch.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **as_user(launch.user),
        )
    # The child is not yet waited for, so the number is still its own, dead or alive.
    ticks = started_ticks(child.pid)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    record = Record(child.pid, ticks if ticks is not None else -1, boot_id(), now, offset)
    save(path, record)
    return record, child


def as_user(user: str | None) -> dict[str, object]:
    """Arguments of subprocess that give the rights of root up."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def send(record: Record | None, number: signal.Signals) -> bool:
    """Signals the recorded process; False when it is gone."""
    if state(record) == "dead":
        return False
    try:
        os.kill(record.pid, number)
    except ProcessLookupError:
        return False
    return True


def stop(
    record: Record | None, patience_seconds: float, number: signal.Signals = signal.SIGTERM
) -> str:
    """The signal, then SIGKILL when that was not enough; `gone`, `stopped` or `killed`."""
    if not send(record, number):
        return "gone"
    # A frozen process sees the signal only when it goes on.
    send(record, signal.SIGCONT)
    if wait_for_end(record, patience_seconds):
        return "stopped"
    send(record, signal.SIGKILL)
    wait_for_end(record, patience_seconds)
    return "killed"


def wait_for_end(record: Record, patience_seconds: float) -> bool:
    deadline = time.monotonic() + patience_seconds
    while state(record) != "dead":
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY_SECONDS)
    return True


def last_lines(log: Path, offset_bytes: int, count: int) -> list[str]:
    """The end of what a server wrote since it was started, and before it what it called an error:
    of a server that shuts down in order, the end does not tell why."""
    try:
        with log.open("rb") as text:
            text.seek(offset_bytes)
            lines = text.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    earlier, end = lines[:-count], lines[-count:]
    errors = [line for line in earlier if re.search(r"\b(ERROR|FATAL)\b", line)]
    return errors[-count:] + end

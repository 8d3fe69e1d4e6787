"""PostgreSQL: a cluster of its own, for sinks and for the comparison with a row lock.

PostgreSQL refuses to run as root. Started by root, it runs as the user `postgres` that Debian's
package makes, and that user must be able to reach the folder: below a closed folder, root's home
for example, the data lies in /var/tmp instead and the data folder has a link to it.
"""

import hashlib
import os
import pwd
import shutil
import signal
import stat
from pathlib import Path

from . import ready
from .errors import StackError
from .process import Launch
from .provision import Cache, run
from .service import Place, Service

USER = "cityevents"
# The user under whom it runs when root starts it.
SYSTEM_USER = "postgres"
INSTALLED = Path("/usr/lib/postgresql")


class Postgres(Service):
    name = "postgres"
    summary = "PostgreSQL of Debian"
    members = ("postgres",)
    listeners = ("postgres",)
    # At SIGTERM it would wait for its clients to go, and Kafka Connect does not.
    stop_signal = signal.SIGINT

    def provision(self, cache: Cache) -> None:
        if programs() is None:
            cache.install("postgresql")

    def prepare(self, member: str, place: Place) -> Launch:
        folder, user = place.folder(member), system_user()
        data, binaries = data_folder(folder, user), programs()
        if not (data / "PG_VERSION").exists():
            # Beside it, then renamed: half a cluster would not start and not be made anew.
            unfinished = data.with_name("unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make = [
                str(binaries / "initdb"),
                "--pgdata",
                str(unfinished),
                "--username",
                USER,
                "--auth",
                "trust",
            ]
            make += ["--encoding", "UTF8", "--locale", "C", "--no-instructions"]
            run(make, "making a PostgreSQL cluster", user=user)
            unfinished.rename(data)
        command = [
            str(binaries / "postgres"),
            "-D",
            str(data),
            "-h",
            "127.0.0.1",
            "-p",
            str(place.port("postgres")),
        ]
        # No socket in the file system: Debian's folder for them belongs to somebody else.
        return Launch([*command, "-k", "", "-c", "max_connections=200"], data, user=user)

    def probe(self, member: str, place: Place) -> None:
        ready.postgres(place.port("postgres"), USER, "postgres")

    def environment(self, place: Place) -> dict[str, str]:
        return {
            "CITYEVENTS_STACK_POSTGRES": f"postgres://{USER}@{place.address('postgres')}/postgres"
        }


def programs() -> Path | None:
    """The folder of the newest PostgreSQL; Debian does not put it on the path."""
    versions = [path for path in INSTALLED.glob("*/bin") if (path / "initdb").exists()]
    if versions:
        return max(
            versions, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0
        )
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def system_user() -> str | None:
    return SYSTEM_USER if os.geteuid() == 0 else None


def data_folder(folder: Path, user: str | None) -> Path:
    """A folder that the user owns and reaches, whose child `data` is the cluster."""
    if user is None:
        return folder / "data"
    account = pwd.getpwnam(user)
    if all(path.stat().st_mode & stat.S_IXOTH for path in folder.parents):
        os.chown(folder, account.pw_uid, account.pw_gid)
        return folder / "data"
    key = hashlib.sha256(str(folder).encode()).hexdigest()[:10]
    elsewhere = Path(f"/var/tmp/cityevents-postgres-{key}")
    elsewhere.mkdir(mode=0o700, exist_ok=True)
    owner = elsewhere.lstat()
    if stat.S_ISLNK(owner.st_mode) or owner.st_uid not in (0, account.pw_uid):
        raise StackError(
            f"{elsewhere} belongs to somebody else: delete it, or give another folder with --data"
        )
    os.chown(elsewhere, account.pw_uid, account.pw_gid)
    link = folder / "elsewhere"
    if not link.is_symlink():
        link.symlink_to(elsewhere)
    return elsewhere / "data"

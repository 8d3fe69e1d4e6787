"""Programs that this machine lacks: fetched once, kept outside the clone, shared by all clones.

Three sources: Maven Central (by Maven), Debian (by apt-get), PyPI (by pip).
A folder of the cache is made under another name and renamed when it is whole, so it is there either
completely or not at all; its name has the version and a hash of what it was made from.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import StackError
from .process import as_user

HERE = Path(__file__).resolve().parent
# A slow mirror is not a hung one.
FETCH_WITHIN_SECONDS = 900


def default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cityevents" / "servers"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file for a while. The kernel lets go of it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command: list[str], what: str, user: str | None = None) -> str:
    """Runs a program to its end; its output is the reason when it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=FETCH_WITHIN_SECONDS,
            # The working directory may be one that the other user cannot enter.
            cwd="/" if user else None,
            **as_user(user),
        )
    except FileNotFoundError as error:
        raise StackError(f"{what}: {command[0]} is not on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{what}: not done after {FETCH_WITHIN_SECONDS} s") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise StackError(f"{what} failed (exit code {done.returncode}):\n{tail}")
    return done.stdout


def unpack(archive: Path, target: Path) -> None:
    """Nothing may end up outside the target; the oldest Pythons cannot see to that."""
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):
            packed.extractall(target, filter="data")
        else:
            packed.extractall(target)


class Cache:
    """The folder of provisioned programs."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder.resolve()
        self.say = say

    def entry(self, name: str, version: str, recipe: str, make: Callable[[Path], None]) -> Path:
        """The folder of one program, made by `make` when it is not there yet."""
        key = hashlib.sha256(recipe.encode()).hexdigest()[:10]
        final = self.folder / f"{name}-{version}-{key}"
        if final.is_dir():
            return final
        with locked(self.folder / f".{final.name}.lock"):
            if final.is_dir():
                return final
            self.say(f"{name}: fetching version {version}")
            unfinished = self.folder / f".{final.name}.part"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            make(unfinished)
            unfinished.rename(final)
        return final

    def jars(self, name: str, version: str) -> Path:
        """A folder with the jars that poms/NAME.xml depends on."""

        def make(target: Path) -> None:
            self.maven(pom, "copy-dependencies", target)

        pom = HERE / "poms" / f"{name}.xml"
        return self.entry(name, version, pom.read_text(), make)

    def archives(self, name: str, version: str) -> Path:
        """A folder with the unpacked tar archives that poms/NAME.xml lists as single artifacts."""

        def make(target: Path) -> None:
            self.maven(pom, "copy", target)
            for archive in sorted(target.glob("*.tar.gz")):
                unpack(archive, target)
                archive.unlink()

        pom = HERE / "poms" / f"{name}.xml"
        return self.entry(name, version, pom.read_text(), make)

    def maven(self, pom: Path, goal: str, target: Path) -> None:
        self.debian("mvn", "maven")
        command = [
            "mvn",
            "-q",
            "-B",
            "-f",
            str(pom),
            f"dependency:{goal}",
            f"-DoutputDirectory={target}",
        ]
        run(command, f"fetching {pom.stem} with Maven")

    def python(self, name: str, version: str, requirements: list[str]) -> Path:
        """A virtual environment with packages of PyPI."""

        def make(target: Path) -> None:
            try:
                run(["python3", "-m", "venv", str(target)], "making a virtual environment")
            except StackError:
                self.install("python3-venv")
                run(
                    ["python3", "-m", "venv", "--clear", str(target)],
                    "making a virtual environment",
                )
            pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements]
            run(pip, f"installing {name} with pip")

        return self.entry(name, version, "\n".join(requirements), make)

    def debian(self, program: str, package: str) -> str:
        """The path of a program, installed from Debian when it is missing."""
        found = shutil.which(program)
        if found is None:
            self.install(package)
            found = shutil.which(program)
        if found is None:
            raise StackError(
                f"{program} is still missing after Debian's package {package} was installed"
            )
        return found

    def install(self, package: str) -> None:
        """Installs a Debian package. Services that come with it are not started: RUNLEVEL=1."""
        rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
        if shutil.which("apt-get") is None or (rights and shutil.which("sudo") is None):
            raise StackError(f"install the Debian package {package} (or what your system calls it)")
        self.say(f"installing Debian's {package}")
        apt = [
            *rights,
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "RUNLEVEL=1",
            "apt-get",
            "-q",
            "-y",
        ]
        with locked(self.folder / ".apt.lock"):
            run([*apt, "update"], "apt-get update")
            install = [
                *apt,
                "-o",
                "DPkg::Lock::Timeout=300",
                "install",
                "--no-install-recommends",
                package,
            ]
            run(install, f"installing Debian's {package}")

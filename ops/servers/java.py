"""The Java that runs Kafka, Cassandra, the registry and Connect."""

import shutil
from pathlib import Path

from .provision import Cache

# Cassandra 5.0 supports 11 and 17 only, so 17 is looked for before whatever else is on the path.
PACKAGE = "openjdk-17-jre-headless"


def home(cache: Cache) -> Path:
    """The `bin` folder with java and keytool."""
    for folder in sorted(Path("/usr/lib/jvm").glob("java-17-*/bin")):
        if (folder / "java").exists():
            return folder
    found = shutil.which("java")
    if found is None:
        found = cache.debian("java", PACKAGE)
    return Path(found).resolve().parent


def java(cache: Cache) -> str:
    return str(home(cache) / "java")


def keytool(cache: Cache) -> str:
    return str(home(cache) / "keytool")

"""Apache Cassandra: one node, for the statements that it and ScyllaDB have in common."""

from pathlib import Path

from . import ready
from .java import java
from .process import Launch
from .provision import Cache
from .service import Place, Service, render

VERSION = "5.0.8"
JAMM = "jamm-0.4.0.jar"
# Of a keyspace, where there is one node.
REPLICATION = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"

# What Cassandra reaches into on Java 17.
EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/java.lang.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
)
OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.nio.charset",
    "java.base/java.nio.file.spi",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.rmi/sun.rmi.transport.tcp",
    "jdk.management/com.sun.management.internal",
)


class Cassandra(Service):
    name = "cassandra"
    summary = "Apache Cassandra 5.0, one node (CQL for the tables)"
    members = ("cassandra",)
    listeners = ("cassandra", "cassandra.storage")

    def provision(self, cache: Cache) -> None:
        java(cache)
        cache.jars("cassandra", VERSION)

    def prepare(self, member: str, place: Place) -> Launch:
        folder = place.folder(member)
        configuration = render(
            "cassandra.yaml",
            folder / "cassandra.yaml",
            data=folder / "data",
            port=place.port("cassandra"),
            storage_port=place.port("cassandra.storage"),
        )
        # Looked for on the class path, so the folder is part of it.
        render("logback.xml", folder / "logback.xml")
        jars = place.cache.jars("cassandra", VERSION)
        return Launch(
            [java(place.cache), *options(folder, jars, configuration), *main(folder, jars)], folder
        )

    def probe(self, member: str, place: Place) -> None:
        ready.cassandra(place.port("cassandra"))

    def environment(self, place: Place) -> dict[str, str]:
        address = place.address("cassandra")
        return {
            "CITYEVENTS_STACK_CASSANDRA": address,
            "CITYEVENTS__SCYLLA__NODES": address,
            "CITYEVENTS__SCYLLA__REPLICATION": REPLICATION,
        }


def options(folder: Path, jars: Path, configuration: Path) -> list[str]:
    """Options of the virtual machine."""
    return [
        "-Xms1g",
        "-Xmx1g",
        "-XX:+UseG1GC",
        "-XX:+AlwaysPreTouch",
        # A server that is out of memory is down, and has to look like it.
        "-XX:+ExitOnOutOfMemoryError",
        f"-javaagent:{jars / JAMM}",
        f"-Dcassandra.config=file:{configuration}",
        f"-Dcassandra.storagedir={folder / 'data'}",
        # There is nobody to gossip with.
        "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        "-Dcassandra.ring_delay_ms=0",
        "-Dcassandra.superuser_setup_delay_ms=0",
        "-Djdk.attach.allowAttachSelf=true",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={temporary(folder)}",
        *(f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTS),
        *(f"--add-opens={name}=ALL-UNNAMED" for name in OPENS),
    ]


def main(folder: Path, jars: Path) -> list[str]:
    return ["-cp", f"{folder}:{jars}/*", "org.apache.cassandra.service.CassandraDaemon"]


def temporary(folder: Path) -> Path:
    """Native parts are unpacked there; the machine's own folder may forbid to run them."""
    path = folder / "tmp"
    path.mkdir(exist_ok=True)
    return path

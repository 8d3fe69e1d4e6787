"""Apache Kafka: one broker that is also its own controller.

What the three Kafka services share is here too: the class path, the format of the storage, the
start of the process.
"""

import base64
import uuid
from pathlib import Path

from . import ready
from .java import java
from .process import Launch
from .provision import Cache, run
from .service import Place, Service, render

VERSION = "4.1.0"
# What Kafka's own start script gives.
COLLECTOR = ["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]
MAX_GC_SLACK = "-XX:+ExplicitGCInvokesConcurrent"


class KafkaService(Service):
    """What every broker of this program has in common."""

    heap = "1g"
    # Given to the storage tool when the storage is formatted.
    format_options: tuple[str, ...] = ()

    def provision(self, cache: Cache) -> None:
        java(cache)
        cache.jars("kafka", VERSION)

    def properties(self, member: str, place: Place, folder: Path) -> Path:
        """Writes server.properties."""
        raise NotImplementedError

    def prepare(self, member: str, place: Place) -> Launch:
        folder = place.folder(member)
        properties = self.properties(member, place, folder)
        machine = java(place.cache)
        path = class_path(place.cache)
        if not (folder / "data" / "meta.properties").exists():
            identity = cluster_id(place.folder(self.name) / "cluster-id")
            tool = [machine, "-Xmx256m", "-XX:TieredStopAtLevel=1", *logging(folder), "-cp", path]
            tool += ["kafka.tools.StorageTool", "format", "-t", identity, "-c", str(properties)]
            run([*tool, *self.format_options], f"formatting the storage of {member}")
        options = [
            f"-Xmx{self.heap}",
            *COLLECTOR,
            MAX_GC_SLACK,
            "-Djava.awt.headless=true",
            *logging(folder),
        ]
        return Launch([machine, *options, "-cp", path, "kafka.Kafka", str(properties)], folder)


class Kafka(KafkaService):
    name = "kafka"
    summary = "Apache Kafka 4.1, one broker (KRaft), replication 1"
    members = ("kafka",)
    listeners = ("kafka", "kafka.controller")

    def properties(self, member: str, place: Place, folder: Path) -> Path:
        return render(
            "kafka.properties",
            folder / "server.properties",
            node=1,
            voters=f"1@{place.address('kafka.controller')}",
            listeners=f"CLIENT://{place.address('kafka')},CONTROLLER://{place.address('kafka.controller')}",
            advertised=f"CLIENT://{place.address('kafka')}",
            inner="CLIENT",
            protocols="CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            data=folder / "data",
            replication=1,
            min_insync=1,
            more="",
        )

    def probe(self, member: str, place: Place) -> None:
        ready.kafka(place.port("kafka"), brokers=1)

    def environment(self, place: Place) -> dict[str, str]:
        address = place.address("kafka")
        return {
            "CITYEVENTS_STACK_KAFKA": address,
            **product_settings(address, replication=1, min_insync=1),
        }


def product_settings(brokers: str, replication: int, min_insync: int) -> dict[str, str]:
    return {
        "CITYEVENTS__KAFKA__BROKERS": brokers,
        "CITYEVENTS__KAFKA__REPLICATION": str(replication),
        "CITYEVENTS__KAFKA__MIN_INSYNC": str(min_insync),
    }


def class_path(cache: Cache) -> str:
    return f"{cache.jars('kafka', VERSION)}/*"


def logging(folder: Path) -> list[str]:
    """Log lines go to standard output, which is the log file."""
    return [f"-Dlog4j2.configurationFile={render('log4j2.xml', folder / 'log4j2.xml')}"]


def cluster_id(path: Path) -> str:
    """The id that all brokers of a cluster are formatted with, made once."""
    if not path.exists():
        text = "-"
        # A leading dash would be read as an option by Kafka's tools.
        while text.startswith("-"):
            text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        path.write_text(text)
    return path.read_text()

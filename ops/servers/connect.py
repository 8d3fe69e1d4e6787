"""Kafka Connect with the JDBC sink and the Avro converter: one worker by itself.

It works on `kafka` and `registry`, which are started with it. Started only when it is asked for.
"""

from pathlib import Path

from . import ports, ready
from .java import java
from .kafka import VERSION, logging
from .postgres import USER
from .process import Launch
from .provision import Cache
from .service import Place, Service, render

JDBC_VERSION = "3.4.3.Final"
AVRO_VERSION = "2.6.13.Final"


class Connect(Service):
    name = "connect"
    summary = "Kafka Connect 4.1 with JDBC sink and Avro converter"
    needs = ("kafka", "registry")
    members = ("connect",)
    listeners = ("connect",)

    def provision(self, cache: Cache) -> None:
        java(cache)
        programs(cache)

    def prepare(self, member: str, place: Place) -> Launch:
        folder = place.folder(member)
        worker, plugins = programs(place.cache)
        for path in plugins:
            link(folder / "plugins" / path.name, path)
        properties = render(
            "connect.properties",
            folder / "worker.properties",
            brokers=place.address("kafka"),
            address=place.address("connect"),
            plugins=folder / "plugins",
            offsets=folder / "offsets",
        )
        command = [java(place.cache), "-Xmx512m", *logging(folder), "-cp", f"{worker}/*"]
        return Launch(
            [*command, "org.apache.kafka.connect.cli.ConnectStandalone", str(properties)],
            folder,
            self.settings(folder, place),
        )

    def settings(self, folder: Path, place: Place) -> dict[str, str]:
        """What the connectors in ops/connect look up as `${env:…}`."""
        # PostgreSQL may be started later, and then gets its usual port as a rule.
        database = place.ports.get("postgres", ports.USUAL["postgres"])
        return {
            "CITYEVENTS_CONNECT_REGISTRY": f"http://{place.address('registry')}/apis/registry/v2",
            "CITYEVENTS_CONNECT_JDBC_URL": f"jdbc:postgresql://127.0.0.1:{database}/postgres",
            "CITYEVENTS_CONNECT_JDBC_USER": USER,
            "CITYEVENTS_CONNECT_JDBC_PASSWORD": "",
            "CITYEVENTS_CONNECT_FOLDER": str(folder),
        }

    def probe(self, member: str, place: Place) -> None:
        ready.http(f"http://{place.address('connect')}/connectors")

    def environment(self, place: Place) -> dict[str, str]:
        return {
            "CITYEVENTS_STACK_CONNECT": f"http://{place.address('connect')}",
            "CITYEVENTS_STACK_CONNECT_FOLDER": str(place.folder("connect")),
        }


def programs(cache: Cache) -> tuple[Path, list[Path]]:
    """The worker's class path, and a folder a plugin."""
    jdbc = cache.archives("connect-jdbc", JDBC_VERSION) / "debezium-connector-jdbc"
    avro = cache.jars("connect-avro", AVRO_VERSION)
    return cache.jars("connect", VERSION), [jdbc, avro]


def link(path: Path, target: Path) -> None:
    """Connect takes each child of its plugin path for one plugin with a class path of its own."""
    path.parent.mkdir(exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(target)

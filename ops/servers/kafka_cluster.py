"""Apache Kafka as a cluster: three brokers that are controllers as well, every record on all three.

One of them can be lost without losing a record or the ability to write; each can be killed, frozen
and brought back by itself.
"""

from pathlib import Path

from . import ready
from .kafka import KafkaService, product_settings
from .service import Place, render

NODES = (1, 2, 3)


class KafkaCluster(KafkaService):
    name = "kafka-cluster"
    summary = "Apache Kafka 4.1, three brokers, replication 3, min.insync.replicas 2"
    members = tuple(f"kafka-cluster/{node}" for node in NODES)
    listeners = tuple(
        f"kafka-cluster/{node}{part}" for part in ("", ".controller") for node in NODES
    )
    heap = "512m"

    def properties(self, member: str, place: Place, folder: Path) -> Path:
        client, controller = place.address(member), place.address(f"{member}.controller")
        voters = (f"{node}@{place.address(f'kafka-cluster/{node}.controller')}" for node in NODES)
        return render(
            "kafka.properties",
            folder / "server.properties",
            node=member.rpartition("/")[2],
            voters=",".join(voters),
            listeners=f"CLIENT://{client},CONTROLLER://{controller}",
            advertised=f"CLIENT://{client}",
            inner="CLIENT",
            protocols="CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            data=folder / "data",
            replication=3,
            min_insync=2,
            more="",
        )

    def probe(self, member: str, place: Place) -> None:
        ready.kafka(place.port(member), brokers=1)

    def gather(self, place: Place) -> None:
        for member in self.members:
            ready.kafka(place.port(member), brokers=len(NODES))

    def environment(self, place: Place) -> dict[str, str]:
        addresses = ",".join(place.address(member) for member in self.members)
        return {
            "CITYEVENTS_STACK_KAFKA_CLUSTER": addresses,
            **product_settings(addresses, replication=3, min_insync=2),
        }

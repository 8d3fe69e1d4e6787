"""The servers there are."""

from .cassandra import Cassandra
from .connect import Connect
from .errors import UsageError
from .kafka import Kafka
from .kafka_cluster import KafkaCluster
from .kafka_tls import KafkaTls
from .postgres import Postgres
from .redis import Redis
from .registry import Registry
from .s3 import S3
from .service import Service
from .smtp import Smtp

SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Kafka(),
        KafkaCluster(),
        KafkaTls(),
        Cassandra(),
        Registry(),
        Postgres(),
        Redis(),
        S3(),
        Smtp(),
        Connect(),
    )
}


def service_of(name: str) -> Service:
    """By its name, or the name of one of its members."""
    service = SERVICES.get(name.partition("/")[0])
    if service is None or (name != service.name and name not in service.members):
        raise UsageError(f"no service {name!r}; known: {', '.join(every_name())}")
    return service


def every_name() -> list[str]:
    """Services, and the members of those that have several."""
    names = []
    for service in SERVICES.values():
        names.append(service.name)
        names += [member for member in service.members if member != service.name]
    return names


def members_of(names: list[str]) -> list[str]:
    """The members that were meant, each once."""
    members: list[str] = []
    for name in names:
        service = service_of(name)
        for member in service.members if name == service.name else (name,):
            if member not in members:
                members.append(member)
    return members

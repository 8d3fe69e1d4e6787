"""Apicurio Registry, which answers like Confluent's under /apis/ccompat/v7."""

from . import ready
from .java import java
from .process import Launch
from .provision import Cache
from .service import Place, Service

VERSION = "3.0.9"
JAR = f"apicurio-registry-app-{VERSION}-runner.jar"


class Registry(Service):
    name = "registry"
    summary = "Apicurio Registry 3.0, compatible with Confluent's"
    members = ("registry",)
    listeners = ("registry",)

    def provision(self, cache: Cache) -> None:
        java(cache)
        cache.archives("registry", VERSION)

    def prepare(self, member: str, place: Place) -> Launch:
        folder = place.folder(member)
        options = [
            "-Xmx512m",
            "-Dquarkus.http.host=127.0.0.1",
            f"-Dquarkus.http.port={place.port('registry')}",
            # On disk: a registry that comes back must know the ids that it gave.
            f"-Dapicurio.datasource.url=jdbc:h2:file:{folder / 'schemas'}",
            # Twenty connections at once that open one file within five seconds, the defaults, are
            # too much for a busy machine, and a start that fails there is not tried again.
            "-Dapicurio.datasource.jdbc.initial-size=1",
            "-Dapicurio.datasource.jdbc.min-size=1",
            "-Dquarkus.datasource.h2.jdbc.acquisition-timeout=120S",
            # Confluent's default: readers of a new schema can read what the last one wrote.
            "-Dapicurio.rules.global.compatibility=BACKWARD",
            # A list of subjects that ends early would look like schemas that are missing.
            "-Dapicurio.ccompat.max-subjects=100000",
            "-Dquarkus.log.console.format=%d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5p %s (%c{1})%e%n",
        ]
        jar = place.cache.archives("registry", VERSION) / JAR
        return Launch([java(place.cache), *options, "-jar", str(jar)], folder)

    def probe(self, member: str, place: Place) -> None:
        ready.http(f"{url(place)}/subjects")

    def environment(self, place: Place) -> dict[str, str]:
        return {"CITYEVENTS_STACK_REGISTRY": url(place), "CITYEVENTS__REGISTRY__URL": url(place)}


def url(place: Place) -> str:
    return f"http://{place.address('registry')}/apis/ccompat/v7"

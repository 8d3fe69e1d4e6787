"""Redis, for the comparison with a script on one hot event.

It starts with `appendfsync always` and no snapshots; `CONFIG SET appendfsync everysec` changes it
while it runs.
"""

from . import ready
from .process import Launch
from .provision import Cache
from .service import Place, Service


class Redis(Service):
    name = "redis"
    summary = "Redis of Debian, every write on disk (appendfsync always)"
    members = ("redis",)
    listeners = ("redis",)

    def provision(self, cache: Cache) -> None:
        cache.debian("redis-server", "redis-server")

    def prepare(self, member: str, place: Place) -> Launch:
        folder = place.folder(member)
        options = {
            "port": place.port("redis"),
            "bind": "127.0.0.1",
            "dir": folder,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "daemonize": "no",
        }
        command = [place.cache.debian("redis-server", "redis-server")]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        return Launch(command, folder)

    def probe(self, member: str, place: Place) -> None:
        ready.redis(place.port("redis"))

    def environment(self, place: Place) -> dict[str, str]:
        return {"CITYEVENTS_STACK_REDIS": f"redis://{place.address('redis')}"}

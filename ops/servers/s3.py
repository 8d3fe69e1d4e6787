"""An S3 server: moto in its server mode, for snapshots in object storage.

It keeps everything in memory and takes any credentials; buckets are made by whoever needs them.
"""

from . import ready
from .process import Launch
from .provision import Cache
from .service import Place, Service

VERSION = "5.2.5"
REQUIREMENTS = [f"moto[s3,server]=={VERSION}"]


class S3(Service):
    name = "s3"
    summary = "an S3 server (moto), in memory"
    members = ("s3",)
    listeners = ("s3",)

    def provision(self, cache: Cache) -> None:
        cache.python("s3", VERSION, REQUIREMENTS)

    def prepare(self, member: str, place: Place) -> Launch:
        python = place.cache.python("s3", VERSION, REQUIREMENTS) / "bin" / "python"
        command = [str(python), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(place.port("s3"))]
        # Its own log is a line a request, which is what a test wants to see; credentials are any.
        return Launch(command, place.folder(member), {"PYTHONUNBUFFERED": "1"})

    def probe(self, member: str, place: Place) -> None:
        ready.http(f"http://{place.address('s3')}/")

    def environment(self, place: Place) -> dict[str, str]:
        return {"CITYEVENTS_STACK_S3": f"http://{place.address('s3')}"}

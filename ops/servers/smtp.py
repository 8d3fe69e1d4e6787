"""A mail server: aiosmtpd with STARTTLS and AUTH, both required, which keeps what it takes in a folder.

Its certificate is signed by an authority that is made here, so a client has to be told to trust it.
Some recipients are refused, for tests: `refused@` for ever, `later@` for now.
"""

import secrets
from pathlib import Path

from . import ready
from .process import Launch
from .provision import HERE, Cache, run
from .service import Place, Service

VERSION = "1.4.6"
REQUIREMENTS = [f"aiosmtpd=={VERSION}"]
USER = "cityevents"


class Smtp(Service):
    name = "smtp"
    summary = "a mail server (aiosmtpd) with STARTTLS and AUTH"
    members = ("smtp",)
    listeners = ("smtp",)

    def provision(self, cache: Cache) -> None:
        cache.debian("openssl", "openssl")
        cache.python("smtp", VERSION, REQUIREMENTS)

    def prepare(self, member: str, place: Place) -> Launch:
        folder = place.folder(member)
        password = folder / "password"
        if not password.exists():
            password.write_text(secrets.token_urlsafe(18))
        certificates(folder, place.cache.debian("openssl", "openssl"))
        python = place.cache.python("smtp", VERSION, REQUIREMENTS) / "bin" / "python"
        program = HERE / "programs" / "mail_server.py"
        command = [str(python), "-B", str(program), str(place.port("smtp")), str(folder), USER]
        return Launch(command, folder, {"PYTHONUNBUFFERED": "1"})

    def probe(self, member: str, place: Place) -> None:
        ready.smtp(place.port("smtp"), str(place.folder(member) / "authority.pem"))

    def environment(self, place: Place) -> dict[str, str]:
        folder = place.folder(self.name)
        return {
            "CITYEVENTS_STACK_SMTP": f"localhost:{place.port('smtp')}",
            "CITYEVENTS_STACK_SMTP_CA": str(folder / "authority.pem"),
            "CITYEVENTS_STACK_SMTP_USER": USER,
            "CITYEVENTS_STACK_SMTP_PASSWORD_FILE": str(folder / "password"),
            "CITYEVENTS_STACK_SMTP_MAILS": str(folder / "mails"),
        }


def certificates(folder: Path, openssl: str) -> None:
    """An authority and a certificate of this machine; made once."""
    authority = folder / "authority.pem"
    if authority.exists():
        return
    made = folder / "authority.new"
    new = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    new += ["-nodes", "-days", "3650"]
    root_key = str(folder / "authority.key")
    root = [*new, "-keyout", root_key, "-out", str(made), "-subj", "/CN=CityEvents test authority"]
    run(root, "making an authority")
    own = [*new, "-keyout", str(folder / "server.key"), "-out", str(folder / "server.pem")]
    own += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    own += ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", str(made), "-CAkey", root_key]
    run(own, "making a certificate")
    # Last, so that an interrupted run starts over.
    made.rename(authority)

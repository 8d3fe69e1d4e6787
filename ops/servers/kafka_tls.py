"""Apache Kafka behind TLS and a password: one broker, SASL_SSL with SCRAM-SHA-512.

Two listeners for clients: one with a good certificate, and one whose certificate has expired, for
the test that a client refuses it. Both are signed by an authority that is made here, so a client
has to be told to trust it.
"""

import secrets
from pathlib import Path

from . import ready
from .java import keytool
from .kafka import KafkaService
from .process import Launch
from .provision import run
from .service import Place, render

USER = "cityevents"
# Guards files that lie beside it; not a secret.
STORE_PASSWORD = "cityevents"
LISTENERS = {"GOOD": "kafka-tls", "EXPIRED": "kafka-tls.expired"}


class KafkaTls(KafkaService):
    name = "kafka-tls"
    summary = "Apache Kafka 4.1, one broker with TLS and SCRAM-SHA-512"
    members = ("kafka-tls",)
    listeners = ("kafka-tls", "kafka-tls.expired", "kafka-tls.inner", "kafka-tls.controller")

    def prepare(self, member: str, place: Place) -> Launch:
        folder = place.folder(member)
        password = folder / "password"
        if not password.exists():
            password.write_text(secrets.token_urlsafe(18))
        certificates(folder, keytool(place.cache))
        self.format_options = (
            "--add-scram",
            f"SCRAM-SHA-512=[name={USER},password={password.read_text()}]",
        )
        return super().prepare(member, place)

    def properties(self, member: str, place: Place, folder: Path) -> Path:
        addresses = {name: place.address(listener) for name, listener in LISTENERS.items()}
        # The broker talks to itself in the clear; clients are not told of that listener.
        addresses["INNER"] = place.address("kafka-tls.inner")
        listeners = [f"{name}://{address}" for name, address in addresses.items()]
        return render(
            "kafka.properties",
            folder / "server.properties",
            node=1,
            voters=f"1@{place.address('kafka-tls.controller')}",
            listeners=",".join(
                [*listeners, f"CONTROLLER://{place.address('kafka-tls.controller')}"]
            ),
            advertised=",".join(listeners),
            inner="INNER",
            protocols="GOOD:SASL_SSL,EXPIRED:SASL_SSL,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            data=folder / "data",
            replication=1,
            min_insync=1,
            more="\n".join(security(folder)),
        )

    def probe(self, member: str, place: Place) -> None:
        ready.kafka(place.port("kafka-tls.inner"), brokers=1)
        ready.kafka_tls(place.port("kafka-tls"), str(place.folder(member) / "authority.pem"))

    def environment(self, place: Place) -> dict[str, str]:
        folder = place.folder(self.name)
        return {
            "CITYEVENTS_STACK_KAFKA_TLS": place.address("kafka-tls"),
            "CITYEVENTS_STACK_KAFKA_TLS_EXPIRED": place.address("kafka-tls.expired"),
            "CITYEVENTS_STACK_KAFKA_TLS_CA": str(folder / "authority.pem"),
            "CITYEVENTS_STACK_KAFKA_TLS_USER": USER,
            "CITYEVENTS_STACK_KAFKA_TLS_PASSWORD": (folder / "password").read_text(),
        }


def security(folder: Path) -> list[str]:
    lines = ["sasl.enabled.mechanisms=SCRAM-SHA-512"]
    for name in LISTENERS:
        prefix = f"listener.name.{name.lower()}"
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
        lines += [
            f"{prefix}.ssl.keystore.type=PKCS12",
            f"{prefix}.ssl.keystore.location={folder / name.lower()}.p12",
            f"{prefix}.ssl.keystore.password={STORE_PASSWORD}",
            f"{prefix}.ssl.key.password={STORE_PASSWORD}",
            f"{prefix}.scram-sha-512.sasl.jaas.config={module} required;",
        ]
    return lines


def certificates(folder: Path, tool: str) -> None:
    """An authority and two certificates for this machine, one of them expired; made once."""
    authority = folder / "authority.pem"
    if authority.exists():
        return
    store = ["-storetype", "PKCS12", "-storepass", STORE_PASSWORD]
    root = ["-keystore", str(folder / "authority.p12"), "-alias", "authority", *store]

    def call(what: str, *arguments: str) -> None:
        run([tool, *arguments], what)

    for stale in ("authority.p12", "good.p12", "expired.p12"):
        (folder / stale).unlink(missing_ok=True)
    key = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1"]
    call(
        "making an authority",
        *key,
        *root,
        "-dname",
        "CN=CityEvents test authority",
        "-ext",
        "bc:c=ca:true",
        "-startdate",
        "-60d",
        "-validity",
        "3650",
    )
    exported = folder / "authority.new"
    call("writing the authority", "-exportcert", *root, "-rfc", "-file", str(exported))
    for name, start, days in (("good", "-1d", "3650"), ("expired", "-30d", "7")):
        mine = ["-keystore", str(folder / f"{name}.p12"), "-alias", name, *store]
        request, signed = folder / f"{name}.csr", folder / f"{name}.pem"
        call("making a key", *key, *mine, "-dname", "CN=localhost")
        call("asking for a certificate", "-certreq", *mine, "-file", str(request))
        call(
            "signing a certificate",
            "-gencert",
            *root,
            "-infile",
            str(request),
            "-outfile",
            str(signed),
            "-rfc",
            "-ext",
            "san=dns:localhost,ip:127.0.0.1",
            "-startdate",
            start,
            "-validity",
            days,
        )
        call(
            "trusting the authority",
            "-importcert",
            "-keystore",
            str(folder / f"{name}.p12"),
            "-alias",
            "authority",
            *store,
            "-file",
            str(exported),
            "-noprompt",
        )
        call("keeping a certificate", "-importcert", *mine, "-file", str(signed), "-noprompt")
    # Last, so that an interrupted run starts over.
    exported.rename(authority)

"""The mail server itself: run by the Python that has aiosmtpd, as `mail_server.py PORT FOLDER USER`.

Every mail becomes a file `mails/NUMBER.eml`: first what the envelope said, as X-Envelope headers,
then the mail as it came. A file is there whole or not at all.
"""

import asyncio
import itertools
import os
import signal
import ssl
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

REFUSALS = {"refused": "550 5.1.1 no such mailbox", "later": "451 4.3.0 try again later"}


def tls_version(session) -> str:
    return session.ssl["cipher"][1] if session.ssl else "none"


class Mails:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.numbers = itertools.count(len(list(folder.glob("*.eml"))) + 1)

    async def handle_RCPT(self, server, session, envelope, address, options):
        refusal = REFUSALS.get(address.partition("@")[0])
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 2.1.5 fine"

    async def handle_DATA(self, server, session, envelope):
        head = [f"X-Envelope-From: {envelope.mail_from}"]
        head += [f"X-Envelope-To: {address}" for address in envelope.rcpt_tos]
        head += [f"X-Envelope-Tls: {tls_version(session)}", f"X-Envelope-User: {session.auth_data}"]
        path = self.folder / f"{next(self.numbers):06}.eml"
        part = path.with_suffix(".part")
        part.write_bytes("".join(f"{line}\r\n" for line in head).encode() + envelope.content)
        part.rename(path)
        return "250 2.0.0 taken"


async def serve(port: int, folder: Path, user: str) -> None:
    password = (folder / "password").read_text().strip().encode()
    mails = Mails(folder / "mails")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "server.pem", folder / "server.key")

    def authenticate(server, session, envelope, mechanism, given):
        fine = isinstance(given, LoginPassword) and given == LoginPassword(user.encode(), password)
        return AuthResult(success=fine, handled=False, auth_data=user)

    def session():
        return SMTP(
            mails,
            hostname="localhost",
            ident="CityEvents test server",
            tls_context=tls,
            require_starttls=True,
            authenticator=authenticate,
            auth_required=True,
            enable_SMTPUTF8=True,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", port)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    print(f"listening on 127.0.0.1:{port}, process {os.getpid()}")
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))

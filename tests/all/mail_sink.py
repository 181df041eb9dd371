"""A real SMTP server for the tests of alerts: prints its port, wants a user, appends what it gets to the file named."""

import asyncio
import email
import email.header
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Sink:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content)
        subject = str(email.header.make_header(email.header.decode_header(mail["Subject"])))
        with open(sys.argv[1], "a", encoding="utf-8") as out:
            out.write(f"from: {envelope.mail_from}\nto: {' '.join(envelope.rcpt_tos)}\nsubject: {subject}\n")
            out.write(f"user: {session.auth_data}\n{mail.get_payload(decode=True).decode()}\nEND OF MAIL\n")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword)
    told = f"{data.login.decode()} {data.password.decode()}" if good else ""
    return AuthResult(success=good, auth_data=told)


async def main():
    # aiosmtpd's own Controller connects to its port to learn that it is up, which it cannot while the system chooses it.
    def session():
        return SMTP(Sink(), authenticator=authenticate, auth_require_tls=False, auth_required=True)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())

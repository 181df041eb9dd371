"""A real SMTP server for the tests of alerts: prints its port, wants a user, appends what it gets to the file named."""

import email
import email.header
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


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


controller = Controller(
    Sink(), hostname="127.0.0.1", port=0, authenticator=authenticate, auth_require_tls=False, auth_required=True
)
# The controller asks its own port whether it is up, which it cannot know when the system chooses it.
controller._trigger_server = lambda: None
controller.start()
print(controller.server.sockets[0].getsockname()[1], flush=True)
threading.Event().wait()

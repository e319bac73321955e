# SPDX-License-Identifier: Apache-2.0
"""
The other side of a mail client: a private Dovecot that keeps mailboxes, and an SMTP server that takes what is sent.

Both listen on loopback, on ports of the kernel's choice; all that Dovecot writes is below the folder it is given.
"""
import asyncio
import email
import imaplib
import shutil
import socket
import subprocess
import threading

from aiosmtpd.smtp import SMTP

import env

PASSWORD = "secret-of-the-tests"
DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {user}
default_login_user = {user}
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%u
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={user} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    auto = subscribe
  }}
  mailbox Drafts {{
    auto = subscribe
  }}
}}
"""


class Sink:
    """An SMTP server in a thread of its own; mails: what it has taken, parsed, in order."""

    def __init__(self):
        self.mails, self.loop = [], asyncio.new_event_loop()
        serves = self.loop.create_server(lambda: SMTP(self, loop=self.loop), "127.0.0.1", 0)
        self.server = self.loop.run_until_complete(serves)
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 taken"

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(env.CLIENT_TIMEOUT)
        self.server.close()
        self.loop.run_until_complete(self.server.wait_closed())
        self.loop.close()


class Mailbox:
    def __init__(self, folder):
        self.folder, self.smtp = folder, Sink()
        for name in ("run", "state", "mail"):
            (folder / name).mkdir(parents=True)
        if env.ROOT:
            shutil.chown(folder / "mail", env.USER, env.USER)
        self.reserved = socket.socket()  # never listens, but keeps the port for Dovecot
        self.reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.reserved.bind(("127.0.0.1", 0))
        self.imap_port = self.reserved.getsockname()[1]
        conf = folder / "dovecot.conf"
        conf.write_text(DOVECOT.format(folder=folder, user=env.USER, password=PASSWORD, port=self.imap_port))
        self.dovecot = subprocess.Popen([env.program("dovecot"), "-F", "-c", conf], preexec_fn=env.end_with_parent)
        env.until(self.answers, "Dovecot answers")

    def answers(self):
        assert self.dovecot.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.imap_port)) == 0

    def sent(self, subject):
        """How many mails with this subject have reached the SMTP server."""
        return sum(mail["Subject"] == subject for mail in self.smtp.mails)

    def kept(self, user, folder, subject):
        """How many stand in a folder of the user's, as Dovecot tells it."""
        imap = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=env.CLIENT_TIMEOUT)
        try:
            imap.login(user, PASSWORD)
            if imap.select(folder, readonly=True)[0] != "OK":
                return 0
            return len(imap.search(None, "SUBJECT", f'"{subject}"')[1][0].split())
        finally:
            imap.logout()

    def close(self):
        self.dovecot.terminate()
        self.dovecot.wait(env.CLIENT_TIMEOUT)
        self.reserved.close()
        self.smtp.close()

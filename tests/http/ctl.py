# SPDX-License-Identifier: Apache-2.0
"""idemctl, run as an administrator runs it."""
import json
import os
import subprocess

import env

PROGRAM = env.MODULE.parent / "idemctl"
OK, FAILED, USAGE, ABSENT, REFUSED, UNABLE, DAMAGE = range(7)


class Answer:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def objects(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self):
        one, = self.objects
        return one

    def __repr__(self):
        return f"<{self.code} {self.out!r} {self.err!r}>"


class Ctl:
    """Commands against one store."""

    def __init__(self, store, *more):
        self.place = ["--store", store, *more]

    def command(self, *words):
        return [str(PROGRAM), words[0], *self.place, *words[1:]]

    def __call__(self, *words, stdin=None, **more):
        """stdin: text; the rest goes to subprocess.run()."""
        environment = {**os.environ, **env.PRELOAD}
        return Answer(subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True, env=environment,
                                     timeout=env.CLIENT_TIMEOUT, **more))

    def json(self, *words, **more):
        answer = self(*words, "--json", **more)
        assert answer.code == OK, answer
        return answer.objects

    def slots(self, *words):
        return [entry["slot"] for entry in self.json("list", *words)]


def of_server(server, *more):
    """The embedded store of a server that runs."""
    return Ctl(f"lmdb:{server.root}/store", *more)


def remote(server, folder, user="alice"):
    """Commands to the admin API of a server; its configuration is admins.ADMIN."""
    (folder / "password").write_text("secret\n")
    over_http = Ctl("")
    over_http.place = ["--url", f"http://127.0.0.1:{server.address[1]}/admin", "--user", user,
                       "--password-file", str(folder / "password")]
    return over_http

# SPDX-License-Identifier: Apache-2.0
"""Private certificate authorities, and what they sign: made by openssl, in a folder of the test's.

    ca = Authority(folder / "ca"); server = ca.issue("server"); server.cert, server.key, ca.cert
"""
import pathlib
import subprocess
import typing

HERE = "IP:127.0.0.1,DNS:localhost"  # where private servers listen
CONFIG = """[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


class Pair(typing.NamedTuple):
    cert: pathlib.Path
    key: pathlib.Path


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    def __init__(self, folder):
        self.folder, self.issued = pathlib.Path(folder), 0
        self.folder.mkdir(parents=True)
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", *self.new_key(self.key), "-out", self.cert, "-subj", "/CN=Tests of Redis", "-days", 30)
        (self.folder / "index").touch()
        (self.folder / "serial").write_text("1000\n")
        (self.folder / "ca.conf").write_text(CONFIG.format(folder=self.folder))

    @staticmethod
    def new_key(path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]

    def issue(self, name, names=HERE, begins="20200101000000Z", ends="20491231000000Z"):
        """A new certificate for these names; ends in the past: one that has expired."""
        self.issued += 1
        cert, key, request = (self.folder / f"{name}{self.issued}.{what}" for what in ("pem", "key", "csr"))
        openssl("req", "-new", *self.new_key(key), "-out", request, "-subj", f"/CN={name}", "-addext",
                f"subjectAltName={names}")
        openssl("ca", "-batch", "-notext", "-config", self.folder / "ca.conf", "-cert", self.cert, "-keyfile", self.key,
                "-startdate", begins, "-enddate", ends, "-in", request, "-out", cert)
        key.chmod(0o600)
        return Pair(cert, key)

    def expired(self, name):
        return self.issue(name, begins="20200101000000Z", ends="20200201000000Z")

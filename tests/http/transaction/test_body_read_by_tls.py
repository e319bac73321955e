# SPDX-License-Identifier: Apache-2.0
"""mod_ssl reads the body before it asks for a client's certificate, and takes httpd's own filter of bodies out of the
chain.
"""
import hashlib
import ssl
import subprocess

import pytest

from client import Api
from origins.answer import binary

pytestmark = pytest.mark.mpm_independent
MODULES = ["ssl", "unique_id", "security2"]
CONFIG = """
IdempotencyPrefetch 4K
IdempotencySpool 16K
SSLEngine on
SSLProtocol TLSv1.2
SSLCertificateFile "{root}/certificate.pem"
SSLCertificateKeyFile "{root}/key.pem"
SecTmpDir "{root}/tmp"
SecDataDir "{root}/tmp"
<LocationMatch "^/cgi/(asked|both)">
    SSLVerifyClient optional_no_ca
</LocationMatch>
<Location /cgi/both>
    SecRuleEngine On
    SecRequestBodyAccess On
</Location>
"""


@pytest.fixture
def tls(new_httpd, host):
    """A client that keeps a certificate ready, on a server that may ask for it."""
    server = new_httpd(CONFIG, modules=MODULES)
    files = [server.root / name for name in ("key.pem", "certificate.pem")]
    subprocess.run([
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=origin.test", "-days", "2", "-keyout",
        files[0], "-out", files[1]
    ],
                   check=True,
                   capture_output=True)
    context = ssl.create_default_context(cafile=files[1])
    context.check_hostname, context.maximum_version = False, ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files[1], files[0])

    class Tls(Api):
        def connect(self):
            conn = super().connect()
            conn.sock = context.wrap_socket(conn.sock)
            return conn
    return Tls(server.start().address, host)


def test_body_counts(tls, origin):
    """Read by mod_ssl alone, or by mod_security after it; within the spool and beyond."""
    for path in ("/asked", "/both"):
        for size in (9, 12000, 50000):
            body, key = binary("b", size), f"{path}{size}"
            first = tls.post(f"{path}?echo=1", key=key, body=body)
            assert first.status == 201 and first.json["sha256"] == hashlib.sha256(body).hexdigest()
            assert tls.post(f"{path}?echo=1", key=key, body=body[:-1] + b"?").problem == (422, "key-reused")
            assert tls.post(f"{path}?echo=1", key=key, body=body).recorded == first.recorded
        assert origin.executions(path) == 3

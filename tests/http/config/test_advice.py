# SPDX-License-Identifier: Apache-2.0
"""Advice to administrators at start, about lists of parts that do not see what they are meant to."""
import pytest

pytestmark = pytest.mark.mpm_independent

SAID = [(173, "IdempotencyKey json:/id\nIdempotencyFingerprint method path"),
        (173, "IdempotencyKey header:X form:key\nIdempotencyFingerprint none"),
        (174, "IdempotencyFingerprint +body=json"), (174, "IdempotencyFingerprint body body=form,-token"),
        (175, "IdempotencyKey json:/id\nIdempotencySpool 0"), (175, "IdempotencyKey fingerprint\nIdempotencySpool 0"),
        (175, "IdempotencyScope host form:tenant\nIdempotencySpool 0")]
UNSAID = ["IdempotencyKey json:/id", "IdempotencyKey json:/id\nIdempotencyFingerprint method json:/id",
          "IdempotencyKey form:key\nIdempotencyFingerprint -body +body=form", "IdempotencyFingerprint none",
          "IdempotencySpool 0", "IdempotencyEngine Off\nIdempotencyFingerprint +body=json"]


def advice(server):
    return [line for line in server.startup if "IDEM173" in line or "IDEM174" in line or "IDEM175" in line]


@pytest.mark.parametrize("section", ["Location /advised", 'Directory "{stage}/docs"'], ids=["location", "directory"])
def test_place_is_named(new_httpd, stage, section):
    lines = "".join(f"<{section.replace('advised', f'advised/{n}')}>\n{text}\n</{section.split()[0]}>\n"
                    for n, (_, text) in enumerate(SAID[:1] if "Directory" in section else SAID))
    said = advice(new_httpd(lines).start())
    if "Directory" in section:
        assert len(said) == 1 and f"{stage.root}/docs/" in said[0] and "IDEM173" in said[0]
        return
    assert len(said) == len(SAID)
    for n, (number, _) in enumerate(SAID):
        assert [line for line in said if f"/advised/{n}:" in line and f"IDEM{number}" in line], (n, said)


def test_virtual_host_is_named(new_httpd):
    hosts = "".join(f"<VirtualHost *>\nServerName {name}.test\n{text}\n</VirtualHost>\n"
                    for name, text in (("one", "IdempotencyFingerprint +body=json"), ("two", "")))
    said = advice(new_httpd(hosts).start())
    assert len(said) == 1 and "one.test:" in said[0] and "IDEM174" in said[0]


def test_what_is_meant_is_not_commented(new_httpd):
    lines = "".join(f"<Location /fine/{n}>\n{text}\n</Location>\n" for n, text in enumerate(UNSAID))
    assert advice(new_httpd(lines).start()) == []

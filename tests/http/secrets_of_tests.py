# SPDX-License-Identifier: Apache-2.0
"""The secrets that tests give to a server."""

SLOT = "slot: the secret that names the slots of this test\n"
SEALS = {name: f"seal: {name} seals what this test has recorded\n" for name in ("old", "new")}


def write_secret(server, *seals, slot=SLOT, name="secret"):
    """Puts a slot secret, and seals in this order, into a file of the server that only its owner reads."""
    path = server.root / name
    path.touch(mode=0o600)
    path.write_text(slot + "".join(SEALS[seal] for seal in seals))
    return path

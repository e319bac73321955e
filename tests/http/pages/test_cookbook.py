# SPDX-License-Identifier: Apache-2.0
"""
Each recipe of docs/cookbook.md, run from the page: NAME.conf is configured, NAME.sh is run, NAME.out is what it prints.

Addresses and folders of the page stand for those of the test: /srv, https://www.example.org, the ports of backends, and
the folder of the installed policies.
"""
import shutil
import socket
import subprocess

import pytest

import env
from documents import blocks
from httpd import Httpd

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
MODULES = ["dav", "dav_fs", "proxy_balancer", "lbmethod_byrequests"]
PAGE = blocks("cookbook.md")
RECIPES = [name.removesuffix(".sh") for name in PAGE if name.endswith(".sh")]
FOLDERS = ["orders", "git", "dav", "dav-locks"]


class Kitchen:
    """What the page's addresses and folders are here."""

    def __init__(self, root, stage):
        self.srv = root / "srv"
        self.nobody = socket.socket()  # a port on which nobody listens
        self.nobody.bind(("127.0.0.1", 0))
        self.words = {"/usr/share/apache2/idempotency/policies": str(env.REPO / "conf/policies"),
                      "127.0.0.1:8080": f"127.0.0.1:{stage.backend.server_port}",
                      "127.0.0.1:8081": f"127.0.0.1:{self.nobody.getsockname()[1]}", "/srv": str(self.srv),
                      "www-data": env.USER}
        for folder in FOLDERS:
            (self.srv / folder).mkdir(parents=True)
            (self.srv / folder).chmod(0o777)
        self.srv.chmod(0o755)

    def here(self, text):
        for word, stands_for in self.words.items():
            text = text.replace(word, stands_for)
        return text

    def put(self, name):
        (self.srv / name).write_text(self.here(PAGE[name]))
        (self.srv / name).chmod(0o755)


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory, stage):
    kitchen = Kitchen(stage.root / "kitchen", stage)
    yield kitchen
    kitchen.nobody.close()
    shutil.rmtree(stage.root / "kitchen")


@pytest.fixture(scope="module")
def httpd(stage, store, kitchen):
    config = "".join(kitchen.here(text) for name, text in PAGE.items() if name.endswith(".conf"))
    server = Httpd(stage, "IdempotencyEngine Off\n" + config, store, MODULES)
    kitchen.words["https://www.example.org"] = f"http://127.0.0.1:{server.address[1]}"
    for name in PAGE:
        if name.endswith((".cgi", ".py", ".sh")):
            kitchen.put(name)
    yield server.start()
    server.stop()


def test_each_recipe_is_complete():
    assert len(RECIPES) >= 12
    for name in RECIPES:
        assert {f"{name}.conf", f"{name}.out"} <= set(PAGE), name
    assert {name.removesuffix(".out") for name in PAGE if name.endswith(".out")} == set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe(recipe, httpd, kitchen, tmp_path):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["sh", kitchen.srv / f"{recipe}.sh"], capture_output=True, text=True, cwd=tmp_path,
                          env=environment, timeout=env.CLIENT_TIMEOUT)
    assert done.stdout == PAGE[f"{recipe}.out"], done.stderr

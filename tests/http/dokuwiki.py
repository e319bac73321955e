# SPDX-License-Identifier: Apache-2.0
"""
DokuWiki as Debian installs it, with configuration and data in a folder of the test's own.

A file that PHP prepends names that folder by DokuWiki's own constant; its text is the test's.
"""
import pathlib
import shutil

import pytest

import env

INSTALLED = pathlib.Path("/usr/share/dokuwiki")
SETTINGS = """<?php
$conf['title'] = 'A wiki';
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['autopasswd'] = 0;
$conf['userewrite'] = %d;
$conf['savedir'] = '%s';
"""
FOLDERS = "attic cache index locks log media media_attic media_meta meta pages tmp".split()


def lay_out(folder, rewrites):
    """Configuration and data, given to whom it runs as. Everybody may edit pages, and register."""
    if not INSTALLED.exists():
        pytest.fail("dokuwiki is not installed: run make deps")
    for name in ["conf"] + [f"data/{name}" for name in FOLDERS]:
        (folder / name).mkdir(parents=True)
    (folder / "conf/local.php").write_text(SETTINGS % (rewrites, folder / "data"))
    (folder / "conf/acl.auth.php").write_text("*\t@ALL\t8\n")
    (folder / "conf/users.auth.php").write_text("")
    for path in [folder, *folder.rglob("*")]:
        shutil.chown(path, env.USER)


def saves(folder, page):
    """What the wiki itself says of a page's history: one line for each time it was saved."""
    changes = folder / f"data/meta/{page}.changes"
    return changes.read_text().splitlines() if changes.exists() else []

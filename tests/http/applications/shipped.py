# SPDX-License-Identifier: Apache-2.0
"""
Applications as Debian ships them, unpacked into a folder of the test's own: nothing is installed, no service starts.

A package is downloaded once, by apt, into build/applications. Where one cannot be had the test is skipped, and says so.
"""
import os
import shutil
import subprocess

import pytest

import env

CACHE = env.REPO / "build/applications"
PREPEND = """<?php
(function () {
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') return;
    $path = strtok($_SERVER['REQUEST_URI'], '?') . (OPERATION);
    $run = ['path' => $path, 'method' => 'POST', 'query' => $_SERVER['QUERY_STRING'] ?? '',
            'fields' => array_keys($_POST)];
    file_put_contents('STAGE/ledger', json_encode($run) . "\\n", FILE_APPEND | LOCK_EX);
    $gate = 'STAGE/gates/' . str_replace('/', '_', trim($path, '/'));
    $lock = @fopen($gate, 'rb');
    $entered = $lock ? @fopen("$gate.entered", 'rb+') : false;
    if ($entered) {
        fwrite($entered, 'x');
        flock($lock, LOCK_SH);
    }
})();
"""


def package_of(name):
    """The path of the newest package of this name that apt can have."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not list(CACHE.glob(f"{name}_*.deb")):
        done = subprocess.run(["apt-get", "download", name], cwd=CACHE, capture_output=True, text=True,
                              timeout=env.CLIENT_TIMEOUT * 3)
        if done.returncode:
            pytest.skip(f"the Debian package {name} cannot be had: {done.stderr.strip()[-200:]}")
    return max(CACHE.glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime)


def have(*names):
    """Skips where one of these packages cannot be had."""
    for name in names:
        package_of(name)


def unpack(folder, *names):
    """All of these packages, in one tree of folders; what they link to by absolute paths is not there."""
    for name in names:
        subprocess.run(["dpkg", "-x", package_of(name), folder], check=True)
    return folder


def relink(folder):
    """Links to where the packages would be installed lead to what was unpacked instead."""
    for path in [path for path in folder.rglob("*") if path.is_symlink()]:
        target = os.readlink(path)
        if target.startswith("/") and os.path.lexists(f"{folder}{target}"):
            path.unlink()
            path.symlink_to(f"{folder}{target}")


def give(*folders):
    """To whom the application runs as."""
    if env.ROOT:
        for folder in folders:
            for path in [folder, *folder.rglob("*")]:
                shutil.chown(path, env.USER)


class Application:
    """One of them, in a folder of its own, with an FPM that runs it."""

    def __init__(self, stage, name, packages):
        self.stage, self.name, self.folder = stage, name, stage.root / name
        unpack(self.folder, *packages)

    def start(self, **how):
        self.fpm = start_fpm(self.stage, self.name, **how)

    def close(self):
        self.fpm.terminate()
        self.fpm.wait(env.CLIENT_TIMEOUT)
        shutil.rmtree(self.folder)


def start_fpm(stage, name, operation="''", options="", constants=""):
    """FPM at NAME.sock with the machine's extensions; each POST is entered in the ledger, and waits at its gate.

    operation: in PHP, what is added to the path in the ledger where one path is for everything. constants: PHP, too.
    """
    prepend = stage.root / f"{name}-prepend.php"
    prepend.write_text(PREPEND.replace("STAGE", str(stage.root)).replace("OPERATION", operation) + constants)
    return stage.start_fpm(name, f"php_admin_value[auto_prepend_file] = {prepend}\n"
                           f"php_admin_value[session.gc_probability] = 0\n{options}", flags=[])


def php(script, *words, given=None):
    """What a script prints, run as the application's user."""
    user = ["setpriv", f"--reuid={env.USER}", f"--regid={env.USER}", "--clear-groups"] if env.ROOT else []
    done = subprocess.run([*user, env.program("php8.2", "php"), script, *words], capture_output=True, text=True,
                          input=given, timeout=env.CLIENT_TIMEOUT, env={"PATH": os.environ["PATH"], "HOME": "/tmp"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout

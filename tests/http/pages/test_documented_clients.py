# SPDX-License-Identifier: Apache-2.0
"""
The clients of docs/clients.md, cut out of the page, behind a proxy that loses answers: each operation is done once.

All clients run a scenario at the same time, each with an order, a path and a proxy of its own.
"""
import contextlib
import json
import re
import subprocess
import threading

import pytest

import env
from client import Api
from documents import blocks, write_blocks
from lossy import Lossy

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
long = pytest.mark.long  # seven programs start for each scenario, one of them a compiler: make clients
DONE, REFUSED, UNKNOWN, LATER = 0, 1, 2, 75
COMMANDS = {"pay.sh": ["sh"], "pay_urllib.py": ["/usr/bin/python3"], "pay_httpx.py": ["/usr/bin/python3"],
            "pay_node.mjs": ["node"], "pay.php": ["php"], "Pay.java": ["java", "-XX:TieredStopAtLevel=1"],
            "pay.pl": ["perl"]}
PARTS_OF_OTHERS = {"pay.mjs", "pay.html"}
CONFIG = """
<Location "/cgi">
    IdempotencyRequireKey On
</Location>
ProxyPass /dying http://127.0.0.1:{peer}/ disablereuse=On
Alias /shop "{root}/shop"
<Directory "{root}/shop">
    Require all granted
    AddType text/html html
    AddType text/javascript mjs
    IdempotencyEngine Off
</Directory>
"""


class Run:
    """One client with one order. It is started again with the same files by start()."""

    def __init__(self, name, folder, api, path, fates=()):
        self.name, self.path, self.fates = name, f"{path}/{name}", fates
        self.folder, self.api = folder / f"{name}.d", api
        self.folder.mkdir()
        for part in (name, *PARTS_OF_OTHERS):
            (self.folder / part).write_text(blocks("clients.md")[part], encoding="utf-8")
        (self.folder / "order.json").write_text('{"item":"book"}')

    def start(self):
        self.proxy = Lossy(self.api.address, self.fates)
        with self.proxy:
            command = [*COMMANDS[self.name], self.name, f"{self.proxy.url}{self.path}{self.query}", "order.json"]
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.said, self.complained = self.process.communicate(timeout=env.CLIENT_TIMEOUT)
        return self

    @property
    def ended(self):
        return self.name, self.process.returncode, self.complained.decode()[-200:] if self.process.returncode else ""

    @property
    def keys(self):
        return {re.search(rb'(?im)^idempotency-key: *"([^"]+)"', head).group(1) for _, head in self.proxy.attempts}


@pytest.fixture
def client_runs(tmp_path, api):
    """clients(path, fates): a run of each client, all at once."""
    def client_runs(path, fates=(), again=None, query=""):
        runs = again or [Run(name, tmp_path, api, path, fates) for name in COMMANDS]
        for run in runs:
            run.query = query
        threads = [threading.Thread(target=run.start) for run in runs]
        for thread in threads:
            thread.start()
        return runs, threads
    return client_runs


def finish(threads):
    for thread in threads:
        thread.join()


@pytest.fixture
def api(httpd):
    """Clients name the host that they were given: the address of the proxy. Paths keep tests apart here."""
    return Api(httpd.address, "127.0.0.1", "/cgi")


def test_every_client_of_the_page_is_run():
    assert set(COMMANDS) | PARTS_OF_OTHERS == set(blocks("clients.md"))


def test_lost_answers_are_one_order(client_runs, origin):
    runs, threads = client_runs("/cgi/lost", ["lose", "refuse", "cut"])
    finish(threads)
    assert [run.ended for run in runs] == [(name, DONE, "") for name in COMMANDS]
    for run in runs:
        (execution,) = origin.runs(run.path.removeprefix("/cgi"))
        assert json.loads(run.said) == {"execution": execution["id"]}, run.name
        assert len(run.proxy.attempts) == 4 and len(run.keys) == 1, run.name
        assert (run.folder / "order.json.key").read_text().strip().encode() in run.keys


@long
def test_client_that_gave_up_goes_on_with_its_key(client_runs, origin):
    """Killed after its request was executed; started again, it gets the answer that it never saw."""
    runs, threads = client_runs("/cgi/crash", ["lose"] * 100)
    for run in runs:
        env.until(lambda run=run: hasattr(run, "proxy") and len(run.proxy.attempts) >= 2, f"{run.name} sends again")
        run.process.kill()
    finish(threads)
    first = {run.name: run.keys for run in runs}
    for run in runs:
        run.fates = []
    finish(client_runs("", again=runs)[1])
    assert [run.ended for run in runs] == [(name, DONE, "") for name in COMMANDS]
    assert {run.name: run.keys for run in runs} == first
    assert [origin.executions(run.path.removeprefix("/cgi")) for run in runs] == [1] * len(runs)


def seed(runs, api, body):
    """Each order has its key already, and a request with it was sent from elsewhere. Its connections."""
    conns = []
    for run in runs:
        (run.folder / "order.json.key").write_text(run.path)
        headers = [("Content-Type", "application/json")]
        conns.append(api.at("").post_async(run.path, key=run.path, body=body, headers=headers))
    return conns


@long
def test_retry_after_is_obeyed(client_runs, origin, api, tmp_path):
    """While another attempt of the same order runs, each client waits the second that it is told to wait."""
    runs = [Run(name, tmp_path, api, "/cgi/wait") for name in COMMANDS]
    with contextlib.ExitStack() as gates:
        held = [gates.enter_context(origin.hold(run.path.removeprefix("/cgi"))) for run in runs]
        conns = seed(runs, api, b'{"item":"book"}')
        for gate in held:
            gate.wait_until_entered()
        threads = client_runs("", again=runs)[1]
        for run in runs:
            env.until(lambda run=run: hasattr(run, "proxy") and len(run.proxy.attempts) >= 2, f"{run.name} comes again")
    finish(threads)
    answers = [conn.last_result().body for conn in conns]
    assert [run.ended for run in runs] == [(name, DONE, "") for name in COMMANDS]
    assert [run.said for run in runs] == answers
    for run in runs:
        first, second = [at for at, _ in run.proxy.attempts[:2]]
        assert second - first >= 1, run.name
        assert origin.executions(run.path.removeprefix("/cgi")) == 1, run.name


@long
def test_unknown_outcome_stops_every_client(client_runs, peer):
    """The application died in the middle: 502, then 409 outcome-unknown. Nobody sends a third time."""
    runs, threads = client_runs("/dying")
    for _ in runs:
        exchange = peer.accept()
        exchange.read_http()
        exchange.sock.close()
        exchange.stream.close()
    finish(threads)
    assert [run.process.returncode for run in runs] == [UNKNOWN] * len(runs), [run.complained for run in runs]
    assert [len(run.proxy.attempts) for run in runs] == [2] * len(runs)
    assert all(b"outcome-unknown" in run.complained for run in runs)
    assert peer.requests == len(runs)


@long
def test_reused_key_is_the_clients_fault(client_runs, origin, api, tmp_path):
    runs = [Run(name, tmp_path, api, "/cgi/reused") for name in COMMANDS]
    assert [conn.last_result().status for conn in seed(runs, api, b'{"item":"another"}')] == [201] * len(runs)
    finish(client_runs("", again=runs)[1])
    assert [run.process.returncode for run in runs] == [REFUSED] * len(runs)
    assert [len(run.proxy.attempts) for run in runs] == [1] * len(runs)
    assert [origin.executions(run.path.removeprefix("/cgi")) for run in runs] == [1] * len(runs)


@long
def test_error_of_the_application_is_an_answer(client_runs, origin):
    runs, threads = client_runs("/cgi/error", ["lose"], query="?status=500")
    finish(threads)
    assert [run.process.returncode for run in runs] == [REFUSED] * len(runs)
    assert [len(run.proxy.attempts) for run in runs] == [2] * len(runs)
    assert [origin.executions(run.path.removeprefix("/cgi")) for run in runs] == [1] * len(runs)


# ---- the browser ---------------------------------------------------------------------------------------------------

def browse(httpd, url, folder):
    """What a page says once nothing happens in it any more."""
    command = [env.program("chromium", "chromium-browser"), "--headless", "--no-sandbox", "--disable-gpu",
               f"--user-data-dir={folder}", "--virtual-time-budget=60000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=env.CLIENT_TIMEOUT).stdout


@long
def test_browser_sends_until_it_has_an_answer(httpd, origin, tmp_path):
    """The page's form is submitted twice at once; two answers are lost. A reload later is the same order."""
    shop = httpd.root / "shop"
    shop.mkdir(exist_ok=True)
    write_blocks("clients.md", shop)
    click = '<script type="module">for (let i = 0; i < 2; i++) document.forms[0].requestSubmit()</script>'
    (shop / "pay.html").write_text(blocks("clients.md")["pay.html"] + click)
    with Lossy(httpd.address, ["lose", "cut"]) as proxy:
        url = f"{proxy.url}/shop/pay.html?order=7&url=/cgi/browser"
        pages = [browse(httpd, url, tmp_path / "profile") for _ in range(2)]
        assert len(proxy.attempts) >= 6, pages
    (execution,) = origin.runs("/browser")
    assert [f'done: {{"execution": "{execution["id"]}"}}' in page for page in pages] == [True, True], pages

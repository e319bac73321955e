# SPDX-License-Identifier: Apache-2.0
"""What counting costs a guarded request, in instructions: `make cost`. Fails where it is LIMIT or more.

A private httpd runs under valgrind's callgrind, and executes and replays REQUESTS each. Counted is what is spent in the
functions of src/http/metrics that a request calls, with all that they call. The number does not depend on the machine's
load, and not on its speed.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/http"), str(ROOT / "tests/store/servers")]

import env  # noqa: E402 (found by the line above)
import metrics  # noqa: E402
from client import Api  # noqa: E402
from httpd import Here, Httpd  # noqa: E402
from metrics import Metrics  # noqa: E402
from origin import Stage  # noqa: E402
from private_server import run_folder  # noqa: E402

REQUESTS = 100
LIMIT = 200
# All that a request's way through the module calls to count; what else is in these files reads or begins.
COUNTING = ("observe_call", "idem_metrics_request", "idem_metrics_change", "idem_repeats_note")


class Callgrind(Here):
    def __init__(self, folder):
        self.prefix = [env.program("valgrind"), "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.%p"]


def spent(path):
    """{function of the module: instructions spent in it and in what it calls} of one process."""
    said = subprocess.run([env.program("callgrind_annotate"), "--inclusive=yes", "--threshold=100", "--show-percs=no",
                           "--auto=no", str(path)], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^ *([\d,]+) +\S+?:([\w.]+) \[.*mod_idempotency\.so\]", said, re.MULTILINE)
    return {name: int(cost.replace(",", "")) for cost, name in rows}


def measure(stage):
    place = Callgrind(stage.root / "out")
    (stage.root / "out").mkdir()
    (stage.root / "out").chmod(0o777)
    server = Httpd(stage, metrics.CONFIG, place=place).start()
    api, counted = Api(server.address, "cost.test", "/proxy"), Metrics(server)
    for number in range(REQUESTS):
        assert [api.post("/pay", key=f"k{number}").replayed for _ in range(2)] == [False, True]
    counted.until('requests_total{outcome="replayed"}', REQUESTS)
    server.stop()
    total = {}
    for path in (stage.root / "out").glob("callgrind.*"):
        for name, cost in spent(path).items():
            total[name] = total.get(name, 0) + cost
    return total


def main():
    stage = Stage(run_folder("cost"))
    stage.watched = []
    try:
        total = measure(stage)
    finally:
        stage.close()
    costs = {name: total[name] / (2 * REQUESTS) for name in COUNTING if name in total}
    assert costs.keys() >= {"observe_call", "idem_metrics_request"}, total.keys()
    for name, cost in costs.items():
        print(f"{name:24} {cost:8.1f} instructions a guarded request")
    print(f"{'counting, all together':24} {sum(costs.values()):8.1f}, and the limit is {LIMIT}")
    return sum(costs.values()) >= LIMIT


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""
Which behaviours depend on the MPM: make test runs them on event, worker and prefork, all others on event only. make
test-all runs the others on all three, except those marked mpm_independent. A test can say it itself: @pytest.mark.mpm.
"""
import pathlib

FILES = {
    "test_client_gone": "who learns that a client left: a thread of many, or the only one of its process",
    "test_client_gone_http2": "streams share a process with the server's other threads, or have it to themselves",
    "test_concurrent_duplicate": "the two race as threads or as processes",
    "test_lease_pairs": "a signal ends one request or twenty-four",
    "test_max_keys": "children count together",
    "test_messages": "a settlement dies with its process",
    "test_metrics": "children count together, and some end",
    "test_notify": "who posts, and what is forked: a thread of many, or the only one of its process",
    "test_restart": "how children end: at once, gracefully, one by one",
    "test_script_fails": "mod_cgid, which has a daemon, or mod_cgi, which forks the child",
    "test_secret": "two generations of children serve at once",
    "test_store_hangs": "each process finds out for itself, with one worker or with many",
    "test_stream": "how a response leaves: by the worker or by the listener",
    "test_wait": "waiters are woken within a process and look from outside it",
    "test_worker_killed": "which requests a child takes with it",
}


def depends(item, mpm):
    """On prefork the origin in mod_php is there, which no other MPM has: each behaviour is tried on it."""
    parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
    in_php = any(isinstance(value, str) and value.strip("/") == "php" for value in parameters)
    return item.path.stem in FILES or mpm == "prefork" and in_php


there = {path.stem for path in pathlib.Path(__file__).parent.rglob("test_*.py")}
gone = [name for name in FILES if name not in there]
assert not gone, f"there is no {', '.join(gone)}"

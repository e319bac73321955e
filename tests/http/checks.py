# SPDX-License-Identifier: Apache-2.0
"""What several files of tests look for."""
import base64
import hashlib
import os
import re
import signal
import time

import env


def assert_replayed(api, origin, path, key="k1", **request):
    """Sends a request twice: it is executed once, and the second answer is the first one. Returns both."""
    before = origin.executions()
    first = api.post(path, key=key, **request)
    second = api.post(path, key=key, **request)
    assert first["Idempotent-Replayed"] is None
    assert second.replayed, second
    assert second.recorded == first.recorded
    assert origin.executions() == before + 1
    return first, second


def parts_named(response):
    """The parts of the request that a 422 says are different."""
    return re.search(r"differs in: (\S*)\. ", response.json["detail"]).group(1).lower().split(",")


def basic(user):
    """An Authorization header that a file written by passwords() accepts."""
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:secret".encode()).decode())


# The configuration of a place where these users may come in.
SIGN_IN = """
    AuthType Basic
    AuthName staff
    AuthUserFile "{stage}/passwords"
    Require valid-user
"""


def passwords(folder, *users):
    """Writes a password file for mod_authn_file and returns its path."""
    secret = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    (folder / "passwords").write_text("".join(f"{user}:{{SHA}}{secret}\n" for user in users))
    (folder / "passwords").chmod(0o644)
    return folder / "passwords"


def kill_while_it_runs(server, api, origin, path="/pay", **request):
    """Sends a request, and kills the child that runs its handler. Its outcome is unknown then, or may be retried."""
    with origin.hold(path) as held:
        conn = api.post_async(path, **{"key": "k1", "body": b"1", **request})
        held.wait_until_entered()
        child = server.child_of(conn)
        server.kill_child(child)
        env.until(lambda: child not in server.children(), "the parent buries its child")


def settled(api, path, key="k1", body=b"1"):
    """The answer to a retry, once it is no longer in progress."""
    def retry():
        answer = api.post(path, key=key, body=body)
        return answer if answer.problem != (409, "in-progress") else None
    return env.until(retry, f"{path} is settled")


PIECES = "parts=4"


def assert_ran_to_its_end_once(api, origin, path="/pay"):
    """The retry of a request that left in PIECES is the whole answer of the one execution there was."""
    again = settled(api, f"{path}?{PIECES}")
    (run,) = origin.runs(path)
    assert again.replayed and again.problem == (201, None)
    assert again.json == {"execution": run["id"]}
    assert [end["id"] for end in origin.runs(path + ".end")] == [run["id"]]


def assert_clean_error(first, status=502):
    """An error page of httpd's, whole, with nothing of the backend's answer."""
    assert first.problem == (status, None) and not first.replayed
    assert first["Content-Type"].startswith("text/html")
    assert len(first.body) == int(first["Content-Length"]) and first.body.endswith(b"</body></html>\n")
    assert b"HALF" not in first.body


def assert_asked_once(api, peer, first, path="/pay"):
    """The retry is answered with what was recorded; the backend hears nothing of it."""
    again = api.post(path, key="k1", body=b"1")
    assert again.replayed and again.recorded == first.recorded
    assert peer.requests == 1 and not peer.came()


def assert_unknown(api, peer, path="/pay"):
    again = api.post(path, key="k1", body=b"1")
    assert again.problem == (409, "outcome-unknown")
    assert peer.requests == 1 and not peer.came()


def kill_fpm(httpd, origin, path, records):
    """Kills the worker of PHP-FPM that waits at a gate, when httpd has read so many records of its answer (trace8 says
    so).
    """
    (run,) = env.until(lambda: origin.runs(path), "the script runs")
    env.until(lambda: sum("FastCGI header" in line for line in httpd.log.lines()) >= records,
              "httpd reads what is written")
    os.kill(run["pid"], signal.SIGKILL)


def timed(call):
    """What the call returns, and how many seconds it took."""
    began = time.monotonic()
    return call(), time.monotonic() - began


def tolerate(server, *allowed):
    """The log may have these warnings, as often as trouble was met, and no others."""
    assert [line for line in server.log.faults() if not any(number in line for number in allowed)] == []
    server.log.mark()


def status_field(answer, name="X-Once"):
    """The parameters of the one field of IdempotencyStatusHeader; times as numbers."""
    (field,) = answer.all(name)
    matched = re.fullmatch(r"idempotency((?:;[a-z]+=(?:[a-z][a-z-]*|\d{1,15}))+)", field)
    assert matched, field
    pairs = dict(pair.split("=") for pair in matched.group(1)[1:].split(";"))
    return {key: int(value) if value.isdigit() else value for key, value in pairs.items()}

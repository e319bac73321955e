"""What several files of tests look for."""
import base64
import hashlib
import re

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


def passwords(folder, *users):
    """Writes a password file for mod_authn_file and returns its path."""
    secret = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    (folder / "passwords").write_text("".join(f"{user}:{{SHA}}{secret}\n" for user in users))
    (folder / "passwords").chmod(0o644)
    return folder / "passwords"


def settled(api, path, key="k1", body=b"1"):
    """The answer to a retry, once it is no longer in progress."""
    def retry():
        answer = api.post(path, key=key, body=body)
        return answer if answer.problem != (409, "in-progress") else None
    return env.until(retry, f"{path} is settled")

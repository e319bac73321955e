# SPDX-License-Identifier: Apache-2.0
"""A store that is not there, goes away and comes back: the answers to guarded requests, how soon they come, and the
log."""
import env
from checks import timed, tolerate
from client import Api

TIMEOUT = 0.4
CONFIG = """
IdempotencyStoreTimeout 400ms
<Location /cgi/bypass>
    IdempotencyStoreFailure bypass
</Location>
"""


def started_without_its_store(server, host):
    """The server's client. The start has said what is missing, and guarded requests are refused."""
    assert any("IDEM064" in line and "cannot be reached" in line for line in server.startup), server.startup
    api = Api(server.address, host)
    assert api.post("/pay", key="k1").problem == (503, "store-unavailable")
    return api


def assert_others_pass(api):
    """With bypass, or without a key."""
    assert api.post("/bypass", key="k1").problem == (201, None)
    assert api.post("/pay").problem == (201, None)


def used_again(api):
    return env.until(lambda: api.post("/pay", key="back").problem == (201, None), "the store is used again")


def assert_used_again_soon(api):
    _, seconds = timed(lambda: used_again(api))
    assert seconds < 2 + env.SLACK, seconds


def leave(store, how):
    store.stop() if how == "stopped" else store.pause()


def come_back(store, how):
    store.start() if how == "stopped" else store.resume()


def assert_refused_while_away(store, api, origin, how):
    """k1 has been recorded before."""
    leave(store, how)
    for number in range(3):
        answer, seconds = timed(lambda: api.post("/pay", key=f"new{number}"))
        assert answer.problem == (503, "store-unavailable") and seconds < 2 * TIMEOUT + env.SLACK, (answer, seconds)
    assert_others_pass(api)
    come_back(store, how)
    assert_used_again_soon(api)
    env.until(lambda: api.post("/pay", key="k1").replayed, "the child that serves this one uses it again, too")
    assert origin.executions("/pay") == 3


def assert_recorded_once_it_is_back(store, api, origin, how):
    """It goes away while a request runs. The client gets its answer, and the record is there once the store is."""
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        leave(store, how)
    assert first.result().problem == (201, None)
    come_back(store, how)
    env.until(lambda: api.post("/pay", key="k1").replayed, "the record is there")
    assert origin.executions("/pay") == 1


def tolerate_trouble(server, password, *numbers):
    """..., which names the store without its password."""
    assert server.log.count(password) == 0
    tolerate(server, "IDEM010", "IDEM022", "IDEM050", "IDEM064", "IDEM065", *numbers)

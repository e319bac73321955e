# SPDX-License-Identifier: Apache-2.0
"""What the world did to a key. Was its owner out of reach for so long that its lease lapsed? Did its server lose what
it had acknowledged? The judge asks for one key and one stretch of its life; nothing here excuses more than that.
"""
from promises import OUTLIVES, RECOVERY

FOR_EVER = float("inf")
STORE_ENDS = ("store killed", "store stopped", "store paused")


def server_of(case, key):
    """None where all servers have all keys together."""
    return case.promise.server_of(key) if case.promise.server_of else None


def concerns(deed, server):
    return None in (deed.server, server) or deed.server == server


# ---- loss ------------------------------------------------------------------------------------------------------------


def gone(case, deed):
    """A server that is killed or stopped acknowledges until it is gone."""
    return next(
        (later.at
         for later in case.deeds if (later.what, later.server) == ("store gone", deed.server) and later.at >= deed.at),
        FOR_EVER)


def age(case, deed, written):
    """Of what was written then, when this was done to its server: as long as the server itself has run since."""
    stopped = ((other.at, ends(case, other)) for other in case.deeds
               if (other.what, other.server) == ("store paused", deed.server))
    return deed.at - written - sum(max(0, min(end, deed.at) - max(begin, written)) for begin, end in stopped)


def lost(case, key, since, until, written):
    """May the store have lost, within this time, what it had acknowledged for the key? written: when it acknowledged
    it, at the latest.
    """
    for deed in case.deeds:
        window = case.promise.loses.get(deed.what.removeprefix("store "))
        if window and concerns(deed, server_of(case, key)) and deed.at <= until and since <= gone(case, deed):
            if age(case, deed, written) <= window:
                return True
    return False


# ---- reach -----------------------------------------------------------------------------------------------------------


def ends(case, deed):
    """When what began with this deed was over."""
    if deed.what == "SIGSTOP":
        over = (later.at for later in case.deeds if (later.what, later.pid) == ("SIGCONT", deed.pid))
    elif deed.what == "cut off":
        over = (later.at for later in case.deeds if (later.what, later.host) == ("joined", deed.host))
    elif deed.what in STORE_ENDS:
        over = (later.at for later in case.deeds if (later.what, later.server) == ("store back", deed.server))
    else:
        file = deed.what.split()[1]
        over = (later.at for later in case.deeds if (later.what, later.host) == (f"store: no more {file}", deed.host))
    return next((at for at in over if at >= deed.at), FOR_EVER)


def keeps_from_store(deed, host, process, server):
    if deed.what == "SIGSTOP":
        return deed.pid == process
    if deed.what == "cut off" or deed.what.startswith(("store: fail", "store: block")):
        return deed.host == host
    return deed.what in STORE_ENDS and concerns(deed, server)


def outages(case, host, process, server):
    """When this process could not reach that server: [[begin, end], …]. Two with less between them than it takes to
    notice that the store is back are one.
    """
    merged = []
    for deed in sorted(case.deeds, key=lambda deed: deed.at):
        if not keeps_from_store(deed, host, process, server):
            continue
        end = ends(case, deed)
        if merged and deed.at <= merged[-1][1] + RECOVERY:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([deed.at, end])
    return merged


def stuck(case, host, process, at):
    """Some server hung, or was cut off. May a call of this process have been inside it when the process was told to
    stop?"""
    stop = max((deed.at for deed in case.deeds if (deed.what, deed.host) == ("stop", host) and deed.at <= at),
               default=at)
    return case.promise.hangs and any(begin <= stop <= end + RECOVERY
                                      for begin, end in outages(case, host, process, None))


def lapsed(case, key, until, since=None):
    """May a living owner have lost its lease by then? Only on a store that hosts share. The owner is one of the key's
    requests; it reached nobody from its last renewal on. since: when it was found to be lost, at the earliest; an owner
    that is back has renewed its lease by then, or settled, if nobody has taken it."""
    if not case.promise.shared:
        return False
    for answer in case.answers[key]:
        process = case.served.get(answer.request)
        for begin, end in outages(case, answer.host, process, server_of(
                case, key)) if process and answer.sent < until else ():
            in_time = end > answer.sent and until - max(begin, answer.sent) >= OUTLIVES
            if in_time and (since is None or since <= end + RECOVERY):
                return True
    return False

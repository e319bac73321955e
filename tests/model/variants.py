"""The list of variants: what is explored, which promises it must keep, or which one it must be seen to break.

A variant with `breaks` leaves out one rule, or uses a store that cannot do what is asked. Its counterexample is known,
and the run fails if it is no longer found: then either the model has become blind or the rule is no longer needed.
"""
from typing import NamedTuple, Optional

from contract import Broken
from memcache import GuardedStore, Rules, WriteOnceStore
from protocol import Habits
from stores import AgeStore, DbdStore, LeaseStore, LocalStore, RedisStore
from world import (ENDS, FENCED_NEVER_STARTS, LIVE_OWNER_STAYS, NO_ORPHAN, NO_WIN_AFTER_ANSWER, ONE_ANSWER,
                   ONE_ANSWER_EVER, RECORD_STAYS, REFUSE_MEANS_REFUSE, RUNS_ONCE)

REFUSE = (RUNS_ONCE, ONE_ANSWER_EVER, RECORD_STAYS, NO_ORPHAN, ENDS)
RETRY = (LIVE_OWNER_STAYS, FENCED_NEVER_STARTS, ONE_ANSWER, RECORD_STAYS, NO_ORPHAN, ENDS)
AFTER_LOSS = (NO_WIN_AFTER_ANSWER, ONE_ANSWER, RECORD_STAYS, NO_ORPHAN, ENDS)

ANY_END = ("RECORDED", "RETRYABLE", "CUT")  # GONE and BODY_CUT settle as CUT does
TWO = ("refuse", "refuse")
TWO_RETRY = ("retry", "retry")
THREE_RETRY = ("retry", "retry", "retry")


class Variant(NamedTuple):
    name: str
    store: object
    faults: str                  # "die 1, pause 2": how often each may happen
    promises: tuple
    habits: Habits = Habits()
    breaks: Optional[str] = None
    loses_anything: bool = False


DRIVERS = [
    Variant("lmdb, refuse", LocalStore(), "die 1, pause 1, answer lost 2, end 1", REFUSE,
            Habits(outcomes=ANY_END, gives_up=True)),
    Variant("lmdb, retry", LocalStore(), "die 2, answer lost 1, end 1", RETRY,
            Habits(policy=THREE_RETRY, outcomes=ANY_END, gives_up=True)),
    Variant("lmdb, duplicates wait", LocalStore(), "die 1, answer lost 1", REFUSE,
            Habits(waits=True, outcomes=ANY_END)),
    Variant("lmdb, duplicates wait, retry", LocalStore(), "die 2, answer lost 1", RETRY,
            Habits(policy=THREE_RETRY, waits=True, outcomes=ANY_END)),
    Variant("lmdb, a bound on new keys", LocalStore(), "die 1, answer lost 2, end 1", REFUSE,
            Habits(outcomes=ANY_END, limits=True)),
    Variant("redis, a bound on new keys", LeaseStore(), "die 1, pause 1, answer lost 1", RETRY,
            Habits(policy=TWO_RETRY, outcomes=ANY_END, limits=True)),
    Variant("lmdb, refuse and retry mixed", LocalStore(), "die 2, answer lost 2", (REFUSE_MEANS_REFUSE,) + RETRY,
            Habits(policy=("retry", "retry", "refuse"), outcomes=ANY_END, gives_up=True)),
    Variant("socache, loses the slot during a run", LocalStore(), "loss 1, die 1, answer lost 1", AFTER_LOSS,
            Habits(outcomes=ANY_END)),
    Variant("memcache write-once keys, refuse", WriteOnceStore(), "die 1, pause 1, renewal delayed 1, end 1", REFUSE,
            Habits(policy=TWO, outcomes=ANY_END, gives_up=True)),
    Variant("memcache write-once keys, 3 racers", WriteOnceStore(), "die 1", REFUSE, Habits(outcomes=ANY_END)),
    Variant("memcache write-once keys, retry", WriteOnceStore(), "die 1, pause 1, end 1", RETRY,
            Habits(policy=TWO_RETRY, outcomes=ANY_END)),
    Variant("memcache write-once keys, 3 racers, retry", WriteOnceStore(), "die 2", RETRY, Habits(policy=THREE_RETRY)),
    Variant("memcache write-once keys, refuse and retry mixed", WriteOnceStore(), "die 1",
            (REFUSE_MEANS_REFUSE,) + RETRY,
            Habits(policy=("retry", "retry", "refuse"), outcomes=ANY_END, gives_up=True)),
    Variant("memcache write-once keys, answers lost", WriteOnceStore(), "answer lost 2", REFUSE,
            Habits(policy=TWO, outcomes=ANY_END)),
    Variant("memcache write-once keys, answers lost, retry", WriteOnceStore(), "pause 1, answer lost 1", RETRY,
            Habits(policy=TWO_RETRY, outcomes=ANY_END)),
    Variant("memcache write-once keys, loses all during a run", WriteOnceStore(), "loss 1, die 1, answer lost 1",
            AFTER_LOSS, Habits(policy=TWO)),
    Variant("redis, one server, refuse", LeaseStore(), "die 1, pause 1, answer lost 2, renewal delayed 1, end 1",
            REFUSE, Habits(outcomes=ANY_END, gives_up=True, policy=TWO)),
    Variant("redis, one server, retry", LeaseStore(), "die 1, pause 2, renewal delayed 1, end 1", RETRY,
            Habits(policy=TWO_RETRY, outcomes=ANY_END)),
    Variant("redis, failover, WAIT behind claims", RedisStore(wait_for=("claim", "takeover"), split=True),
            "failover 1, die 1", (RUNS_ONCE, ONE_ANSWER, ENDS), Habits(outcomes=ANY_END)),
    Variant("redis, failover, WAIT behind every write",
            RedisStore(wait_for=("claim", "takeover", "renew", "settle", "release"), split=True), "failover 1, die 1",
            REFUSE, Habits(policy=TWO, outcomes=ANY_END)),
    Variant("dbd, refuse", DbdStore(), "die 1, pause 1, renewal delayed 1, end 1", REFUSE,
            Habits(policy=TWO, outcomes=ANY_END)),
    Variant("dbd, 3 racers", DbdStore(), "die 1, pause 1", REFUSE),
    Variant("dbd, retry", DbdStore(), "die 1, pause 2", RETRY, Habits(policy=TWO_RETRY)),
    Variant("dbd, answers lost", DbdStore(), "answer lost 2", REFUSE, Habits(policy=TWO, outcomes=ANY_END)),
    Variant("claims that arrive late carry a last moment", LeaseStore(), "answer lost 2", REFUSE,
            Habits(late_claims="expire", policy=TWO)),
]

COUNTEREXAMPLES = [
    Variant("claim itself takes a lease of the dead", LocalStore(Broken(claim_takes_dead=True)), "die 1", (RUNS_ONCE,),
            breaks=RUNS_ONCE),
    Variant("takeover by token alone", LeaseStore(Broken(takeover_by_token_alone=True)), "pause 1", (LIVE_OWNER_STAYS,),
            Habits(policy=TWO_RETRY), breaks=LIVE_OWNER_STAYS),
    Variant("takeover by age alone", AgeStore(), "", (LIVE_OWNER_STAYS,), Habits(policy=TWO_RETRY),
            breaks=LIVE_OWNER_STAYS),
    Variant("renewal of any state", LeaseStore(Broken(renew_any_state=True)), "renewal delayed 1", (RECORD_STAYS,),
            breaks=RECORD_STAYS),
    Variant("renewal that creates", LeaseStore(Broken(renew_creates=True)), "renewal delayed 1", (NO_ORPHAN,),
            Habits(gives_up=True), breaks=NO_ORPHAN),
    Variant("settlement that never inserts", LocalStore(Broken(settle_never_inserts=True)), "loss 1",
            (NO_WIN_AFTER_ANSWER,), Habits(asks_again_when_absent=False), breaks=NO_WIN_AFTER_ANSWER),
    Variant("fenced off, slot empty: answers all the same", LocalStore(), "loss 1", AFTER_LOSS,
            Habits(outcomes=ANY_END, asks_again_when_absent=False), breaks=NO_WIN_AFTER_ANSWER),
    Variant("ambiguous claim is not withdrawn", LocalStore(), "answer lost 2", (NO_ORPHAN,),
            Habits(withdraws=False), breaks=NO_ORPHAN),
    Variant("claim arrives after its withdrawal", LeaseStore(), "answer lost 2", (NO_ORPHAN,),
            Habits(late_claims="arrive"), breaks=NO_ORPHAN),
    Variant("stopped owner starts without renewal", LeaseStore(), "pause 1", (FENCED_NEVER_STARTS,),
            Habits(policy=TWO_RETRY, renews_before_start=False), breaks=FENCED_NEVER_STARTS),
    Variant("taken over, then given back as never used", LocalStore(), "die 1", (REFUSE_MEANS_REFUSE,),
            Habits(policy=("retry", "retry", "refuse"), gives_up=True, marks_takeover=False),
            breaks=REFUSE_MEANS_REFUSE),
    Variant("taken over, then released by the application", LocalStore(), "die 1", (REFUSE_MEANS_REFUSE,),
            Habits(policy=("retry", "retry", "refuse"), outcomes=ANY_END, marks_takeover=False),
            breaks=REFUSE_MEANS_REFUSE),
    Variant("taken over without an answer, then withdrawn", LocalStore(), "die 1, answer lost 2",
            (REFUSE_MEANS_REFUSE,), Habits(policy=("retry", "retry", "refuse"), marks_takeover=False),
            breaks=REFUSE_MEANS_REFUSE),
    Variant("late owner is not fenced", LeaseStore(Broken(settle_any_token=True)), "pause 1", (RECORD_STAYS,),
            Habits(policy=TWO_RETRY), breaks=RECORD_STAYS),
    Variant("given back while the keeper claims again", LeaseStore(), "pause 1, end 1", (NO_ORPHAN,),
            Habits(gives_up=True, waits_for_keeper=False), breaks=NO_ORPHAN),
    Variant("lease table: client gone in a run, released", LocalStore(), "", (RUNS_ONCE,),
            Habits(outcomes=("GONE",), cells=((("RUNNING", "GONE"), ("SETTLING", "SETTLE_RELEASE")),)),
            breaks=RUNS_ONCE),
    Variant("lease table: takeover lost, runs all the same", LocalStore(), "die 1", (FENCED_NEVER_STARTS,),
            Habits(policy=THREE_RETRY, cells=((("TAKING", "LOST"), ("HOLDING", "RUN")),)), breaks=FENCED_NEVER_STARTS),
    Variant("lease table: client gone before the start, nothing done", LocalStore(), "", (NO_ORPHAN,),
            Habits(gives_up=True, cells=((("HOLDING", "GONE"), ("DONE", "NOTHING")),)), breaks=NO_ORPHAN),
    Variant("lease table: one key too many, and it is not given back", LocalStore(), "", (NO_ORPHAN,),
            Habits(limits=True, cells=((("HOLDING", "OVER_LIMIT"), ("DONE", "REFUSE")),)), breaks=NO_ORPHAN),
    Variant("lease table: store down at settling, not repeated", LocalStore(), "answer lost 1", (NO_ORPHAN,),
            Habits(cells=((("SETTLING", "STORE_DOWN"), ("DONE", "ANSWER")),)), breaks=NO_ORPHAN),
    Variant("lease table: fenced off, answers its own", LeaseStore(), "pause 1", (ONE_ANSWER,),
            Habits(policy=TWO_RETRY, cells=((("SETTLING", "LOST"), ("DONE", "ANSWER")),)), breaks=ONE_ANSWER),
    Variant("memcache guard keys without expiry", GuardedStore(), "die 1", (ENDS,), Habits(policy=TWO), breaks=ENDS),
    Variant("memcache guard keys", GuardedStore(), "guard 1", (RUNS_ONCE,), Habits(policy=TWO), breaks=RUNS_ONCE),
    Variant("memcache heartbeat made anew", WriteOnceStore(Rules(hearts_stay_stopped=False)), "pause 1", (LIVE_OWNER_STAYS,),
            Habits(policy=TWO_RETRY), breaks=LIVE_OWNER_STAYS),
    Variant("memcache takeover that does not close", WriteOnceStore(Rules(takeover_closes=False)), "pause 1",
            (RECORD_STAYS,), Habits(policy=TWO_RETRY), breaks=RECORD_STAYS),
    Variant("memcache result, and no look at its claim", WriteOnceStore(Rules(confirms=False)), "loss 1",
            (RECORD_STAYS,), Habits(policy=TWO), breaks=RECORD_STAYS),
    Variant("memcache release by removal", WriteOnceStore(Rules(release_is_a_result=False)), "pause 1",
            (RECORD_STAYS,), Habits(policy=TWO_RETRY, outcomes=ANY_END), breaks=RECORD_STAYS),
    Variant("dbd counter not raised by renewals", DbdStore(counts_renewals=False), "pause 1", (LIVE_OWNER_STAYS,),
            Habits(policy=TWO_RETRY), breaks=LIVE_OWNER_STAYS),
    Variant("redis, WAIT behind a repeated claim that wrote nothing",
            RedisStore(wait_for=("claim", "takeover"), always_writes=False), "failover 1", (RUNS_ONCE,),
            breaks=RUNS_ONCE),
    # What a store cannot promise, and its documentation must say.
    Variant("limit: redis without WAIT may execute twice", RedisStore(), "failover 1", (RUNS_ONCE,), breaks=RUNS_ONCE),
    Variant("limit: redis, WAIT behind claims may lose a record", RedisStore(wait_for=("claim", "takeover")),
            "failover 1", (RECORD_STAYS,), breaks=RECORD_STAYS),
    Variant("limit: memcache, stopped inside a call past the TTL", WriteOnceStore(expires_in_calls=True),
            "pause 1, end 1", (FENCED_NEVER_STARTS,), Habits(policy=TWO_RETRY, outcomes=ANY_END),
            breaks=FENCED_NEVER_STARTS),
    Variant("limit: socache that loses a record executes twice", LocalStore(), "loss 1", (RUNS_ONCE,),
            breaks=RUNS_ONCE, loses_anything=True),
]

# SPDX-License-Identifier: Apache-2.0
"""The judge: rules over a round's evidence. A rule yields what breaks it, each as (key, sentence); the key is None
where no key is to blame.

Each exception that a fault makes legitimate stands at the rule that it is an exception of, with its reason. The
module's own answers are no responses: other rules say when one may come, and what may follow it.
"""
import collections
import itertools
import re

from arena import BRIEF, MOST_KEPT
from clients import LAST_WORDS
from excuses import STORE_ENDS, lapsed, lost, outages, stuck
from promises import BUSY, LAST_TRIES, RECOVERY

NO_ANSWER = ("lost", "timeout", "refused")  # the client cannot know what its request did
PASSING = (*NO_ANSWER, "store-unavailable"
           )  # may come at any time while the monkey is about, and says nothing about the slot
KINDS = (*LAST_WORDS, *PASSING, "in-progress", "error")
ROUNDING = 0.002  # seconds: the store counts milliseconds
# What the module may never have to say: impossible events, unusable values, slots that live owners lost, settlements
# dropped.
NEVER_LOGGED = re.compile(
    r"IDEM(002|011|014|017|052|053|070|073|090):|[Aa]ssert(ion)?[ (]|resource leak|IDEM\d+: .*impossible")
GIVEN_AWAY = re.compile(r"IDEM(014|090):")  # the slot of a living owner is another's
SIGNALS = {"9": "SIGKILL", "11": "SIGSEGV"}


def process_of(line):
    """Who wrote it; None where it does not say."""
    process = re.search(r"\[pid (\d+)", line.text)
    return int(process[1]) if process else None


def settle_failed(case, key):
    """The module's own word that the store did not acknowledge a settlement at once."""
    return any("settle failed" in line.text for line in case.lines_of(key))


def recorded(case, run, by):
    """Had the store acknowledged the record of this execution by then? When a settlement fails, a response is given
    without that. It is recorded later, or never. Until then the entry has the life that its last renewal gave it.
    """
    late = any("settle failed" in line.text and run.end <= line.at <= by and process_of(line) == run.owner
               for line in case.lines_of(run.key))
    return any(answer.nonce == run.nonce and answer.got <= by and (answer.replayed or not late)
               for answer in case.answers[run.key])


def lasting(case):
    return [operation for operation in case.operations.values() if not operation.brief]


def oversize(operation):
    return operation.size > MOST_KEPT


def given_away(case, key, at):
    """May a living owner's slot be another's by then? The store lost it; or the owner's lease lapsed, where a retry
    takes over or the entry's life is over.
    """
    if key not in case.operations:
        return False
    begin = min((answer.sent for answer in case.answers[key]), default=at)
    replaceable = case.policy == "retry" or case.operations[key].brief
    return lost(case, key, begin, at, at) or (replaceable and lapsed(case, key, at))


def differing(case, key, answers):
    """Pairs of answers with different responses, the first of each kind, that no loss explains."""
    firsts = {}
    for answer in answers:
        firsts.setdefault((answer.nonce, answer.digest), answer)
    for one, other in itertools.combinations(firsts.values(), 2):
        if not lost(case, key, one.sent, other.got, one.got):
            yield one, other


# ---- executions ------------------------------------------------------------------------------------------------------


def executed_once(case):
    """refuse: one execution for each key. A key of brief life may run again when its entry has expired: at the
    earliest, TTL after it was written. It was not written before its request was sent; nor before the request had run,
    where the store had acknowledged its record by then. Any key may when the store has lost its entry in between.
    """
    for key, runs in case.executions.items():
        for run, again in zip(runs, runs[1:]):
            if lost(case, key, case.sent_at(run), again.begin, run.begin):
                continue
            if not case.operations[key].brief:
                yield key, f"executed {len(runs)} times"
                break
            written = run.end if run.end and recorded(case, run, again.begin) else case.sent_at(run)
            if again.begin < written + BRIEF - ROUNDING:
                yield key, f"executed again {again.begin - written:.3f} s after its entry was written; " \
                           f"its life is {BRIEF} s"


def again_only_after_death(case):
    """retry: of any two executions of a key the owner of one was dead when the other began. Usually it is the owner of
    the first. It may be that of the second: its child was killed when mod_cgid's daemon or the backend had the request
    already, and had not begun. Or the first one's outcome was settled as unknown, which gives the slot to a retry, too.
    Or its lease lapsed, or the store lost it: the slot is its successor's then, and nothing that comes after that one
    concerns it.
    """
    for key, runs in case.executions.items():
        brief, succeeded = case.operations[key].brief, set()
        for number, again in enumerate(runs[1:], 1):
            for run in [run for run in runs[:number] if run.nonce not in succeeded]:
                deaths = [death for death in (case.death_of(run), case.death_of(again)) if death]
                settled_unknown = any("IDEM013" in line.text and line.at <= again.begin for line in case.lines_of(key))
                expired = brief and again.begin >= case.sent_at(run) + BRIEF - ROUNDING
                gone = lapsed(case, key, again.begin, case.sent_at(again)) or lost(case, key, case.sent_at(run),
                                                                                   again.begin, run.begin)
                if gone:
                    succeeded.add(run.nonce)
                if not settled_unknown and not expired and not gone and not any(death <= again.begin
                                                                                for death in deaths):
                    yield key, f"execution {again.nonce} began while the owner of {run.nonce}, " \
                               f"process {run.owner}, lived"


def lost_since(case, told, until):
    return lost(case, told.key, told.sent, until, told.got)


def unknown_is_final(case):
    """refuse: told outcome-unknown, a key never runs any more, and nothing else is told any more. The one unknown
    execution may begin after its child was killed: the request was already with mod_cgid's daemon or with the backend.
    A lease that lapsed is told so too, and its owner, who was out of reach, goes on.
    """
    for operation in lasting(case):
        told = next((answer for answer in case.answers[operation.key] if answer.kind == "outcome-unknown"), None)
        if not told or lapsed(case, operation.key, told.got, told.sent):
            continue
        for run in case.executions[operation.key]:
            death = case.death_of(run)
            if run.begin > told.got and not (death and death <= told.got) and not lost_since(case, told, run.begin):
                yield operation.key, f"execution {run.nonce} began after outcome-unknown was told"
        for answer in case.answers[operation.key]:
            passing = answer.kind in ("outcome-unknown", *PASSING)
            if answer.sent > told.got and not passing and not lost_since(case, told, answer.got):
                yield operation.key, f"{answer.kind} after outcome-unknown was told"


def unknown_has_a_reason(case):
    """refuse: outcome-unknown needs a cause. The store was in trouble with this key, an execution was cut, a child with
    a request of this key was killed, its lease lapsed, or the store lost it. A client that left or grew impatient is no
    reason.
    """
    kills = list(case.kills())
    for operation in lasting(case):
        answers = case.answers[operation.key]
        told = next((answer for answer in answers if answer.kind == "outcome-unknown"), None)
        if not told or settle_failed(case, operation.key) or any("IDEM013" in line.text
                                                                 for line in case.lines_of(operation.key)):
            continue
        before = [answer for answer in answers if answer.sent < told.got]
        trouble = any(answer.kind == "store-unavailable" for answer in before)
        orphans = [answer for answer in before if answer.kind in NO_ANSWER]
        killed = any(answer.sent <= end and begin <= told.got and answer.host == host
                     for answer in orphans for host, begin, end in kills)
        gone = lapsed(case, operation.key, told.got, told.sent) or lost(case, operation.key, answers[0].sent, told.got,
                                                                        told.got)
        if not trouble and not killed and not gone:
            yield operation.key, "outcome-unknown without a reason"


def tokens_differ(case):
    """Each execution has a token of its own."""
    seen = {}
    for runs in case.executions.values():
        for run in runs:
            if run.token != "-" and run.token in seen:
                yield run.key, f"executions {run.nonce} and {seen[run.token]} have one token"
            seen[run.token] = run.nonce


# ---- answers ---------------------------------------------------------------------------------------------------------


def one_response(case):
    """refuse: all responses to a key are one, first and replays. An error page of httpd's own (mod_cgid without its
    daemon, say) counts as a response when it is replayed: then it was recorded. Not so for keys of brief life, each of
    whose executions has its own.
    """
    for operation in lasting(case):
        answers = [answer for answer in case.answers[operation.key] if answer.kind == "real"]
        for one, other in differing(case, operation.key, answers):
            yield operation.key, f"different responses, {one.request} and {other.request}"


def one_replay(case):
    """retry: what is replayed is one response, and a first response is another one only if the store had not
    acknowledged it.
    """
    for operation in lasting(case):
        answers = [answer for answer in case.answers[operation.key] if answer.kind == "real"]
        acknowledged = [answer for answer in answers if answer.replayed or not settle_failed(case, operation.key)]
        for one, other in differing(case, operation.key, acknowledged):
            yield operation.key, f"different responses, {one.request} and {other.request}, both acknowledged"


def response_is_an_execution(case):
    """A response comes from an execution of its own key, ended, and all responses from one execution are equal."""
    own = {run.nonce: run for runs in case.executions.values() for run in runs}
    digests = collections.defaultdict(set)
    for key, answers in case.answers.items():
        for answer in answers:
            if answer.kind != "real" or answer.nonce == "-":
                continue
            run = own.get(answer.nonce)
            digests[answer.nonce].add(answer.digest)
            if not run or run.key != key:
                yield key, f"given the response of {'no execution' if not run else 'key ' + run.key}"
            elif not run.end or run.end > answer.got:
                yield key, f"given the response of {run.nonce} before that had ended"
            elif len(digests[answer.nonce]) > 1:
                yield key, f"different responses of one execution, {run.nonce}"


def acknowledged_is_kept(case):
    """Once the store has acknowledged a record, it answers each later request. It has if the response was given and no
    failure logged, or if it was replayed once. The same holds for tombstones, with response-not-kept. Where a failure
    was logged, the record came later, or never if its child was killed before the store took it. The store's list of
    calls, if it has the record, is the last word. Until then a lapsed lease is told as unknown. Nothing is the last
    word, once the store has lost it.
    """
    for operation in lasting(case):
        key, answers = operation.key, case.answers[operation.key]
        first = next((answer for answer in answers if answer.kind == "real"), None)
        word = "response-not-kept" if oversize(operation) and first and first.nonce != "-" else "real"
        failed = settle_failed(case, key)
        known = first if first and not failed else next(
            (answer for answer in answers if answer.replayed or answer.kind == "response-not-kept"), None)
        if known:
            word = known.kind if known is not first or failed else word
            told = min(answer.got for answer in answers if (answer.kind, answer.nonce) == (known.kind, known.nonce))
            for answer in answers:
                gone = lost(case, key, known.sent, answer.got, told)
                if answer.sent > known.got and answer.kind not in (word, *PASSING) and not gone:
                    yield key, f"{answer.kind}, although {word} was acknowledged"
        elif first and case.acknowledged and case.slots.get(key) in case.acknowledged:
            for answer in answers:
                late = answer is not answers[-1] and lapsed(case, key, answer.got, answer.sent)
                gone = late or lost(case, key, first.sent, answer.got, answer.got)
                if answer.sent > first.got and answer.kind == "outcome-unknown" and not gone:
                    yield key, f"{answer.kind}, although the store has the record"


def not_kept_has_a_reason(case):
    """A response is not kept only if it is too long, or if the store had no room for it."""
    for operation in case.operations.values():
        kinds = {answer.kind for answer in case.answers[operation.key]}
        if "response-not-kept" in kinds and not oversize(operation) and not settle_failed(case, operation.key):
            yield operation.key, "response-not-kept without a reason"


def known_kinds(case):
    """No answer is mangled, or none that these clients could have earned."""
    for key, answers in case.answers.items():
        for kind in sorted({answer.kind for answer in answers} - set(KINDS)):
            yield key, f"answered {kind}"
        if case.policy == "retry" and any(answer.kind == "outcome-unknown" for answer in answers):
            yield key, "told outcome-unknown, although a retry may execute"


def everybody_knows(case):
    """When the monkey is gone and all is well, each key gets a last word. (The last request for each was sent after
    that.)
    """
    for operation in lasting(case):
        answers = case.answers[operation.key]
        last = max(answers, key=lambda answer: answer.sent, default=None)
        if not last or last.kind not in LAST_WORDS:
            yield operation.key, f"no last word: {last.kind if last else 'never asked'}"


# ---- the server ------------------------------------------------------------------------------------------------------


def only_killed_by_the_monkey(case):
    """One crash of httpd's own is excused. Told to stop at once, the event MPM closes its workers' sockets while they
    do so, too: close_worker_sockets in event.c reads a socket that its worker has freed.
    """
    killed = {(deed.pid, deed.what) for deed in case.deeds}
    for line in case.log:
        death = re.search(r"child pid (\d+) exit signal ([\w ]+?) \((\d+)\)", line.text)
        if not death or (int(death[1]), SIGNALS.get(death[3])) in killed:
            continue
        if not (case.mpm == "event" and death[3] == "11" and case.while_stopping(line)):
            yield None, f"a child died by itself: {line.text}"


def nothing_terrible_logged(case):
    for line in case.log:
        if NEVER_LOGGED.search(line.text):
            key = case.key_of(line.slot)
            if not (GIVEN_AWAY.search(line.text) and given_away(case, key, line.at)):
                yield key, f"logged: {line.text}"


def gave_up(case, line):
    """Was the store out of this process's reach for as long as one tries that ends gracefully?"""
    return any(begin <= line.at - LAST_TRIES + BUSY and line.at <= end + RECOVERY
               for begin, end in outages(case, line.host, process_of(line), None))


def stops_in_time(case):
    """Children end when they are told to, not by force; and none that ends loses a settlement. Children with a script
    under way by mod_cgid are excused. Its daemon is stopped before them; a child tries to reach it, to run the script
    or to end it, for longer than httpd waits. Those with a call inside a server that hangs, where the store cannot end
    that. So is a child that ends gracefully and waits for the store to take a settlement. It may be told to die
    meanwhile. If the store could not be reached in all that time, it waits for half a minute at most.
    """
    for line in case.log:
        forced = re.search(r"AH00046: child process (\d+) ", line.text)
        if forced and int(forced[1]) not in case.waiting and not stuck(case, line.host, int(forced[1]), line.at):
            yield None, f"logged: {line.text}"
        if "IDEM074:" in line.text and not case.while_stopping(line) and not gave_up(case, line):
            yield None, f"logged: {line.text}"


def late_settlements_are_due(case):
    """A late settlement is refused only where a takeover may or may not have been carried out. The lease that is given
    back was then perhaps never held. Or where the slot is rightly another's.
    """
    doubtful = collections.Counter()
    for line in case.log:
        process = process_of(line)
        if " takeover failed: " in line.text:
            doubtful[process] += 1
        elif "IDEM071:" in line.text and not given_away(case, case.key_of(line.slot), line.at):
            doubtful[process] -= 1
            if doubtful[process] < 0:
                yield None, f"logged: {line.text}"


def something_happened(case):
    """A round without executions, replays and kills proves nothing."""
    kinds = collections.Counter(answer.kind for answers in case.answers.values() for answer in answers)
    replayed = sum(answer.replayed for answers in case.answers.values() for answer in answers)
    killed = sum(deed.what in ("SIGKILL", "SIGSEGV") for deed in case.deeds)
    counts = {"executions": len(case.executions), "responses": kinds["real"], "replays": replayed, "kills": killed}
    if case.promise.served:
        counts["damage to the store"] = sum(deed.what in STORE_ENDS for deed in case.deeds)
    for what, count in counts.items():
        if not count:
            yield None, f"no {what}"


BOTH = (tokens_differ, response_is_an_execution, acknowledged_is_kept, not_kept_has_a_reason, known_kinds,
        everybody_knows, only_killed_by_the_monkey, nothing_terrible_logged, stops_in_time, late_settlements_are_due,
        something_happened)
RULES = {"refuse": (executed_once, one_response, unknown_is_final, unknown_has_a_reason, *BOTH),
         "retry": (again_only_after_death, one_replay, *BOTH)}


def judge(case):
    """Rule's name -> what breaks it."""
    return {rule.__name__: list(rule(case)) for rule in RULES[case.policy]}

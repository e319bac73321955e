"""
The judge: rules over a round's evidence. A rule yields what breaks it, each as (key, sentence); the key is None where no
key is to blame.

Each exception that a fault makes legitimate stands at the rule that it is an exception of, with its reason. Answers that
the module gives itself are no responses; what they may follow, and what may follow them, has rules of its own.
"""
import collections
import re

from arena import BRIEF, MOST_KEPT
from clients import LAST_WORDS

NO_ANSWER = ("lost", "timeout", "refused")  # the client cannot know what its request did
PASSING = (*NO_ANSWER, "store-unavailable")  # may come at any time while the monkey is about, and says nothing about the slot
KINDS = (*LAST_WORDS, *PASSING, "in-progress", "error")
ROUNDING = 0.002  # seconds: the store counts milliseconds
# What the module may never have to say: impossible events, unusable values, slots that live owners lost, settlements dropped.
NEVER_LOGGED = re.compile(r"IDEM(002|011|014|017|052|053|070|073):|[Aa]ssert(ion)?[ (]|resource leak|IDEM\d+: .*impossible")
SIGNALS = {"9": "SIGKILL", "11": "SIGSEGV"}


def settle_failed(case, key):
    """The module's own word that the store did not acknowledge a settlement at once."""
    return any("settle failed" in line.text for line in case.lines_of(key))


def lasting(case):
    return [operation for operation in case.operations.values() if not operation.brief]


def oversize(operation):
    return operation.size > MOST_KEPT


# ---- executions ---------------------------------------------------------------------------------------------------------------


def executed_once(case):
    """refuse: one execution for each key. A key of brief life may run again when its entry has expired: TTL after it was
    written at the earliest, which was not before the request that wrote it was sent, nor, where its response was given,
    before it had run."""
    for key, runs in case.executions.items():
        if not case.operations[key].brief:
            if len(runs) > 1:
                yield key, f"executed {len(runs)} times"
            continue
        for run, again in zip(runs, runs[1:]):
            answered = any(answer.nonce == run.nonce for answer in case.answers[key])
            written = run.end if answered and run.end else case.sent_at(run)
            if again.begin < written + BRIEF - ROUNDING:
                yield key, f"executed again {again.begin - written:.3f} s after its entry was written; its life is {BRIEF} s"


def again_only_after_death(case):
    """retry: of any two executions of a key the owner of one was dead when the other began. Usually it is the owner of the
    first. It may be that of the second: its child was killed when mod_cgid's daemon or the backend had the request already,
    and had not begun. Or the first one's outcome was settled as unknown: SPEC section 5 gives such a slot to a retry, too."""
    for key, runs in case.executions.items():
        brief = case.operations[key].brief
        for number, again in enumerate(runs[1:], 1):
            for run in runs[:number]:
                deaths = [death for death in (case.death_of(run), case.death_of(again)) if death]
                settled_unknown = any("IDEM013" in line.text and line.at <= again.begin for line in case.lines_of(key))
                expired = brief and again.begin >= case.sent_at(run) + BRIEF - ROUNDING
                if not settled_unknown and not expired and not any(death <= again.begin for death in deaths):
                    yield key, f"execution {again.nonce} began while the owner of {run.nonce}, process {run.owner}, lived"


def unknown_is_final(case):
    """refuse: told outcome-unknown, a key never runs any more, and nothing else is told any more. The one execution that is
    unknown may begin after that, where its child was killed before: the request was with mod_cgid's daemon or with the
    backend already."""
    for operation in lasting(case):
        told = next((answer for answer in case.answers[operation.key] if answer.kind == "outcome-unknown"), None)
        if not told:
            continue
        for run in case.executions[operation.key]:
            death = case.death_of(run)
            if run.begin > told.got and not (death and death <= told.got):
                yield operation.key, f"execution {run.nonce} began after outcome-unknown was told"
        for answer in case.answers[operation.key]:
            if answer.sent > told.got and answer.kind not in ("outcome-unknown", *PASSING):
                yield operation.key, f"{answer.kind} after outcome-unknown was told"


def unknown_has_a_reason(case):
    """refuse: outcome-unknown is told only if the store was in trouble with this key, an execution was cut, or a child was
    killed while it had a request with this key. A client that left or grew impatient is no reason."""
    kills = [deed.at for deed in case.deeds if deed.what in ("SIGKILL", "SIGSEGV", "stopped")]
    for operation in lasting(case):
        answers = case.answers[operation.key]
        told = next((answer for answer in answers if answer.kind == "outcome-unknown"), None)
        if not told or settle_failed(case, operation.key) or any("IDEM013" in line.text for line in case.lines_of(operation.key)):
            continue
        before = [answer for answer in answers if answer.sent < told.got]
        trouble = any(answer.kind == "store-unavailable" for answer in before)
        orphans = [answer for answer in before if answer.kind in NO_ANSWER]
        if not trouble and not any(answer.sent <= kill <= told.got for answer in orphans for kill in kills):
            yield operation.key, "outcome-unknown without a reason"


def tokens_differ(case):
    """Each execution has a token of its own."""
    seen = {}
    for runs in case.executions.values():
        for run in runs:
            if run.token != "-" and run.token in seen:
                yield run.key, f"executions {run.nonce} and {seen[run.token]} have one token"
            seen[run.token] = run.nonce


# ---- answers ------------------------------------------------------------------------------------------------------------------


def one_response(case):
    """refuse: all responses to a key are one, first and replays. An error page of httpd's own (mod_cgid without its daemon,
    say) counts as a response when it is replayed: then it was recorded. Not so for keys of brief life, each of whose
    executions has its own."""
    for operation in lasting(case):
        found = {(answer.nonce, answer.digest) for answer in case.answers[operation.key] if answer.kind == "real"}
        if len(found) > 1:
            yield operation.key, f"{len(found)} different responses"


def one_replay(case):
    """retry: what is replayed is one response, and a first response is another one only if the store had not acknowledged
    it."""
    for operation in lasting(case):
        answers = [answer for answer in case.answers[operation.key] if answer.kind == "real"]
        found = {(answer.nonce, answer.digest) for answer in answers if answer.replayed or not settle_failed(case, operation.key)}
        if len(found) > 1:
            yield operation.key, f"{len(found)} different responses, all acknowledged"


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
    """Once the store has acknowledged a record (its response was given and no failure logged, or it was replayed once),
    each later request is answered from it; the same for tombstones, with response-not-kept. Where a failure was logged, the
    record came later, or never if its child was killed before the store took it; if the store's list of calls has it, it is
    the last word."""
    for operation in lasting(case):
        key, answers = operation.key, case.answers[operation.key]
        first = next((answer for answer in answers if answer.kind == "real"), None)
        word = "response-not-kept" if oversize(operation) and first and first.nonce != "-" else "real"
        failed = settle_failed(case, key)
        known = first if first and not failed else next(
            (answer for answer in answers if answer.replayed or answer.kind == "response-not-kept"), None)
        if known:
            word = known.kind if known is not first or failed else word
            for answer in answers:
                if answer.sent > known.got and answer.kind not in (word, *PASSING):
                    yield key, f"{answer.kind}, although {word} was acknowledged"
        elif first and case.acknowledged and case.slots.get(key) in case.acknowledged:
            for answer in answers:
                if answer.sent > first.got and answer.kind == "outcome-unknown":
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
    """When the monkey is gone and all is well, each key gets a last word. (The last request for each was sent after that.)"""
    for operation in lasting(case):
        answers = case.answers[operation.key]
        last = max(answers, key=lambda answer: answer.sent, default=None)
        if not last or last.kind not in LAST_WORDS:
            yield operation.key, f"no last word: {last.kind if last else 'never asked'}"


# ---- the server ---------------------------------------------------------------------------------------------------------------


def only_killed_by_the_monkey(case):
    """Excused is one crash of httpd's own: told to stop at once, the event MPM closes its workers' sockets while they do
    (close_worker_sockets in event.c reads a socket that its worker has freed)."""
    killed = {(deed.pid, deed.what) for deed in case.deeds}
    for line in case.log:
        death = re.search(r"child pid (\d+) exit signal ([\w ]+?) \((\d+)\)", line.text)
        if not death or (int(death[1]), SIGNALS.get(death[3])) in killed:
            continue
        if not (case.mpm == "event" and death[3] == "11" and case.while_stopping(line.at)):
            yield None, f"a child died by itself: {line.text}"


def nothing_terrible_logged(case):
    for line in case.log:
        if NEVER_LOGGED.search(line.text):
            yield next((key for key, slot in case.slots.items() if slot == line.slot), None), f"logged: {line.text}"


def stops_in_time(case):
    """Children end when they are told to, not by force; and none that ends loses a settlement. Excused are children with a
    script under way by mod_cgid, whose daemon is stopped before them: it tries to reach it, to run the script or to end it,
    for longer than httpd waits. And a child that ends gracefully, waits for the store to take a settlement, and is then
    told to die."""
    for line in case.log:
        forced = re.search(r"AH00046: child process (\d+) ", line.text)
        if forced and int(forced[1]) not in case.waiting:
            yield None, f"logged: {line.text}"
        if "IDEM074:" in line.text and not case.while_stopping(line.at):
            yield None, f"logged: {line.text}"


def late_settlements_are_due(case):
    """A late settlement is refused only where a takeover may or may not have been carried out: what is given back then was
    perhaps never had."""
    doubtful = collections.Counter()
    for line in case.log:
        process = re.search(r"\[pid (\d+)", line.text)
        if " takeover failed: " in line.text:
            doubtful[process[1]] += 1
        elif "IDEM071:" in line.text:
            doubtful[process[1]] -= 1
            if doubtful[process[1]] < 0:
                yield None, f"logged: {line.text}"


def something_happened(case):
    """A round in which nothing ran, was replayed or was killed proves nothing."""
    kinds = collections.Counter(answer.kind for answers in case.answers.values() for answer in answers)
    replayed = sum(answer.replayed for answers in case.answers.values() for answer in answers)
    killed = sum(deed.what in ("SIGKILL", "SIGSEGV") for deed in case.deeds)
    for what, count in (("executions", len(case.executions)), ("responses", kinds["real"]), ("replays", replayed), ("kills", killed)):
        if not count:
            yield None, f"no {what}"


BOTH = (tokens_differ, response_is_an_execution, acknowledged_is_kept, not_kept_has_a_reason, known_kinds, everybody_knows,
        only_killed_by_the_monkey, nothing_terrible_logged, stops_in_time, late_settlements_are_due, something_happened)
RULES = {"refuse": (executed_once, one_response, unknown_is_final, unknown_has_a_reason, *BOTH),
         "retry": (again_only_after_death, one_replay, *BOTH)}


def judge(case):
    """Rule's name -> what breaks it."""
    return {rule.__name__: list(rule(case)) for rule in RULES[case.policy]}

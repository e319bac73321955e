# SPDX-License-Identifier: Apache-2.0
"""A wrong configuration does not start, and says in one sentence what the directive takes and what it was given."""
import re

import pytest

import env
from httpd import Httpd

pytestmark = pytest.mark.mpm_independent

HELP = ('must be an http or https URL, an absolute path or none, in ASCII without spaces, quotes, "<", ">" and "#", '
        'not "{}"')
SOURCES = ("header:NAME, query:NAME, cookie:NAME, env:NAME, expr=EXPRESSION, form:NAME, json:/POINTER, "
           "fingerprint")
SCOPES = ("host, user, credentials, method, path, addr, header:NAME, cookie:NAME, env:NAME, expr=EXPRESSION, "
          "form:NAME, json:/POINTER")
FINGERPRINTS = ("user, credentials, method, path, query, operation, body, addr, header:NAME, cookie:NAME, env:NAME, "
                "expr=EXPRESSION, form:NAME, json:/POINTER, body=json[,-/POINTER...], body=form[,-NAME...]")
SAFE = 'must not name GET, HEAD, OPTIONS, TRACE or CONNECT, as "{}" does'
STARS = "takes * at the beginning or the end of a cookie's name only, not"
MIXED = "takes either a whole list, or only changes to the outer section's list (+NAME, -NAME)"
TOLD = '; PROBLEM is the name of one of the module\'s answers'
TOLD_STATUS = 'takes PROBLEM=STATUS, a status of httpd\'s from 400 to 599, not "{}"' + TOLD
TOLD_LATER = 'takes PROBLEM=off or PROBLEM=DURATION between 1s and 400d, not "{}"' + TOLD
FIELD = ('must be a name of 1 to 64 letters, digits, "_", "." and "-", and not _charset_ or isindex, '
         'not "{}"')

# Directive, words, and the sentence behind the directive's name.
WRONG = [
    ("Engine", "maybe", 'must be On, Off or DetectionOnly, not "maybe"'),
    ("Engine", "On Off", "takes one value, not 2"),
    ("RequireKey", "yes", 'must be On or Off, not "yes"'),
    ("TTL", "0", 'must be between 1s and 400d, not "0"'),
    ("TTL", "401d", 'must be between 1s and 400d, not "401d"'),
    ("TTL", "999ms", 'must be between 1s and 400d, not "999ms"'),
    ("TTL", "10sec", 'must be between 1s and 400d, not "10sec"; the units are ms, s, min, h, d'),
    ("TTL", "5m", 'must be between 1s and 400d, not "5m"; the units are ms, s, min, h, d'),
    ("MaxResponse", "10MB", 'must be between 1K and 1G, not "10MB"; the units are K, M, G'),
    ("TTL", "-1", 'must be between 1s and 400d, not "-1"'),
    ("TTL", "99999999999999999999", 'must be between 1s and 400d, not "99999999999999999999"'),
    ("TTL", "106751991168d", 'must be between 1s and 400d, not "106751991168d"'),
    ("TTL", "", "takes one value, not 0"),
    ("TTL", "1h 2h", "takes one value, not 2"),
    ("StoreTimeout", "9ms", 'must be between 10ms and 10s, not "9ms"'),
    ("StoreTimeout", "11s", 'must be between 10ms and 10s, not "11s"'),
    ("Prefetch", "17M", 'must be between 0 and 16M, not "17M"'),
    ("Prefetch", "-1", 'must be between 0 and 16M, not "-1"'),
    ("Spool", "10241M", 'must be between 0 and 10G, not "10241M"'),
    ("Spool", "1T", 'must be between 0 and 10G, not "1T"; the units are K, M, G'),
    ("MaxResponse", "1023", 'must be between 1K and 1G, not "1023"'),
    ("MaxResponse", "9999999999G", 'must be between 1K and 1G, not "9999999999G"'),
    ("KeyLength", "0 10", 'must be between 1 and 1024, not "0"'),
    ("KeyLength", "1 1025", 'must be between 1 and 1024, not "1025"'),
    ("KeyLength", "1 1K", 'must be between 1 and 1024, not "1K"'),
    ("KeyLength", "10 9", 'takes a MIN that is at most its MAX, not "10 9"'),
    ("KeyLength", "10", "takes two values, MIN and MAX, not 1"),
    ("Except", "json:/query", "takes two values, PART and REGEX, or one, expr=CONDITION or none, not 1 without expr="),
    ("Except", "expr=", 'takes an expression after expr=, not ""'),
    ("Except", '"expr=json("', 'cannot take the expression "json(": '),
    ("Except", '"expr=json(\'a\') == 1"',
     'cannot take the expression "json(\'a\') == 1": takes a JSON pointer, which begins with /, not "a"'),
    ("Except", '"expr=form(\'\') == 1"',
     'cannot take the expression "form(\'\') == 1": takes the name of a form\'s field after form:, not ""'),
    ("Except", '"expr=json(req(\'A\')) == 1"',
     'cannot take the expression "json(req(\'A\')) == 1": json() takes a name in quotes'),
    ("Except", '"expr=nobody(\'a\') == 1"', 'cannot take the expression "nobody(\'a\') == 1": '),
    ("Except", "none header:X", f'does not know "none"; it takes {SOURCES}'),
    ("Except", "fingerprint x", 'takes a part that has a value, not "fingerprint"'),
    ("Except", "header:X [a", 'takes a regular expression after its PART, not "[a"'),
    ("KeyFormat", "[a", 'must be any, uuid or a regular expression, not "[a"'),
    ("KeyFormat", "a)|(b", 'must be any, uuid or a regular expression, not "a)|(b"'),
    ("FormField", '"a b"', FIELD.format("a b")),
    ("FormField", "a[b]", FIELD.format("a[b]")),
    ("FormField", "_CHARSET_", FIELD.format("_CHARSET_")),
    ("FormField", "isindex", FIELD.format("isindex")),
    ("FormField", "x" * 65, FIELD.format("x" * 65)),
    ("FormField", "a b", "takes one value, not 2"),
    ("Methods", "GET", SAFE.format("GET")),
    ("Methods", "POST connect", SAFE.format("connect")),
    ("Methods", "+TRACE", SAFE.format("TRACE")),
    ("Methods", "post", 'must name methods as clients send them, "POST", not "post"'),
    ("Methods", '"A B"', 'takes names of HTTP methods, not "A B"'),
    ("Methods", "+", 'takes names of HTTP methods, not ""'),
    ("Methods", "none", "must have at least one value, not none"),
    ("Methods", "", "takes at least one word"),
    ("Methods", "+LOCK PUT", MIXED),
    ("Key", "nonsense", f'does not know "nonsense"; it takes {SOURCES}'),
    ("Key", "body", f'does not know "body"; it takes {SOURCES}'),
    ("Key", "body=json", f'does not know "body=json"; it takes {SOURCES}'),
    ("Key", "form:", 'takes the name of a form\'s field after form:, not ""'),
    ("Key", "json:", 'takes a JSON pointer, which begins with /, not ""'),
    ("Key", "json:id", 'takes a JSON pointer, which begins with /, not "id"'),
    ("Key", "json:/a~2b", "needs ~0 for ~ and ~1 for / in a JSON pointer"),
    ("Key", "fingerprint header:X", "takes fingerprint as the last source only"),
    ("Scope", "fingerprint", f'does not know "fingerprint"; it takes {SCOPES}'),
    ("Scope", "body=json", f'does not know "body=json"; it takes {SCOPES}'),
    ("Fingerprint", "body=xml", f'does not know "body=xml"; it takes {FINGERPRINTS}'),
    ("Fingerprint", "body=jsonx", 'takes nothing or [,-/POINTER...] after body=json, not "x"'),
    ("Fingerprint", "body=json,/a", 'takes nothing or [,-/POINTER...] after body=json, not ",/a"'),
    ("Fingerprint", "body=json,-a", 'takes a JSON pointer, which begins with /, not "a"'),
    ("Fingerprint", "body=form,a", 'takes nothing or [,-NAME...] after body=form, not ",a"'),
    ("Fingerprint", "body=form,-", "takes the name of a form field after each ,-"),
    ("Key", "none", "must have at least one value, not none"),
    ("Key", "header:", 'takes the name of a header after header:, not ""'),
    ("Key", "header:a:b", 'takes the name of a header after header:, not "a:b"'),
    ("Key", "cookie:a=b", 'takes the name of a cookie after cookie:, not "a=b"'),
    ("Key", "query:", 'takes the name of a query parameter after query:, not ""'),
    ("Key", "env:", 'takes the name of an environment variable after env:, not ""'),
    ("Key", "expr=", 'takes an expression after expr=, not ""'),
    ("Key", "expr=%{HTTP_HOST", 'cannot take the expression "%{HTTP_HOST": '),
    ("Scope", "query", f'does not know "query"; it takes {SCOPES}'),
    ("Scope", "body", f'does not know "body"; it takes {SCOPES}'),
    ("Scope", "none host", "takes none only alone, without other words and without + or -"),
    ("Scope", "-none", "takes none only alone, without other words and without + or -"),
    ("Scope", "+addr user", MIXED),
    ("Fingerprint", "host", f'does not know "host"; it takes {FINGERPRINTS}'),
    ("Fingerprint", " ".join(f"header:h{i}" for i in range(17)), "takes at most 16 parts, not 17"),
    ("SessionCookie", '"a;b"', 'takes names of cookies, not "a;b"'),
    ("SessionCookie", "a=b", 'takes names of cookies, not "a=b"'),
    ("SessionCookie", '""', "takes at least one word"),
    ("SessionCookie", "-", 'takes names of cookies, not ""'),
    ("SessionCookie", '"a *"', 'takes names of cookies, not "a *"'),
    ("SessionCookie", "+[a]*", 'takes names of cookies, not "[a]*"'),
    ("SessionCookie", "phpbb3_*_sid", f'{STARS} "phpbb3_*_sid"'),
    ("SessionCookie", "a**", f'{STARS} "a**"'),
    ("SessionCookie", "**a", f'{STARS} "**a"'),
    ("SessionCookie", "a -*b*c*", MIXED),
    ("SessionCookie", "-*b*c*", f'{STARS} "*b*c*"'),
    ("StableSchemes", '"a b"', 'takes names of Authorization schemes, not "a b"'),
    ("StableSchemes", "Hawk,", 'takes names of Authorization schemes, not "Hawk,"'),
    ("StableSchemes", "+", 'takes names of Authorization schemes, not ""'),
    ("StableSchemes", "none Hawk", "takes none only alone, without other words and without + or -"),
    ("StableSchemes", "Hawk +Own", MIXED),
    ("SessionCookie", " ".join(f"c{i}" for i in range(70)), "takes fewer than 64 words"),
    ("ReleaseStatus", "503 600", 'takes statuses between 200 and 599, or 2xx to 5xx, not "600"'),
    ("ReleaseStatus", "50", 'takes statuses between 200 and 599, or 2xx to 5xx, not "50"'),
    ("ReleaseStatus", "6xx", 'takes statuses between 200 and 599, or 2xx to 5xx, not "6xx"'),
    ("ReleaseStatus", "50x", 'takes statuses between 200 and 599, or 2xx to 5xx, not "50x"'),
    ("ReleaseStatus", "5XX", 'takes statuses between 200 and 599, or 2xx to 5xx, not "5XX"'),
    ("MismatchStatus", "418", 'must be 400, 409 or 422, not "418"'),
    ("ProblemStatus", "key-expired", TOLD_STATUS.format("key-expired")),
    ("ProblemStatus", "key-old=412", TOLD_STATUS.format("key-old=412")),
    ("ProblemStatus", "key-expired=399", TOLD_STATUS.format("key-expired=399")),
    ("ProblemStatus", "key-expired=600", TOLD_STATUS.format("key-expired=600")),
    ("ProblemStatus", "in-progress=418", TOLD_STATUS.format("in-progress=418")),
    ("ProblemStatus", "key-expired=4o4", TOLD_STATUS.format("key-expired=4o4")),
    ("RetryAfter", "in-progress=0", TOLD_LATER.format("in-progress=0")),
    ("RetryAfter", "in-progress=", TOLD_LATER.format("in-progress=")),
    ("RetryAfter", "in-progress=999ms", TOLD_LATER.format("in-progress=999ms")),
    ("RetryAfter", "in-progress=401d", TOLD_LATER.format("in-progress=401d")),
    ("RetryAfter", "executed=1", TOLD_LATER.format("executed=1")),
    ("RetryAfter", "none in-progress=3", "takes none only alone, without other words and without + or -"),
    ("Lookup", "maybe", 'must be On or Off, not "maybe"'),
    ("MaxRun", "0", 'must be between 1s and 400d, not "0"'),
    ("MaxRun", "401d", 'must be between 1s and 400d, not "401d"'),
    ("MaxRun", "none 1s", "takes one value, not 2"),
    ("StatusHeader", "X:", 'takes the name of a header (RFC 9110, 5.1), not "X:"'),
    ("StatusHeader", "content-type", 'takes a header that HTTP and httpd do not use, not "content-type"'),
    ("StatusHeader", "Cache-Status", 'takes a header that HTTP and httpd do not use, not "Cache-Status"'),
    ("KeyAge", "", "takes none, or a duration and any of uuidv7, ulid, first-sent and required"),
    ("KeyAge", "0", 'must be between 1s and 400d, not "0"'),
    ("KeyAge", "none ulid", 'must be between 1s and 400d, not "none"'),
    ("KeyAge", "1h uuidv4", 'takes uuidv7, ulid, first-sent and required after the duration, not "uuidv4"'),
    ("OmitHeaders", '"X Y"', 'takes the name of a header (RFC 9110, 5.1), not "X Y"'),
    ("ReplayedHeader", "X:", 'takes the name of a header (RFC 9110, 5.1), not "X:"'),
    ("SetCookie", "never", 'must be auto, keep or omit, not "never"'),
    ("Concurrent", "queue", 'must be reject or wait, not "queue"'),
    ("Concurrent", "wait 6min", 'must be between 1s and 5min, not "6min"'),
    ("Concurrent", "reject 5s", "takes reject, wait, or wait and a duration"),
    ("Notify", "tell", 'must be "/PATH ARGUMENTS" or none, not "tell"'),
    ("Notify", "/no/such/program", "cannot run /no/such/program: No such file or directory"),
    ("Notify", '"/etc/passwd --loud"', "cannot run /etc/passwd: Permission denied"),
    ("Notify", "/bin/true --loud", "takes one value, not 2"),
    ("NotifyEvery", "10ms", 'must be between 1s and 1d, not "10ms"'),
    ("MaxWaiters", "100001", 'must be between 0 and 100000, not "100001"'),
    ("MaxKeys", "0", 'must be between 1 and 1000000000, not "0"'),
    ("MaxKeys", "1000000001", 'must be between 1 and 1000000000, not "1000000001"'),
    ("MaxKeys", "many", 'must be between 1 and 1000000000, not "many"'),
    ("MaxKeys", "10 per 0", 'must be between 1s and 400d, not "0"'),
    ("MaxKeys", "10 in 1h", "takes N, N per DURATION, or none"),
    ("MaxKeys", "10 per", "takes N, N per DURATION, or none"),
    ("MaxKeys", "none per 1h", 'must be between 1 and 1000000000, not "none"'),
    ("MaxKeys", "", "takes N, N per DURATION, or none"),
    ("Secret", "/x", 'must be file:PATH, "exec:/PATH ARGUMENTS" or none, not "/x"'),
    ("Secret", "file:", 'must be file:PATH, "exec:/PATH ARGUMENTS" or none, not "file:"'),
    ("Secret", '"exec:cat x"', 'must be file:PATH, "exec:/PATH ARGUMENTS" or none, not "exec:cat x"'),
    ("Response", "flush", 'must be buffer or stream, not "flush"'),
    ("Interrupted", "wait", 'must be refuse or retry, not "wait"'),
    ("StoreFailure", "ignore", 'must be refuse or bypass, not "ignore"'),
    ("Help", "ftp://h/", HELP.format("ftp://h/")),
    ("Help", "page", HELP.format("page")),
    ("Help", "//h/page", HELP.format("//h/page")),
    ("Help", "https:///page", HELP.format("https:///page")),
    ("Help", "https://h/page#part", HELP.format("https://h/page#part")),
    ("Help", "/page>;rel=x", HELP.format("/page>;rel=x")),
    ("Help", '"/a page"', HELP.format("/a page")),
    ("Store", "", "takes the URL of a store and its options: URL [OPTION=VALUE ...]"),
    ("Store", "lmdb:x sync", 'takes options of the form OPTION=VALUE after its URL, not "sync"'),
]

RIGHT = [
    "Engine on", "Engine detectiononly", "Concurrent wait", "Concurrent wait 5min", "Response stream", "MaxKeys 10",
    "MaxKeys 1000000000 PER 400d", "MaxKeys 1 per 1s", "MaxKeys None", "TTL 400d", "TTL 1", "TTL 1000ms", "TTL 90min",
    "StoreTimeout 10ms", "Prefetch 0", "Prefetch 16m", "Spool 10G", "MaxResponse 1K", "MaxResponse 1048576",
    "KeyLength 1024 1024", "KeyFormat UUID", 'KeyFormat "(?i)[a-z]+"', "Methods PURGE", "Methods +LOCK -PUT",
    "Key expr=%{HTTP_HOST}", "Scope none", "Scope NONE", "Scope Host Header:X-Tenant",
    "Fingerprint -credentials +env:X", "SessionCookie none", "SessionCookie *", "SessionCookie *a* a* *a",
    "StableSchemes none", "StableSchemes Hawk HAWK", "ReleaseStatus none", "OmitHeaders X-A x-a", "ReplayedHeader none",
    "Help /page?x=1", "Help https://h.example:8443/page", "Help none", "MismatchStatus 409",
    "ProblemStatus none", "ProblemStatus key-expired=412 key-reused=400", "RetryAfter none",
    "RetryAfter in-progress=1 in-progress=OFF too-many-keys=400d", "RetryAfter +store-unavailable=1min", "KeyAge none",
    "KeyAge 24h", "KeyAge 400d ULID Required", "KeyAge 1s uuidv7 first-sent ulid",
    "MaxRun none", "MaxRun 1s", "StatusHeader Idempotency-Status", "StatusHeader none"
]

# What may stand where: a server's directives nowhere inside, none inside <Limit>.
MISPLACED = [
    ("<Location />\nIdempotencyStore lmdb:x\n</Location>", "IdempotencyStore not allowed in <Location> context"),
    ("<Directory />\nIdempotencyStoreTimeout 1s\n</Directory>",
     "IdempotencyStoreTimeout not allowed in <Directory> context"),
    ('<If "true">\nIdempotencyStore lmdb:x\n</If>', "IdempotencyStore not allowed in <If> context"),
    ("<Files x>\nIdempotencyStore lmdb:x\n</Files>", "IdempotencyStore not allowed in <Files> context"),
    ("<VirtualHost *:1>\nIdempotencyNotify /bin/true\n</VirtualHost>",
     "IdempotencyNotify cannot occur within <VirtualHost> section"),
    ("<VirtualHost *:1>\nIdempotencyMaxWaiters 1\n</VirtualHost>",
     "IdempotencyMaxWaiters cannot occur within <VirtualHost> section"),
    ("<Location />\n<Limit POST>\nIdempotencyEngine On\n</Limit>\n</Location>",
     "IdempotencyEngine cannot occur within <Limit> or <LimitExcept> section"),
]


@pytest.fixture(scope="module")
def configtest(stage):
    """The verdict of httpd on some lines: 0 and no sentence, or another number and what it said."""
    server = Httpd(stage, modules=["proxy_balancer", "lbmethod_byrequests"])
    (server.root / "logs").mkdir()  # an example of the manual writes there, and others read a secret and a password
    for name, text in (("secret", f"slot: {'s' * 32}\nseal: {'t' * 32}\n"), ("password", "secret\n")):
        file = server.root / f"idempotency.{name}"
        file.write_text(text)
        file.chmod(0o600)

    def check(lines):
        server.config = lines.replace("/etc/apache2/", f"{server.root}/") + "\n"
        code, said = server.check_config()
        return code, [line for line in said.splitlines() if line.startswith("Idempotency")], said
    return check


@pytest.mark.parametrize("name, words, sentence", WRONG, ids=[f"{name} {words}"[:40] for name, words, _ in WRONG])
def test_wrong_value(configtest, name, words, sentence):
    code, sentences, said = configtest(f"Idempotency{name} {words}")
    assert code != 0, "it was accepted"
    assert len(sentences) == 1, said
    assert sentences[0].startswith(f"Idempotency{name} {sentence}")
    assert sentence.endswith(": ") or sentences[0].endswith(sentence)


@pytest.mark.parametrize("line", RIGHT)
def test_right_value(configtest, line):
    code, _, said = configtest("Idempotency" + line)
    assert code == 0, said


@pytest.mark.parametrize("lines, sentence", MISPLACED)
def test_wrong_place(configtest, lines, sentence):
    code, sentences, said = configtest(lines)
    assert code != 0
    assert sentences == [sentence], said


@pytest.mark.parametrize("line", ["IdempotencyRetries 3", "Idempotency On"])
def test_what_is_no_directive(configtest, line):
    code, _, said = configtest(line)
    assert code != 0
    assert f"Invalid command '{line.split()[0]}'" in said


def examples():
    return re.findall(r"^```apache\n(.*?)^```$", (env.REPO / "docs/manual.md").read_text(), re.MULTILINE | re.DOTALL)


def test_manual_has_an_example_of_each_directive():
    headings = re.findall(r"^### (Idempotency\w+)$", (env.REPO / "docs/manual.md").read_text(), re.MULTILINE)
    assert headings and [name for name in headings if name not in "".join(examples())] == []


@pytest.mark.parametrize("example", examples(), ids=lambda text: text.split("\n")[0][:40])
def test_examples_of_the_manual(configtest, example):
    code, _, said = configtest(example)
    assert code == 0, said


def test_configuration_file_changes_nothing(configtest):
    """Every line of it that is commented out is the default: said aloud, it is accepted as well."""
    text = (env.REPO / "conf/idempotency.conf").read_text()
    lines = re.findall(r"^ *#(Idempotency\w+ .*)$", text, re.MULTILINE)
    assert len(lines) > 20
    assert not re.search(r"^ *Idempotency", text, re.MULTILINE)
    code, _, said = configtest("\n".join(lines))
    assert code == 0, said


def test_store_that_is_refused_names_its_line(new_httpd):
    """httpd has read all files by then, and names no line itself."""
    server = new_httpd("<VirtualHost *:1>\nIdempotencyStore nothing:here\n</VirtualHost>\n")
    code, said = server.check_config()
    line = (server.root / "httpd.conf").read_text().splitlines().index("IdempotencyStore nothing:here") + 1
    assert code and f"line {line} of {server.root}/httpd.conf" in said and "IDEM060" in said

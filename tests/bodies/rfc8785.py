# SPDX-License-Identifier: Apache-2.0
"""
RFC 8785 over Python's json: another reader and another writer than the module's.

Refused is what two readers may understand differently. Inexact is a text with a number that the canonical form would
take
for another one.
"""
import json
import re
from decimal import Decimal

DEPTH = 512


class Refused(Exception):
    pass


class Inexact(Exception):
    pass


def number(value):
    """ECMAScript's Number::toString, from the shortest digits that Python's repr finds."""
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(abs(value))).as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    k, n = len(text), len(digits) + exponent
    minus = "-" if value < 0 else ""
    if k <= n <= 21:
        return minus + text + "0" * (n - k)
    if 0 < n <= 21:
        return minus + text[:n] + "." + text[n:]
    if -6 < n <= 0:
        return minus + "0." + "0" * -n + text
    mantissa = text[0] + ("." + text[1:] if k > 1 else "")
    return f"{minus}{mantissa}e{'+' if n > 0 else '-'}{abs(n - 1)}"


class Number(float):
    """Remembers its text."""

    def __new__(cls, text):
        try:
            made = super().__new__(cls, float(text))
        except OverflowError as wrong:
            raise Refused from wrong
        if made in (float("inf"), float("-inf")):
            raise Refused
        made.text = text
        return made


def members(pairs):
    found = dict(pairs)
    if len(found) < len(pairs) or any("\0" in name for name in found):
        raise Refused
    return found


def constant(_):
    raise Refused


def depth(text):
    """Of containers in one another, strings left aside."""
    deepest = now = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', text, re.S):
        if match[0] in "[{":
            now += 1
            deepest = max(deepest, now)
        elif match[0] in "]}":
            now -= 1
    return deepest


def read(data):
    try:
        text = data.decode("utf-8")
        if depth(text) > DEPTH or text.startswith("\ufeff"):
            raise Refused
        value = json.loads(text, parse_float=Number, parse_int=Number, parse_constant=constant,
                           object_pairs_hook=members)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no lone surrogate
    except (ValueError, RecursionError, UnicodeEncodeError) as wrong:
        raise Refused from wrong
    return value


def write(value):
    if isinstance(value, Number):
        written = number(float(value))
        if Decimal(written) != Decimal(value.text):
            raise Inexact
        return written
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(json.dumps(name, ensure_ascii=False) + ":" + write(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def canonical(data):
    """As build/read_bodies answers: a verdict, and the form where there is one."""
    try:
        return "+", write(read(data)).encode()
    except Refused:
        return "-", None
    except Inexact:
        return "!", None

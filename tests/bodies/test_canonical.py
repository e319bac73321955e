# SPDX-License-Identifier: Apache-2.0
"""The canonical form of JSON: RFC 8785's own vectors, and a second implementation that is asked the same."""
import json
import os
import random
import resource
import struct
import subprocess
import sys

import pytest

import rfc8785
from reader import PROGRAM, ask

# RFC 8785, appendix B.
NUMBERS = {
    "0000000000000000": "0", "8000000000000000": "0", "0000000000000001": "5e-324", "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308", "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992", "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000", "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23", "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000", "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21", "3eb0c6f7a0b5ed8c": "9.999999999999997e-7", "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332", "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333", "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343", "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2"}

# RFC 8785, 3.2.2; its first number is inexact, and written here as the form has it.
EXAMPLE = r"""{
  "numbers": [333333333.3333333, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"""
EXAMPLE_FORM = ('{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
                r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}')

# RFC 8785, 3.2.3.
SORTING = r"""{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
"\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}"""
SORTED = ["Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
          "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh"]

# The RFC's test data, weird.json.
WEIRD = r"""{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\u000a": "Newline", "1": "One", "\u0080": "Control\u007f",
"\ud83d\ude02": "Smiley", "\u00f6": "Latin Small Letter O With Diaeresis", "\ufb33": "Hebrew Letter Dalet With Dagesh",
"</script>": "Browser Challenge"}"""
WEIRD_FORM = ('{"\\n":"Newline","\\r":"Carriage Return","1":"One","</script>":"Browser Challenge","\x80":"Control\x7f",'
              '"ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","😂":"Smiley",'
              '"\ufb33":"Hebrew Letter Dalet With Dagesh"}')


def double(bits):
    return struct.pack("=Q", bits)


def test_numbers_of_the_rfc():
    answers = ask([("n", double(int(bits, 16))) for bits in NUMBERS])
    assert [answer.decode() for _, answer in answers] == list(NUMBERS.values())


@pytest.mark.parametrize("text, form", [(EXAMPLE, EXAMPLE_FORM), (WEIRD, WEIRD_FORM)], ids=["3.2.2", "weird"])
def test_examples_of_the_rfc(text, form):
    assert ask([("j", text.encode())]) == [("+", form.encode())]
    assert rfc8785.canonical(text.encode()) == ("+", form.encode())


def test_order_of_the_rfc():
    (verdict, form), = ask([("j", SORTING.encode())])
    assert verdict == "+" and list(json.loads(form).values()) == SORTED


@pytest.mark.parametrize("text", ["9007199254740993", "-9007199254740993", "333333333.33333329",
                                  "0.1000000000000000055",
                                  "123456789012345678901", "1e-400", '{"a":[1,0.30000000000000004001]}'])
def test_number_that_would_be_another_one(text):
    assert ask([("j", text.encode())]) == [("!", ask([("j", text.encode())])[0][1])]
    assert rfc8785.canonical(text.encode())[0] == "!"


def bits(chance):
    """Doubles of all kinds: any bits, short decimals, integers, powers of two, and their neighbours."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.getrandbits(64)
    value = [0.0, chance.randrange(10 ** 6) / 10 ** chance.randrange(9),
             float(chance.getrandbits(chance.randrange(1, 70))), 2.0 ** chance.randrange(-1073, 1023)][kind]
    return struct.unpack("=Q", struct.pack("=d", value))[0] + chance.randrange(-1, 2) & (1 << 64) - 1


def test_numbers_as_python_writes_them():
    chance = random.Random(8785)
    found = [value for value in (bits(chance) for _ in range(30000)) if value >> 52 & 0x7ff != 0x7ff]
    for value, (_, answer) in zip(found, ask([("n", double(value)) for value in found])):
        assert answer.decode() == rfc8785.number(struct.unpack("=d", double(value))[0]), hex(value)


STRINGS = ["", "a", "é", "€", "\ufb33", "😀", "\x7f", "\n", '"', "\\", "/", "\x01", "\u2028",
           "a\ud7ff", "\ue000", "\U0010ffff"]


def string(chance):
    text = "".join(chance.choice(STRINGS) for _ in range(chance.randrange(4)))
    return json.dumps(text, ensure_ascii=chance.random() < .5).replace("/", chance.choice(["/", "\\/"]))


def any_number(chance):
    kind = chance.randrange(5)
    if kind == 0:
        return str(chance.randrange(-10 ** chance.randrange(1, 20), 10 ** chance.randrange(1, 20)))
    if kind == 1:
        return repr(struct.unpack("=d", double(chance.getrandbits(64) & ~(1 << 62)))[0])
    digits = "".join(chance.choice("0123456789") for _ in range(chance.randrange(1, 20)))
    text = chance.choice(["", "-"]) + chance.choice(["0", str(chance.randrange(1, 10 ** 9))])
    text += "." + digits if kind > 2 else ""
    return text + chance.choice(["", "", f"e{chance.randrange(-330, 330)}", f"E+{chance.randrange(30)}"])


def space(chance):
    return chance.choice(["", "", "", " ", "\n", "\t\r "])


def text(chance, depth=0):
    kind = chance.randrange(7 if depth < 5 else 4)
    if kind == 0:
        return chance.choice(["null", "true", "false"])
    if kind in (1, 2):
        return any_number(chance)
    if kind == 3:
        return string(chance)
    pad = space(chance)
    some = [text(chance, depth + 1) for _ in range(chance.randrange(5))]
    if kind == 4:
        return "[" + pad + ("," + pad).join(some) + pad + "]"
    return "{" + pad + ("," + pad).join(string(chance) + pad + ":" + value for value in some) + "}"


def broken(chance, data):
    """A few bytes of it are others, twice, or gone."""
    data = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(3)
        if kind == 0:
            data[at:at] = bytes([chance.choice(b'{}[]",:\\0123456789eE+-.ntfu/ \t\n\x00\x80\xc3\xff\xed\xa0')])
        elif kind == 1:
            del data[at:at + chance.randrange(1, 3)]
        else:
            data[at:at] = data[at:at + 8]
    return bytes(data)


def test_texts_as_python_reads_them():
    """The same verdict and the same form for each of many texts, of which many are broken."""
    chance = random.Random(7)
    texts = [text(chance).encode() for _ in range(4000)]
    texts += [broken(chance, one) for one in texts]
    verdicts = {"+": 0, "-": 0, "!": 0}
    for one, (verdict, form) in zip(texts, ask([("j", one) for one in texts])):
        expected, expected_form = rfc8785.canonical(one)
        verdicts[verdict] += 1
        assert verdict == expected, one
        assert verdict != "+" or form == expected_form, one
    assert min(verdicts.values()) > 200, verdicts


@pytest.mark.parametrize("opened, closed", [("[", "]"), ('{"a":', "}")])
def test_depth(opened, closed):
    for depth, verdict in ((512, "+"), (513, "-"), (10000, "-")):
        body = (opened * depth + "1" + closed * depth).encode()
        assert [answer[0] for answer in ask([("j", body)])] == [verdict]


def large(size):
    record = json.dumps({"id": 4711, "name": "a name of a thing", "price": 19.95, "tags": ["a", "b"], "note": "x" * 60})
    return ("[" + ",".join([record] * (size // (len(record) + 1))) + "]").encode()


def test_large_text_takes_its_time_for_reading():
    """16 MiB, read and written in the canonical form, take at most twice what reading them takes."""
    body = large(16 << 20)
    cut = body[:-1]  # is read to its end, and never written

    def took(one):
        begin = sum_of_children()
        ask([("j", one)])
        return sum_of_children() - begin
    reading, writing = min(took(cut) for _ in range(3)), min(took(body) for _ in range(3))
    assert writing < 2 * reading, (writing, reading)


def sum_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("body", [b"[" + b"{}," * (5 << 20) + b"1]", b"[" + b"[]," * (5 << 20) + b"1]",
                                  b"[" + b"0," * (8 << 20) + b"1]",
                                  b'{"a":' * 3000000, b'"' + b"x" * (16 << 20) + b'"', large(16 << 20)],
                         ids=["objects", "arrays", "numbers", "open", "string", "records"])
def test_memory_is_bounded(body):
    """Whatever the text, reading it takes no more than is promised, and what the program and the text take."""
    code = ("import resource,subprocess,struct,sys\nbody=sys.stdin.buffer.read()\n"
            "question=b'j'+struct.pack('>I',len(body))+body\n"
            "subprocess.run([sys.argv[1]],input=question,stdout=subprocess.DEVNULL,check=True)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", code, str(PROGRAM)], input=body, capture_output=True, check=True)
    said = done.stdout
    assert int(said) * 1024 < (256 << 20) + 3 * len(body) + (64 << 20), os.fsdecode(said)

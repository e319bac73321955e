# SPDX-License-Identifier: Apache-2.0
"""Forms: the fields that Python's readers find, or none; never others."""
import email.parser
import email.policy
import random
from urllib.parse import parse_qsl, quote_plus

from reader import ask, fields_of

OCTETS = [b"a", b"b", b"=", b"&", b"+", b"%", b"%41", b"%e9", b"%0A", b"%zz", b" ", b";",
          b"\xc3\xa9", b"\x00", b"[", b"1"]


def urlencoded(chance):
    return b"".join(chance.choice(OCTETS) for _ in range(chance.randrange(14)))


def as_python_reads(body):
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


def test_urlencoded_as_python_reads_it():
    chance = random.Random(1866)
    bodies = [urlencoded(chance) for _ in range(10000)]
    refused = 0
    for body, (verdict, answer) in zip(bodies, ask([("u", body) for body in bodies])):
        if verdict == "-":
            refused += 1
            assert b"%" in body
            continue
        assert [(name, data) for name, _, _, data in fields_of(answer)] == as_python_reads(body), body
    assert 1000 < refused < 7500


def test_any_octets_survive():
    every = bytes(range(256))
    body = (quote_plus(every) + "=" + quote_plus(every[::-1])).encode()
    assert fields_of(ask([("u", body)])[0][1]) == [(every, None, None, every[::-1])]


def part(chance):
    lines = ['Content-Disposition: form-data; name="%s"' % chance.choice(["a", "b c", "é", "", "x&y", "%22"])]
    if chance.random() < .4:
        lines[0] += '; filename="%s"' % chance.choice(["a.txt", "", "C:/x.bin", "ü.png"])
        lines.append("Content-Type: " + chance.choice(["text/plain", "image/png; x=y"]))
    if chance.random() < .2:
        lines.append("X-Other: 1")
    pieces = ["", "1", "\r\n", "\r\n--", "--AB", "x", "\r", "\n", "\r\n\r\n", "--", "\u00e9"]
    data = "".join(chance.choice(pieces) for _ in range(chance.randrange(6)))
    return "\r\n".join(lines) + "\r\n\r\n" + data


def multipart(chance):
    parts = [part(chance) for _ in range(chance.randrange(4))]
    body = "".join(f"--AB\r\n{one}\r\n" for one in parts) + "--AB--" + chance.choice(["", "\r\n", "\r\n", "x"])
    data = bytearray(body.encode())
    if chance.random() < .3:
        at = chance.randrange(len(data))
        data[at:at + chance.randrange(2)] = chance.choice([b"", b"\r\n", b"--AB\r\n", b'"', b":", b"\n", b" "])
    return bytes(data)


def as_email_reads(body):
    """Python's MIME parser; its defects count."""
    head = b"Content-Type: multipart/form-data; boundary=AB\r\n\r\n"
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    return [(one.get_param("name", header="Content-Disposition"), one.get_payload(decode=True))
            for one in message.iter_parts()]


def test_multipart_as_python_reads_it():
    """Python's reader takes far more; where ours takes a body, both see as many fields, with the same data."""
    chance = random.Random(7578)
    bodies = [multipart(chance) for _ in range(4000)]
    taken = 0
    for body, (verdict, answer) in zip(bodies, ask([("m", b"AB\n" + body) for body in bodies])):
        if verdict == "-":
            continue
        fields = fields_of(answer)
        taken += 1
        assert [data for _, _, _, data in fields] == [data for _, data in as_email_reads(body)], body
    assert taken > 1500


def test_real_forms_of_browsers():
    """As Chromium and Firefox write them."""
    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    body = (f'--{boundary}\r\nContent-Disposition: form-data; name="comment"\r\n\r\nHello\r\nworld\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="a%22b"; filename=""\r\n'
            f'Content-Type: application/octet-stream\r\n\r\n\r\n--{boundary}--\r\n').encode()
    assert fields_of(ask([("m", boundary.encode() + b"\n" + body)])[0][1]) == [
        (b"comment", None, None, b"Hello\r\nworld"), (b"a%22b", b"", b"application/octet-stream", b"")]
    boundary = "-----------------------------9051914041544843365972754266"
    body = (f'--{boundary}\r\nContent-Disposition: form-data; name="text"\r\n\r\ntext default\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file1"; filename="a.html"\r\n'
            f'Content-Type: text/html\r\n\r\n'
            f'<!DOCTYPE html>\r\n--{boundary}--\r\n').encode()
    assert fields_of(ask([("m", boundary.encode() + b"\n" + body)])[0][1]) == [
        (b"text", None, None, b"text default"), (b"file1", b"a.html", b"text/html", b"<!DOCTYPE html>")]

# SPDX-License-Identifier: Apache-2.0
"""Request bodies of forms and JSON, as keyword arguments of api.post()."""
import json

URLENCODED = ("Content-Type", "application/x-www-form-urlencoded")


def field(name, value, more=""):
    return f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}'


def file(name, content, filename="a.bin", content_type="image/png"):
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return f"{disposition}\r\nContent-Type: {content_type}\r\n\r\n{content}"


def multipart(*parts, boundary="----WebKitFormBoundaryAbC"):
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"
    return {"body": body.encode(), "headers": [("Content-Type", f"multipart/form-data; boundary={boundary}")]}


def form(body):
    return {"body": body.encode() if isinstance(body, str) else body, "headers": [URLENCODED]}


def js(body, content_type="application/json"):
    body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return {"body": body, "headers": [("Content-Type", content_type)] if content_type else []}


def chunked(api, path, body, headers, size=700):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    with api.connect() as conn:
        conn.send(api.head("POST", path, [("Transfer-Encoding", "chunked"), *headers]) +
                  b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
        return conn.result()

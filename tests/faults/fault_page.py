# SPDX-License-Identifier: Apache-2.0
"""The page of memory that the preloaded interposer and the sweep share (faults.h has the same layout), and what can be
ordered.
"""
import collections
import errno
import mmap
import struct

FIELDS = ("what", "first", "times", "error", "everywhere", "armed", "pid", "seen", "struck", "crashed")
CLASSES = ("memory", "pool", "open", "read", "write", "flush", "connect", "lock", "wait", "file", "thread"
           )  # as in fault_class
TEXT = 6000
SIZE = 4 * len(FIELDS) + TEXT
SHORT, END = 0, -1
FOR_EVER = 1 << 30
NAMES = {SHORT: "short", END: "end", **{getattr(errno, name): name for name in dir(errno) if name.startswith("E")}}
NAMES.update({errno.EAGAIN: "EAGAIN", errno.EDEADLK: "EDEADLK"})

# Classes, each with the errors that its calls can give. Threads first: a process asks for most of its own once.
KINDS = {
    "thread": [errno.EAGAIN],
    "memory": [errno.ENOMEM],
    "pool": [errno.ENOMEM],
    "open": [errno.EMFILE, errno.EACCES, errno.ENOSPC],
    "read": [errno.EIO, errno.EINTR, SHORT, END],
    "write": [errno.EIO, errno.ENOSPC, errno.EINTR, SHORT],
    "flush": [errno.EIO, errno.EINTR],
    "connect": [errno.ECONNREFUSED, errno.EMFILE],
    "lock": [errno.ENOLCK, errno.EDEADLK, errno.EINTR],
    "wait": [errno.EINTR, errno.ENOMEM],
    "file": [errno.EIO, errno.EACCES],
}


class Order(collections.namedtuple("Order", "kind error first times everywhere", defaults=(1, 0))):
    def __str__(self):
        many = "" if self.times == 1 else " and on" if self.times == FOR_EVER else f" and {self.times - 1} more"
        return f"{self.kind} {NAMES[self.error]} at call {self.first}{many}" + (" of the process"
                                                                                if self.everywhere else "")


class Page:
    def __init__(self, path):
        path.write_bytes(bytes(SIZE))
        path.chmod(0o666)  # the children of httpd are somebody else
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), SIZE)

    def __getitem__(self, name):
        return struct.unpack_from("i", self.memory, 4 * FIELDS.index(name))[0]

    def __setitem__(self, name, value):
        struct.pack_into("i", self.memory, 4 * FIELDS.index(name), value)

    def give(self, order):
        self.memory[4 * len(FIELDS):] = bytes(TEXT)
        for name in ("armed", "pid", "seen", "struck", "crashed"):
            self[name] = 0
        for name in ("first", "times", "error", "everywhere"):
            self[name] = getattr(order, name)
        self["what"] = 1 + CLASSES.index(order.kind)

    def withdraw(self):
        self["what"] = 0

    @property
    def text(self):
        return self.memory[4 * len(FIELDS):].split(b"\0")[0].decode(errors="replace")

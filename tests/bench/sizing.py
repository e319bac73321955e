# SPDX-License-Identifier: Apache-2.0
"""How much room a record takes in each store: `make sizing` prints the tables of docs/stores.md, in a minute or two.

    sizing.py BUILD [RECORDS]

Each store is given RECORDS (10,000) keys, claimed and settled one after another as a server does it, with a response of
1 KiB, and then of 4 KiB. The module adds its own head and the response's headers to a body. AROUND is the measure for
them; an application that sets few headers needs less. Then the engine tells its size: of the file, the table or the
memory, less its size when it was empty.
"""
import contextlib
import os
import pathlib
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/store"), str(ROOT / "tests/store/servers")]

from driven import Driven  # noqa: E402 (found by the line above)
from mariadb_server import MariaDB  # noqa: E402
from memcached_server import Memcached  # noqa: E402
from postgres_server import Postgres  # noqa: E402
from redis_server import Redis  # noqa: E402
from sqlite_file import Sqlite  # noqa: E402

AROUND = 400  # bytes: head, checksum, and eight ordinary fields of a response
GIB = 1 << 30
RECORD = 2


def files(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def of_redis(server):
    return {"memory": int(server.info("used_memory")), "append-only file": files(server.folder / "appendonlydir")}


def of_memcached(server):
    return {"memory, in items": int(server.stats()["bytes"])}


def of_postgres(server):
    return {"table and indexes": int(server.sql("SELECT pg_total_relation_size('idempotency')"))}


def of_mariadb(server):
    (path,) = server.data.glob("*/idempotency.ibd")
    return {"table's file": path.stat().st_size}


# How its server is started in a folder, and what it says of itself; a store without a server is a folder.
STORES = {
    "lmdb": (None, lambda folder: {"file": files(folder)}),
    "redis": (lambda folder: Redis(folder, "--appendonly", "yes"), of_redis),
    "memcache": (lambda folder: Memcached(folder, "-M", "-m", "1024"), of_memcached),
    "dbd:pgsql": (lambda folder: Postgres(), of_postgres),
    "dbd:mysql": (lambda folder: MariaDB(), of_mariadb),
    "dbd:sqlite3": (None, lambda folder: {"file and log": files(folder)}),
}


def fill(build, url, records, body):
    """What cannot be kept is said, and makes the numbers worth nothing."""
    driven = Driven(build / "driven", url, ["sync=off"] if url.startswith("lmdb:") else [], 10000)
    try:
        assert driven.ask("attach").status == "SUCCESS"
        for number in range(records):
            driven.say("claim", number, number)
            driven.say("settle-sized", number, number, RECORD, AROUND + body)
            for answer in (driven.hear(), driven.hear()):
                assert answer.status == "SUCCESS", (number, answer)
    finally:
        driven.end()


def local_store(build, name, folder):
    """Its address, when it is there and empty."""
    if name == "dbd:sqlite3":
        return Sqlite(folder).url()
    driven = Driven(build / "driven", f"lmdb:{folder}", ["sync=off"], 10000)
    assert driven.ask("open").status == "SUCCESS"
    driven.end()
    return f"lmdb:{folder}"


def measured(build, name, records, body):
    """Bytes of a record, by what it is that grows."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="idem-sizing-"))
    folder.chmod(0o755)
    start, ask = STORES[name]
    try:
        with start(folder / "store") if start else contextlib.nullcontext(folder / "store") as store:
            url = store.url() if start else local_store(build, name, store)
            before = ask(store)
            fill(build, url, records, body)
            after = ask(store)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {what: (after[what] - before[what]) / records for what in after}


def measured_shmcb(build, records, body):
    """httpd's cache has a size and no way to ask: how many of the latest responses it still has, when twice as many
    were given to it.
    """
    os.environ.setdefault("IDEM_MODULE", str(build.resolve() / "mod_idempotency.so"))
    sys.path.append(str(ROOT / "tests/http"))
    from client import Api
    from httpd import Httpd
    from origin import Stage
    room = records * (body + AROUND)
    stage = Stage(tempfile.mkdtemp(prefix="idem-http-", dir="/tmp"))
    server = Httpd(stage, store=f'"socache:shmcb:{{root}}/run/sizing({room})"')
    try:
        api = Api(server.start().address, "sizing.test", "/fpm")
        for number in range(2 * records):
            api.post(f"/fill{number}?size={body}", key=f"k{number}")
        kept = sum(
            api.post(f"/fill{number}?size={body}", key=f"k{number}").replayed
            for number in reversed(range(2 * records)))
    finally:
        server.stop()
        stage.close()
    return {"shared memory": room / kept}


def show(name, small, large):
    for what, size in small.items():
        print(
            f"| `{name}` | {what} | {size:,.0f} | {GIB / size:,.0f} | {large[what]:,.0f} | {GIB / large[what]:,.0f} |",
            flush=True)


def main():
    build, records = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10000
    print(f"{records} records; a body of 1 KiB or 4 KiB and {AROUND} bytes around it\n")
    print("| store | what grows | 1 KiB: bytes a record | records per GiB | 4 KiB: bytes a record | records per GiB |")
    print("|---|---|---|---|---|---|")
    for name in STORES:
        small, large = (measured(build, name, records, body) for body in (1024, 4096))
        show(name, small, large)
    show("socache:shmcb", *(measured_shmcb(build, min(records, 3000), body) for body in (1024, 4096)))


if __name__ == "__main__":
    os.umask(0o022)
    main()

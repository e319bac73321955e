# SPDX-License-Identifier: Apache-2.0
"""The address and the options of a store in a database, and the answers to wrong ones. No server runs here."""
import pytest

ADDRESS = "the address of a store in a database is dbd:pgsql:PARAMETERS"
PGSQL = "PostgreSQL's parameters are KEYWORD=VALUE"
MYSQL = "MySQL's parameters are host= port="
WRONG = {
    "dbd:": ADDRESS,
    "dbd:pgsql": ADDRESS,
    "dbd:oracle:x": ADDRESS,
    "dbd:postgresql:host=x": ADDRESS,
    "dbd:pgsql:postgresql://user:hunter2@host/db": "not a URI",
    "dbd:pgsql:host": PGSQL,
    "dbd:pgsql:host=a hunter2": PGSQL,
    "dbd:pgsql:host=a password='hunter2": PGSQL,
    "dbd:pgsql:host=a password=my hunter2": PGSQL,
    "dbd:pgsql:host=a password='my''hunter2'": PGSQL,
    "dbd:mysql:hunter2": MYSQL,
    "dbd:mysql:host=a,pw=hunter2": MYSQL,
    "dbd:mysql:host=a,p=hunter2": MYSQL,
    "dbd:mysql:host=a,flags=CLIENT_FOUND_ROWS": MYSQL,
    "dbd:mysql:host=a,reconnect=1": MYSQL,
    "dbd:mysql:host=a,pass=hunter2 hunter2": MYSQL,
    "dbd:sqlite3:": "needs the path of a file",
    "dbd:sqlite3::memory:": "needs the path of a file",
    "dbd:sqlite3:file:x?mode=ro": "needs the path of a file",
}
WRONG_OPTIONS = {
    "table": 'not "table"',
    "timeout=5": 'not "timeout=5"',
    "connections=": "takes 1 to 10000",
    "connections=0": "takes 1 to 10000",
    "connections=10001": "takes 1 to 10000",
    "connections=5x": "takes 1 to 10000",
    "table=": "takes letters, digits",
    "table=1a": "takes letters, digits",
    "table=a b": "takes letters, digits",
    "table=a;b": "takes letters, digits",
    "table=a.b.c": "takes letters, digits",
    "table=a.": "takes letters, digits",
    "table=.a": "takes letters, digits",
    "table=" + 129 * "a": "takes letters, digits",
    "password=hunter2": "file:PATH",
    "password=file:secret": "needs an absolute path",
    "password=file:/nowhere/at/all": "cannot be read: No such file",
}
RIGHT = [
    "dbd:pgsql:host=a dbname=b user=c password=d", "dbd:pgsql:host = a  port=1 password='it s'", "dbd:pgsql:",
    r"dbd:pgsql:password='a \' b' host=/run/postgresql",
    "dbd:pgsql:host=a,b target_session_attrs=read-write connect_timeout=5",
    "dbd:mysql:host=a,port=1,user=b,pass=c,dbname=d", "dbd:mysql:sock=/run/mysqld/mysqld.sock user=b dbname=c",
    "dbd:mysql:group=httpd", "dbd:sqlite3:/var/lib/apache2/idempotency.db", "dbd:sqlite3:idempotency.db"
]


@pytest.mark.parametrize("url", WRONG)
def test_wrong_address(refusal, url):
    said = refusal(url)
    assert WRONG[url] in said and "hunter2" not in said


@pytest.mark.parametrize("option", WRONG_OPTIONS)
def test_wrong_option(refusal, option):
    said = refusal("dbd:pgsql:host=a", option)
    assert WRONG_OPTIONS[option] in said and "hunter2" not in said


@pytest.mark.parametrize("url", RIGHT)
def test_right_address(drive, url):
    drive(url)


def secret(tmp_path, content):
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text(content)
    return f"password=file:{path}"


@pytest.mark.parametrize("url", ["dbd:pgsql:host=a password=else", "dbd:mysql:host=a,pass=else"])
def test_password_in_two_places(refusal, tmp_path, url):
    said = refusal(url, secret(tmp_path, "hunter2\n"))
    assert "already has a password" in said and "hunter2" not in said and "else" not in said


def test_password_that_cannot_be_passed_on(refusal, drive, tmp_path):
    for password in ("hunter2 2", "hunter2,2", "hunter2;2", "hunter2|2"):
        said = refusal("dbd:mysql:host=a", secret(tmp_path, password))
        assert "cannot pass a password" in said and "hunter2" not in said
        drive("dbd:pgsql:host=a", secret(tmp_path, password))
    assert "SQLite has no passwords" in refusal("dbd:sqlite3:/a", secret(tmp_path, "hunter2"))

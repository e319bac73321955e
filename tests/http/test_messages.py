# SPDX-License-Identifier: Apache-2.0
"""Messages that no other behaviour brings about: each says what happened, once."""
import pytest

import env
from client import Api

STORES = ["wrap:{root}/control,lmdb:{root}/store"]


@pytest.fixture
def server(new_httpd, store):
    return new_httpd("LogLevel idempotency:info\n", store).start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host, "/proxy")


def executed(api, path="/pay", key="k1"):
    answer = api.post(path, key=key)
    assert answer.problem == (201, None)
    return answer


def test_settlement_that_is_refused_late(server, api, expect_log):
    expect_log(10, 71)
    server.control.fail("settle", "down")
    executed(api)
    server.control.fail("settle", "lost")
    env.until(lambda: server.log.count("IDEM071"), "the keeper is refused")
    server.control.behave()


def test_settlement_that_dies_with_its_process(server, api, origin, expect_log):
    """A graceful end goes on trying until the server is told to stop; what is lost then is unknown."""
    expect_log(10, 62, 74)
    server.control.fail("settle", "down")
    executed(api)
    server.graceful()
    server.stop()
    assert server.log.count("IDEM074") == 1
    server.control.behave()
    server.start()
    assert api.post("/pay", key="k1").problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1


def test_status_that_no_record_can_hold(api, origin, expect_log):
    expect_log(17)
    assert api.post("/pay?status=799", key="k1").status in (799, 502, 500)
    assert api.post("/pay?status=799", key="k1").problem == (409, "response-not-kept")
    assert origin.executions("/pay") == 1


def test_one_store_with_two_sets_of_options(new_httpd):
    server = new_httpd("IdempotencyStore lmdb:{root}/store size=32M\n<VirtualHost 127.0.0.9:1>\n"
                       "IdempotencyStore lmdb:{root}/store size=64M\n</VirtualHost>\n")
    code, said = server.check_config()
    assert code != 0 and "IDEM060" in said and "the same store different options" in said


def test_one_store_with_two_timeouts(new_httpd):
    server = new_httpd("<VirtualHost 127.0.0.9:1>\nIdempotencyStoreTimeout 1s\n</VirtualHost>\n")
    code, said = server.check_config()
    assert code != 0 and "IDEM060" in said and "IdempotencyStoreTimeout differs" in said


def test_timeout_as_long_as_the_lease(new_httpd):
    server = new_httpd("IdempotencyStoreTimeout 10s\n")
    code, said = server.check_config()
    assert code != 0 and "under a third of IdempotencyLease" in said


def test_store_of_no_known_kind(new_httpd):
    server = new_httpd("IdempotencyStore cupboard:left\n")
    code, said = server.check_config()
    assert code != 0 and "IDEM060" in said and "lmdb" in said


def test_too_many_sources_of_a_key(new_httpd, stage, host, expect_log):
    folder = stage.root / "docs" / "many"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / ".htaccess").write_text("IdempotencyKey " + " ".join(f"+query:a{n}" for n in range(10)) + "\n")
    server = new_httpd('<Directory "{stage}/docs">\nAllowOverride FileInfo\nIdempotencyKey '
                       + ' '.join(f'+query:b{n}' for n in range(10)) + '\n</Directory>\n').start()
    expect_log(53)
    assert Api(server.address, host, "").post("/many/x", key="k1").status == 500


def test_start_says_version_store_and_limits(new_httpd):
    version = (env.REPO / "VERSION").read_text().strip()
    server = new_httpd("IdempotencyTTL 36h\nIdempotencySpool 2M\nIdempotencyMaxResponse 1500\n", "lmdb").start()
    said, = [line for line in server.startup if "IDEM066" in line]
    assert f"mod_idempotency/{version}, store lmdb:{server.root}/store: keys live 36h" in said
    assert "up to 2M are read ahead" in said and "up to 1500 bytes are kept" in said

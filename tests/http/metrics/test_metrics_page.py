# SPDX-License-Identifier: Apache-2.0
"""The page of SetHandler idempotency-metrics: two formats, their rules, and nothing in it that is nobody's business."""
import re

import pytest

import env
import metrics
from checks import basic
from client import Api
from metrics import OPEN, TEXT, Metrics, samples_of

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = metrics.CONFIG + """
<Location /private>
    SetHandler idempotency-metrics
    AuthType Basic
    AuthName private
    AuthUserFile "{stage}/passwords"
    Require valid-user
</Location>
"""
PROMETHEUS = ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
              "text/plain;version=0.0.4;q=0.3,*/*;q=0.2")


@pytest.fixture
def page(httpd):
    return Metrics(httpd).page


@pytest.mark.parametrize("accept, wanted", [
    (None, TEXT), ("*/*", TEXT), ("text/html,*/*;q=0.8", TEXT), ("text/plain", TEXT), (PROMETHEUS, OPEN),
    ("application/openmetrics-text", OPEN), ("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", OPEN),
    ("application/openmetrics-text;q=0.2,text/plain;q=0.3", TEXT), ("application/openmetrics-text;q=0", TEXT)])
def test_format_is_what_the_client_likes_better(page, accept, wanted):
    answer = page(accept)
    assert answer["Content-Type"] == wanted
    assert answer["Cache-Control"] == "no-store" and answer["Vary"] == "Accept"
    assert samples_of(answer)


def test_both_formats_say_the_same(page, api):
    api.post("/pay", key="k1")
    assert samples_of(page(OPEN)).keys() == samples_of(page()).keys()


def test_every_series_is_there_from_the_start(new_httpd):
    """A counter that appears with its first event has no increase over it."""
    samples = Metrics(new_httpd(metrics.CONFIG).start()).read()
    assert samples.pop("processes") >= 1
    build, = [name for name in samples if name.startswith("build_info{")]
    assert samples.pop(build) == 1 and 'record_format="4"' in build and "lmdb" in build
    assert [samples.pop(f"store_{what}") > 0
            for what in ("entries", "used_bytes", "size_bytes")] == [True] * 3  # the secret's mark
    assert set(samples.values()) == {0}
    for words in ("executed", "body-too-large", "recorded", "lost", "dropped", "sweep", "breakers_open"):
        assert any(words in name for name in samples)


def test_head(page, httpd):
    api = Metrics(httpd).api
    whole, head = page(), api.request("HEAD", "/metrics")
    assert head.status == 200 and head.body == b""
    assert head["Content-Type"] == whole["Content-Type"] and int(head["Content-Length"]) == len(whole.body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods(httpd, method):
    answer = Metrics(httpd).api.request(method, "/metrics")
    assert answer.status == 405
    assert set(answer["Allow"].replace(" ", "").split(",")) == {"GET", "HEAD", "TRACE"}  # TraceEnable is On


def test_access_is_httpds_to_grant(api):
    private = api.at("")
    assert private.get("/private").status == 401
    assert samples_of(private.with_headers(basic("alice")).get("/private"))


def test_only_where_it_is_set(api):
    assert api.at("").get("/elsewhere").status == 404


def test_how_full_a_store_is(new_httpd, host):
    server = new_httpd(metrics.CONFIG + "IdempotencyStore lmdb:{root}/small size=4M\n").start()
    before = Metrics(server).read()
    for key in range(20):
        assert Api(server.address, host).post("/pay?size=20000", key=f"k{key}").status == 201
    after = Metrics(server).read()
    assert after["store_size_bytes"] == before["store_size_bytes"] == 4 << 20
    assert after["store_entries"] == before["store_entries"] + 20
    assert before["store_used_bytes"] + 20 * 20000 < after["store_used_bytes"] < 4 << 20


def test_stores_that_would_have_to_be_searched_are_not_asked(new_httpd):
    samples = Metrics(new_httpd(metrics.CONFIG, "socache:shmcb").start()).read()
    assert "store_breakers_open" in samples and not samples.keys(
    ) & {"store_entries", "store_used_bytes", "store_size_bytes"}


# ---- the documents ---------------------------------------------------------------------------------------------------

SELINUX = "idempotency_redis"  # a boolean of its policy


def named_in(path):
    return set(re.findall(r"idempotency_[a-z_]+", (env.REPO / path).read_text()))


def test_manual_has_every_series(page):
    families = set(re.findall(r"^# TYPE (\S+)", page().body.decode(), re.MULTILINE))
    assert families == named_in("docs/manual.md") - {"idempotency_module", "idempotency_key"}


def test_alerts_are_about_series_that_exist(page):
    series = {name.split("{")[0] for name in samples_of(page())}
    for path in ("docs/operations.md", "conf/monitoring/alerts.yml", "conf/monitoring/dashboard.json"):
        assert len(named_in(path)) > 5
        assert named_in(path) - {SELINUX} <= series | {"idempotency_store_call_duration_seconds"}
    labels = set(re.findall(r'\w+="[\w-]+"', page().body.decode()))
    labels.add('job="idempotency"')  # Prometheus's own
    for path in ("docs/operations.md", "conf/monitoring/alerts.yml"):
        assert set(re.findall(r'(?<={)\w+="[\w-]+"(?=})', (env.REPO / path).read_text())) <= labels


def test_example_serves_local_clients_alone(new_httpd):
    """The one in conf/idempotency.conf, as it stands there."""
    example = re.search(r'#<Location "/idempotency-metrics">.*?#</Location>',
                        (env.REPO / "conf/idempotency.conf").read_text(), re.DOTALL)
    server = new_httpd(example.group(0).replace("#", "") + """
RemoteIPHeader X-Forwarded-For
""", modules=["remoteip"]).start()
    api = Api(server.address, "metrics.test", "")
    assert samples_of(api.get("/idempotency-metrics"))
    assert api.get("/idempotency-metrics", headers=["X-Forwarded-For: 192.0.2.1"]).status == 403


# ---- stores' names ---------------------------------------------------------------------------------------------------

def stores_of(server):
    return {name.split('store="')[1].rsplit('"', 1)[0] for name in Metrics(server).all() if "breakers_open" in name}


def test_name_is_escaped(new_httpd):
    """Quotes and backslashes as both formats have them, everything that is no ASCII as in a URL."""
    server = new_httpd(metrics.CONFIG, '"lmdb:{root}/a\\"b\\\\c-ü"').start()
    assert stores_of(server) == {f'lmdb:{server.root}/a"b\\c-%C3%BC'}
    page = Metrics(server).page().body.decode()
    assert f'{{store="lmdb:{server.root}/a\\"b\\\\c-%C3%BC"}}' in page


@pytest.fixture
def hosts(new_httpd):
    """Starts a server whose virtual hosts name these stores, nothing of which need be there."""
    def start(urls):
        server = new_httpd(metrics.CONFIG + "StartServers 1\n" + "".join(
            f'<VirtualHost *>\nServerName s{number}.test\nIdempotencyStore "{url}"\n</VirtualHost>\n'
            for number, url in enumerate(urls))).start()
        away = sum(not url.startswith("lmdb") for url in urls)
        env.until(lambda: server.log.count("IDEM065") == away, "its child has said that it cannot attach")
        server.log.mark()
        return server
    return start


def test_passwords_are_not_shown(hosts):
    server = hosts([
        "redis://cashier:hunter2@127.0.0.1:9/1", "redis://:hunter2@127.0.0.1:9/2", "lmdb:{root}/password=hunter2",
        "dbd:pgsql:host=127.0.0.1 port=9 user=cashier password=hunter2 dbname=keys",
        "dbd:mysql:host=127.0.0.1,port=9,pass=hunter2"
    ])
    for accept in (TEXT, OPEN):
        page = Metrics(server).page(accept)
        assert b"hunter2" not in page.body and samples_of(page)
    assert stores_of(server) == {
        f"lmdb:{server.root}/store", f"lmdb:{server.root}/password=***", "redis://cashier:***@127.0.0.1:9/1",
        "redis://:***@127.0.0.1:9/2", "dbd:pgsql:host=127.0.0.1 port=9 user=cashier password=***",
        "dbd:mysql:host=127.0.0.1,port=9,pass=***"
    }


def test_stores_with_one_name_are_one(hosts):
    """Two passwords, one name: a series that stands there twice would make the page unreadable."""
    server = hosts(["redis://u:one@127.0.0.1:9", "redis://u:two@127.0.0.1:9"])
    assert stores_of(server) == {f"lmdb:{server.root}/store", "redis://u:***@127.0.0.1:9"}


def test_number_of_stores_is_bounded(hosts):
    server = hosts(["lmdb:{root}/store%d" % number for number in range(40)])
    names = stores_of(server)
    assert len(names) == 32 and "others" in names
    for number in range(40):
        assert Api(server.address, f"s{number}.test").post("/pay", key="k1").status == 201
    claims = [
        value for name, value in Metrics(server).all().items() if 'operation="claim",result="ok"' in name and value
    ]
    assert sum(claims) == 40 and max(claims) == 40 - 30  # one name is the main server's, one is everybody else's

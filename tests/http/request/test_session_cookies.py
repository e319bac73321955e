# SPDX-License-Identifier: Apache-2.0
"""
Cookies: which of them tell a client from others, in the jars of real applications, and what becomes of all others.
"""
import re

import pytest

from checks import parts_named
from client import Api

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = """
<Location /cgi/own>
    IdempotencySessionCookie shop_* *_id *basket* plain
</Location>
<Location /cgi/own/less>
    IdempotencySessionCookie -shop_*
</Location>
<Location /cgi/own/more>
    IdempotencySessionCookie +visit
</Location>
<Location /cgi/all>
    IdempotencySessionCookie *
</Location>
<Location /cgi/none>
    IdempotencySessionCookie none
</Location>
"""
HASH = "d41d8cd98f00b204e9800998ecf8427e"
# A browser's cookies with a form, its cookies with the retry after any other answer, and the cookie of its session.
JARS = {
    "wordpress": (
        f"wordpress_logged_in_{HASH}=editor%7C1; wordpress_test_cookie=WP+Cookie+check; wp-settings-1=a; "
        f"wp-settings-time-1=1700000000",
        f"wp-settings-time-1=1700000009; wp-settings-1=b; wordpress_logged_in_{HASH}=editor%7C1",
        f"wordpress_logged_in_{HASH}"),
    "woocommerce": (f"wp_woocommerce_session_{HASH}=t_1; woocommerce_cart_hash=a; woocommerce_items_in_cart=1",
                    f"wp_woocommerce_session_{HASH}=t_1; woocommerce_cart_hash=b; woocommerce_items_in_cart=2",
                    f"wp_woocommerce_session_{HASH}"),
    "mediawiki": ("wiki_session=s1; wikiUserName=Alice; UseDC=master; UseCDNCache=false",
                  "wiki_session=s1; wikiUserName=Alice; cpPosIndex=3%401", "wiki_session"),
    "django": ("csrftoken=a; sessionid=s1; messages=x", "csrftoken=b; sessionid=s1", "sessionid"),
    "phpmyadmin": ("phpMyAdmin=s1; pma_lang=en; pmaUser-1=u; pmaAuth-1=a",
                   "phpMyAdmin=s1; pma_lang=en; pmaUser-1=u; pmaAuth-1=b", "phpMyAdmin"),
    "rt": ("RT_SID_example.com.80=s1; seen=1", "RT_SID_example.com.80=s1; seen=2", "RT_SID_example.com.80"),
    "ikiwiki": ("ikiwiki_session_notes=s1; openid_provider=a", "ikiwiki_session_notes=s1; openid_provider=b",
                "ikiwiki_session_notes"),
    "express": ("connect.sid=s%3As1.x; io=a", "connect.sid=s%3As1.x; io=b", "connect.sid"),
    "flask": ("session=s1; remember=a", "session=s1; remember=b", "session"),
    "laravel": ("XSRF-TOKEN=a; laravel_session=s1", "XSRF-TOKEN=b; laravel_session=s1", "laravel_session"),
    "rails": ("_shop_session=s1; a=1", "a=2; _shop_session=s1", "_shop_session"),
    "roundcube": ("roundcube_sessid=s1; roundcube_sessauth=a", "roundcube_sessid=s1; roundcube_sessauth=b",
                  "roundcube_sessid"),
    "drupal": (f"SSESS{HASH}=s1; has_js=1", f"SSESS{HASH}=s1", f"SSESS{HASH}"),
    "phpbb": ("phpbb3_1a_u=2; phpbb3_1a_k=; phpbb3_1a_sid=s1; phpbb3_1a_track=a", "phpbb3_1a_sid=s1; phpbb3_1a_track=b",
              "phpbb3_1a_sid"),
    "moodle": ("MoodleSession=s1; MOODLEID1_=a", "MoodleSession=s1; MOODLEID1_=b", "MoodleSession"),
    "tomcat": ("JSESSIONID=s1; seen=1", "JSESSIONID=s1; seen=2", "JSESSIONID"),
    "spring": ("SESSION=s1; seen=1", "SESSION=s1; seen=2", "SESSION"),
    "asp.net": (".AspNetCore.Session=s1; .AspNetCore.Antiforgery.x=a", ".AspNetCore.Session=s1", ".AspNetCore.Session"),
    "coldfusion": ("CFID=1; CFTOKEN=s1; a=1", "CFTOKEN=s1; CFID=1; a=2", "CFTOKEN"),
}


def ask(api, cookies, path="/pay", key="k1", lines=()):
    return api.post(path, key=key, headers=([("Cookie", cookies)] if cookies else []) + list(lines))


def assert_other(api, cookies, **more):
    refused = ask(api, cookies, **more)
    assert refused.problem == (422, "key-reused") and parts_named(refused) == ["credentials"]


@pytest.mark.parametrize("name", JARS)
def test_jar_of_an_application(api, origin, name):
    before, after, session = JARS[name]
    first = ask(api, before)
    assert first.problem == (201, None)
    again = ask(api, after)
    assert again.replayed and again.recorded == first.recorded
    assert_other(api, re.sub(rf"({re.escape(session)})=[^;]*", r"\1=of-somebody-else", before))
    assert_other(api, "; ".join(c for c in after.split("; ") if not c.startswith(session + "=")) or None)
    assert origin.executions() == 1


@pytest.mark.parametrize("name", JARS)
def test_cookie_that_is_set_for_a_session(api, name):
    answers = [ask(api, jar, "/pay?header=Set-Cookie:+a%3D1") for jar in JARS[name][:2]]
    assert answers[1].replayed and [answer.all("Set-Cookie") for answer in answers] == [["a=1"], ["a=1"]]


@pytest.mark.parametrize("shared", ["cookie_consent=yes", "lang=de", "theme=dark; seen=1", "wp-settings-1=a", "noname"])
def test_cookie_that_many_share_is_no_identity(api, shared):
    """It is compared, since it may be one, but what was set for the first of them is not given to the next."""
    path = "/pay?header=Set-Cookie:+sid%3Dof-the-first"
    assert ask(api, shared, path).all("Set-Cookie") == ["sid=of-the-first"]
    stranger = ask(api, shared, path)
    assert stranger.replayed and stranger.all("Set-Cookie") == []
    assert_other(api, shared + "1", path=path)


@pytest.mark.parametrize("path, first, same, other", [
    ("/own", "shop_1=s; x=1", "x=2; shop_1=s", "shop_1=t; x=1"),
    ("/own", "shop_=s; x=1", "shop_=s", "shop_=t"),
    ("/own", "my_id=s; x=1", "my_id=s; x=2", "my_id=t; x=1"),
    ("/own", "mybasket7=s; x=1", "mybasket7=s; x=2", "mybasket7=t; x=1"),
    ("/own", "plain=s; x=1", "plain=s; x=2", "plain=t; x=1"),
    ("/own", "plain=s; plainer=1", "plain=s; plainer=2", "plain=t; plainer=1"),
    ("/own", "shop_1=s; shop_2=t", "shop_2=t; shop_1=s", "shop_1=t; shop_2=s"),
    ("/own", "shop_1=s", "shop_1=s; shop=1", "shop_2=s"),
    ("/own", "plain=s; plain=t", "x=1; plain=s; plain=t", "plain=t; plain=s"),
    ("/own", "a=1; b=2", "b=2; a=1", "a=1; b=3"),
    ("/own", "Plain=1; x=1", "x=1; Plain=1", "Plain=1; x=2"),  # another name: case counts
    ("/own/less", "shop_1=s; plain=s", "shop_1=t; plain=s", "shop_1=s; plain=t"),
    ("/own/more", "visit=s; x=1", "visit=s; x=2", "visit=t; x=1"),
    ("/all", "a=1; b=2", "b=2; a=1", "a=1; b=3"),
    ("/none", "PHPSESSID=s; a=1", "a=1; PHPSESSID=s", "PHPSESSID=s; a=2"),
])
def test_pattern(api, origin, path, first, same, other):
    assert ask(api, first, path).problem == (201, None)
    assert ask(api, same, path).replayed
    assert_other(api, other, path=path)
    assert origin.executions() == 1


@pytest.mark.parametrize("first, other", [("a=1", "a=2"), ("lang=de", None), (None, "lang=de")])
def test_cookies_beside_a_token(api, origin, first, other):
    """None of them is known to be a session: any may be."""
    token = [("Authorization", "Bearer t")]
    ask(api, first, lines=token)
    assert_other(api, other, lines=token)
    assert ask(api, first, lines=token).replayed
    assert origin.executions() == 1


# ---- what the administrator is told ----------------------------------------------------------------------------------


def told(httpd):
    """What the log says about the last requests that were refused for their credentials."""
    lines = [line.partition("IDEM140: ")[2] for line in httpd.log.lines() if "IDEM140" in line]
    httpd.log.mark()
    return [line.partition("first request")[2] for line in lines]


@pytest.mark.parametrize("first, second, names", [
    ("sid=A-secret; lang=de", "sid=A-secret; lang=fr", "cookie lang"),
    ("a=1; b=2", "a=1", "cookie b"),
    ("a=1", "a=1; b=2", "cookie b"),
    ("a=1; b=2; c=3", "a=2; b=2; d=4", "cookie a,cookie d,cookie c"),
    ("a=1; a=2", "a=1; a=3", "cookie a"),
    ("PHPSESSID=A-secret; x=1", "PHPSESSID=B-secret; x=2", "cookie PHPSESSID"),
    ("PHPSESSID=A-secret", None, "cookie PHPSESSID"),
    (None, "x=1", "cookie x"),
    ("A-secret", "B-secret", "a cookie without a proper name"),
    ("bad[name]=A-secret", "bad[name]=B-secret", "a cookie without a proper name"),
    ("n" * 65 + "=A-secret", "n" * 65 + "=B-secret", "a cookie without a proper name"),
])
def test_cookie_that_differed_is_named(api, httpd, first, second, names):
    ask(api, first)
    assert_other(api, second)
    (line,) = told(httpd)
    assert line == f", they differ in: {names}" and "secret" not in line


def test_token_that_differed_is_named(api, httpd):
    ask(api, "a=1", lines=[("Authorization", "Bearer A-secret")])
    assert_other(api, "a=1", lines=[("Authorization", "Bearer B-secret")])
    assert told(httpd) == [", they differ in: Authorization"]
    assert_other(api, "a=2")
    assert told(httpd) == [", they differ in: cookie a,Authorization"]


def test_more_cookies_than_are_remembered(api, httpd):
    many = "; ".join(f"c{n:02}={n}" for n in range(40))
    ask(api, many)
    assert_other(api, many.replace("c39=39", "c39=x"))
    assert told(httpd) == [", they differ in: credentials of a kind that is not told apart"]


def test_while_the_first_request_runs(api, origin, httpd):
    """What it was known by stands in its record only."""
    with origin.hold("/held") as held:
        first = api.post_async("/held", key="k1", headers=[("Cookie", "a=1")])
        held.wait_until_entered()
        assert_other(api, "a=2; b=A-secret", path="/held")
        assert told(httpd) == ["; this request has: cookie a,cookie b"]
    assert first.result().status == 201


def test_names_are_no_part_of_the_answer(api, httpd):
    """They are kept with the record, as a note; no replay and no refusal has them."""
    ask(api, "wp-settings-time-1=1")
    again = ask(api, "wp-settings-time-1=1")
    refused = ask(api, "wp-settings-time-1=2")
    for answer in (again, refused):
        assert "wp-settings" not in str(answer.headers) and b"wp-settings" not in answer.body
    assert told(httpd) == [", they differ in: cookie wp-settings-time-1"]


def test_names_with_a_secret(new_httpd, host, stage):
    secret = stage.root / "identity.secret"
    secret.write_text("slot: " + "5" * 32 + "\nseal: " + "7" * 32 + "\n")
    secret.chmod(0o600)
    server = new_httpd(f"IdempotencySecret file:{secret}\n")
    server.start()
    api = Api(server.address, host)
    ask(api, "named-by-us=A-secret")
    assert_other(api, "named-by-us=B-secret")
    assert told(server) == [", they differ in: cookie named-by-us"]
    assert not any(b"named-by-us" in path.read_bytes() for path in (server.root / "store").iterdir())

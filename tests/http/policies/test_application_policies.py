# SPDX-License-Identifier: Apache-2.0
"""
The policies of applications with their real forms. The fields are those of WordPress 6.1, MediaWiki 1.39, phpBB 3.3,
DokuWiki and Roundcube 1.6, and they change as the next rendering of the page changes them.

The applications themselves, in a browser, are in tests/http/applications (make applications).
"""
from collections import namedtuple
from urllib.parse import urlencode

import pytest

import env
from forms import form, js, multipart, field, file

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
BASE = "/proxy"
CONFIG = "".join(f"<LocationMatch \"^/proxy/{name}\">\n    Include {env.REPO}/conf/policies/{name}.conf\n"
                 "    <If \"true\">\n        IdempotencyTTL 5min\n    </If>\n</LocationMatch>\n"
                 for name in ("wordpress", "mediawiki", "roundcube", "dokuwiki", "forms"))
# cookie: who is known. fields: as the browser sends them. fresh: what another rendering of the same page changes.
# other: what makes it another operation.
Form = namedtuple("Form", "path cookie fields fresh other")
USER = "wordpress_logged_in_5c016e8f0f95f039102cbe8366c5c7f3=admin%7C1|x; wp-settings-time-1="
MAIL = "roundcube_sessid=k2b9d1; roundcube_sessauth="
WIKI = "wiki_session=k2mjv0; wikiUserID="
FORMS = [
    Form("/wordpress/wp-comments-post.php", USER,
         {"comment": "Well said", "submit": "Post Comment", "comment_post_ID": "1", "comment_parent": "0",
          "_wp_unfiltered_html_comment": "9b2b4d7f3c"},
         {"_wp_unfiltered_html_comment": "1d2c3b4a5f"}, {"comment_parent": "7"}),
    Form("/wordpress/wp-admin/post.php", USER,
         {"_wpnonce": "b6e1e9b0a1", "_wp_http_referer": "/wp-admin/post-new.php", "user_ID": "1", "action": "editpost",
          "post_type": "post", "post_ID": "5", "post_title": "News", "content": "All of it", "publish": "Publish"},
         {"_wpnonce": "aa11bb22cc"}, {"content": "More of it"}),
    Form("/wordpress/wp-admin/edit-tags.php", USER,
         {"action": "add-tag", "screen": "edit-category", "taxonomy": "category", "_wpnonce": "0a1b2c3d4e",
          "tag-name": "News", "slug": "", "parent": "-1"}, {"_wpnonce": "5f6a7b8c9d"}, {"parent": "3"}),
    Form("/mediawiki/index.php?title=Main_Page&action=submit", WIKI,
         {"wpUnicodeCheck": "ℳ𝒲♥𝓊𝓃𝒾𝒸ℴ𝒹ℯ", "wpAntispam": "", "wpSection": "new", "wpStarttime": "20261130180000",
          "wpEdittime": "20261130170000", "editRevId": "3", "parentRevId": "3", "oldid": "0", "model": "wikitext",
          "format": "text/x-wiki", "wpTextbox1": "A question", "wpSummary": "Question", "wpSave": "Save page",
          "wpEditToken": "1f2e3d+\\", "wpUltimateParam": "1"},
         {"wpStarttime": "20261130180005", "wpEdittime": "20261130180005", "wpEditToken": "9a8b7c+\\"},
         {"editRevId": "4"}),
    Form("/roundcube/?_task=mail&_framed=1", MAIL,
         {"_token": "Nb3kq1", "_task": "mail", "_action": "send", "_id": "198632016b0e0", "_attachments": "",
          "_from": "1", "_to": "bob@site.test", "_subject": "Hello", "_draft_saveid": "", "_draft": "",
          "_is_html": "0", "_framed": "1", "_message": "All of it", "_store_target": "Sent"},
         {"_token": "Zq81xW", "_draft_saveid": "7"}, {"_id": "29f1a"}),
    Form("/roundcube/?_task=addressbook", MAIL,
         {"_token": "Nb3kq1", "_task": "addressbook", "_action": "save", "_source": "0", "_cid": "",
          "_firstname": "Bob", "_email_home[]": "bob@site.test"}, {"_token": "Zq81xW"}, {"_cid": "3"}),
    Form("/roundcube/?_task=mail&_action=bounce", MAIL,
         {"_to": "carla@site.test", "_uid": "7", "_mbox": "INBOX", "_remote": "1", "_unlock": "loading1"},
         {"_unlock": "loading2"}, {"_uid": "8"}),
    Form("/dokuwiki/doku.php?id=start&do=edit", "DokuWiki=8c7b; DW7=x",
         {"sectok": "3f786850e387550fdab836ed7e6dc881", "id": "start", "rev": "0", "date": "1796061600", "prefix": ".",
          "suffix": "", "changecheck": "9b1d", "target": "section", "wikitext": "Hello", "do[save]": "Save"},
         {"sectok": "89e6c98d92887913cadf06b2adb97f26"}, {"date": "1796061605"}),
    Form("/forms/posting.php?mode=reply&t=7", "phpbb3_x1_sid=2b1f; phpbb3_x1_k=; phpbb3_x1_u=",
         {"subject": "Re: Hello", "message": "Welcome", "topic_cur_post_id": "12", "lastclick": "1796061600",
          "post": "Submit", "creation_time": "1796061600", "form_token": "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"},
         {"lastclick": "1796061605", "creation_time": "1796061605",
          "form_token": "de9f2c7fd25e1b3afad3e85a0bd17d9b100db4b3"}, {"message": "Good bye"}),
    Form("/forms/doku.php?id=start", "DokuWiki=8c7b; DW7=x",
         {"sectok": "3f786850e387550fdab836ed7e6dc881", "id": "start", "rev": "0", "date": "1796061600", "prefix": ".",
          "suffix": "", "changecheck": "9b1d", "target": "section", "wikitext": "Hello", "do[save]": "Save"},
         {"sectok": "89e6c98d92887913cadf06b2adb97f26"}, {"wikitext": "Good bye"}),
]
every = pytest.mark.parametrize("one", FORMS, ids=[f"{number}-{one.path.split('?')[0]}"
                                                   for number, one in enumerate(FORMS)])


def path_of(one):
    return one.path.split("?")[0]


@pytest.fixture
def send(api):
    """send(form, visit=1, changed={}): the form of the page as it was rendered for that visit."""
    def start(one, visit=1, changed=(), who="admin"):
        fields = {**one.fields, **(one.fresh if visit > 1 else {}), **dict(changed)}
        cookies = one.cookie.replace("admin", who).replace("=k2", f"=k2{who}") + str(visit)
        client = api.with_headers(("Cookie", cookies.replace("_sid=", f"_sid={who}").replace("i=8", f"i={who}8")))
        return client.post_async(one.path, **form(urlencode(fields)))
    return start


@every
def test_form_of_another_rendering_is_the_same(one, send, origin):
    first, again = send(one).last_result(), send(one, visit=2).last_result()
    assert (first.status, first.replayed, again.replayed) == (201, False, True)
    assert again.recorded == first.recorded
    assert origin.executions(path_of(one)) == 1


@every
def test_second_click_waits_for_the_first_ones_page(one, send, origin):
    with origin.hold(path_of(one)) as held:
        first = send(one)
        held.wait_until_entered()
        second = send(one, visit=2)
    assert first.last_result().recorded == second.last_result().recorded
    assert origin.executions(path_of(one)) == 1


@every
def test_other_words_or_another_user_are_another_form(one, send, origin):
    answers = [send(one), send(one, changed=one.other), send(one, who="bob")]
    assert [answer.last_result().replayed for answer in answers] == [False] * 3
    assert origin.executions(path_of(one)) == 3


@every
def test_form_that_the_application_refuses_runs_again(one, send, origin):
    refused = one._replace(path=one.path + ("&" if "?" in one.path else "?") + "status=403")
    assert [send(refused).last_result().problem for _ in range(2)] == [(403, None)] * 2
    assert origin.executions(path_of(one)) == 2


@pytest.mark.parametrize("path", [
    "/wordpress/wp-admin/admin-ajax.php", "/wordpress/wp-login.php", "/wordpress/xmlrpc.php",
    "/wordpress/wp-json/wp/v2/posts/7", "/mediawiki/api.php", "/mediawiki/index.php?title=Special:UserLogin",
    "/roundcube/?_task=login", "/roundcube/?_task=mail&_action=upload&_id=1", "/roundcube/?_task=mail&_saveonly=1",
    "/roundcube/?_task=mail&_action=refresh", "/dokuwiki/lib/exe/ajax.php", "/dokuwiki/doku.php?id=start&do=login"
])
def test_what_is_not_guarded(api, origin, path):
    client = api.with_headers(("Cookie", f"{USER}1; {WIKI}1; {MAIL}1; DokuWiki=8c7b"))
    assert [client.post(path, **form("action=heartbeat")).replayed for _ in range(2)] == [False] * 2
    assert origin.executions() == 2


@pytest.mark.parametrize("path, body", [("/roundcube/?_task=mail", "_action=send&_id=1&_draft=1"),
                                        ("/dokuwiki/doku.php", "id=start&do=login&u=anna&p=secret")])
def test_what_is_not_guarded_by_its_fields(api, origin, path, body):
    client = api.with_headers(("Cookie", f"{MAIL}1; DokuWiki=8c7b"))
    assert [client.post(path, **form(body)).replayed for _ in range(2)] == [False] * 2
    assert origin.executions() == 2


@pytest.mark.parametrize("opened, replayed", [
    ("/index.php?title=Talk:News&action=edit&section=new", True), ("/wiki/Talk:News?section=new&action=edit", True),
    ("/index.php?title=Talk:News&action=edit&section=2", False), ("/wiki/News?section=newer", False), ("/a", False)])
def test_mediawikis_new_section_is_appended_to_any_revision(api, origin, opened, replayed):
    """The form of the page that was just saved, which the browser fetches when somebody goes back to it."""
    client = api.with_headers(("Cookie", WIKI + "1"), ("Referer", f"http://site.test{opened}"))
    answers = [client.post("/mediawiki/index.php", **form(
        f"wpSection=new&editRevId={revision}&parentRevId={revision}&wpTextbox1={text}&wpSave=Save+{word}"))
        for revision, text, word in ((0, "Once", "page"), (4, "Once", "changes"), (4, "Twice", "changes"))]
    assert [answer.replayed for answer in answers] == [False, replayed, False]
    assert origin.executions() == (2 if replayed else 3)


def test_roundcube_counts_its_clicks_in_the_query(api, origin):
    """And renews roundcube_sessauth meanwhile; another mail of the same words has another _id."""
    answers = [api.with_headers(("Cookie", f"{MAIL}{click}")).post(
        f"/roundcube/?_task=mail&_unlock=loading{click}&_framed=1", **form(f"_action=send&_id={mail}&_message=Once"))
        for click, mail in ((1, 1), (2, 1), (3, 2))]
    assert [answer.replayed for answer in answers] == [False, True, False]
    assert origin.executions() == 2


def test_wordpress_rest_creates_once(api, origin):
    client = api.with_headers(("Cookie", USER + "1"))
    answers = [client.post("/wordpress/wp-json/wp/v2/posts", **js(body)) for body in
               ('{"title":"A","status":"draft"}', '{"status": "draft", "title": "A"}', '{"title":"B"}')]
    assert [answer.replayed for answer in answers] == [False, True, False]
    assert origin.executions() == 2


def test_wordpress_upload_with_another_boundary(api, origin):
    client = api.with_headers(("Cookie", USER + "1"))
    answers = [client.post("/wordpress/wp-admin/media-new.php", **multipart(
        file("async-upload", content), field("html-upload", "Upload"), field("_wpnonce", nonce), boundary=f"--{nonce}"))
        for content, nonce in (("x" * 500, "a1"), ("x" * 500, "b2"), ("y" * 500, "b2"))]
    assert [answer.replayed for answer in answers] == [False, True, False]
    assert origin.executions() == 2


def test_visitor_whom_wordpress_does_not_know_gets_a_key(api, origin):
    """Page and form as visitors have them; without the key both comments run."""
    page = api.get("/wordpress/hello-world/?status=200&header=Content-Type:+text/html&body="
                   "%3Cform+method=post+action=../wp-comments-post.php%3E%3C/form%3E").body.decode()
    key = page.split('name="idempotency_key" value="')[1].split('"')[0]
    fields = {"comment": "Well said", "author": "Anna", "email": "anna@site.test", "comment_post_ID": "1"}
    answers = [api.post("/wordpress/wp-comments-post.php?echo=1", **form(urlencode(sent)))
               for sent in [{"idempotency_key": key, **fields}] * 2 + [fields] * 2]
    assert [answer.replayed for answer in answers] == [False, True, False, False]
    assert answers[0].json["length"] == len(urlencode(fields))


@pytest.mark.parametrize("path", ["/wordpress/wp-admin/post.php", "/mediawiki/index.php", "/forms/posting.php",
                                  "/roundcube/?_task=mail", "/dokuwiki/doku.php"])
@pytest.mark.parametrize("body", [b"a=%zz&b=%", b"\x00\xff=1&&&", b""])
def test_broken_form_is_compared_as_it_is(api, origin, path, body):
    client = api.with_headers(("Cookie", f"{USER}1; {WIKI}1; phpbb3_x_sid=1; {MAIL}1; DokuWiki=8c7b"))
    assert [client.post(path, **form(body)).replayed for _ in range(2)] == [False, True]
    assert not client.post(path, **form(body + b"1")).replayed
    assert origin.executions() == 2

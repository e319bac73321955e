# SPDX-License-Identifier: Apache-2.0
"""
The double click on WordPress, in Chromium: a comment, a file sent to the media library, a post by REST and by the
administration's form. One of them is made, and each click and tab sees the same page. With the module off the same
clicks are two executions.
"""
import base64
import sys

import pytest

import env
import shipped
from corpus import judge_pages
from lossy import Lossy

sys.path.append(str(env.REPO / "tests/store/servers"))
from mariadb_server import MariaDB  # noqa: E402 (found by the line above)

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]
STORES = ["lmdb"]
NAME = "wordpress"
PACKAGES = ["wordpress", "wordpress-theme-twentytwentythree", "php-getid3", "libjs-cropper", "libjs-underscore"]
SITE = """
Alias /wordpress "{stage}/wordpress/usr/share/wordpress"
<Directory "{stage}/wordpress/usr/share/wordpress">
    DirectoryIndex index.php
    AddType text/css .css
    AddType application/javascript .js
    RewriteEngine on
    RewriteBase /wordpress/
    RewriteRule ^index\\.php$ - [L]
    RewriteCond %{REQUEST_FILENAME} !-f
    RewriteCond %{REQUEST_FILENAME} !-d
    RewriteRule . index.php [L]
    <FilesMatch "[.]php$">
        SetHandler "proxy:unix:{stage}/wordpress.sock|fcgi://wordpress"
    </FilesMatch>
</Directory>
LogLevel idempotency:trace1
IdempotencyEngine Off
"""
CONFIG_PHP = """<?php
define('DB_NAME', 'wordpress'); define('DB_USER', 'root'); define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:%s'); define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT',
          'LOGGED_IN_SALT', 'NONCE_SALT'] as $name) define($name, "of the tests: $name");
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] . '/wordpress'); define('WP_SITEURL', WP_HOME);
define('WP_HTTP_BLOCK_EXTERNAL', true); define('DISABLE_WP_CRON', true); define('AUTOMATIC_UPDATER_DISABLED', true);
$table_prefix = 'wp_';
define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""
INSTALL = """<?php
$_SERVER['HTTP_HOST'] = '127.0.0.1'; $_SERVER['REQUEST_URI'] = '/'; $_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
define('WP_INSTALLING', true);
function wp_new_blog_notification() {}
require '%s/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('A site', 'admin', 'admin@site.test', true, '', 'secret-of-the-tests');
update_option('permalink_structure', '/%%postname%%/');
update_option('comment_moderation', 0);
update_option('comment_previously_approved', 0);
update_option('comments_notify', 0);
update_option('stylesheet', 'twentytwentythree'); update_option('template', 'twentytwentythree');
"""
# The form of a post without the block editor, which sends posts by REST.
CLASSIC = """<?php
add_filter('use_block_editor_for_post', fn($use) => $use && !isset($_GET['classic']) && !isset($_GET['message']));
"""


class WordPress(shipped.Application):
    def __init__(self, stage, database):
        super().__init__(stage, NAME, PACKAGES)
        self.database = database
        self.root = self.folder / "usr/share/wordpress"
        (self.root / "wp-content/uploads").mkdir()
        (self.root / "wp-content/mu-plugins").mkdir()
        (self.root / "wp-content/mu-plugins/classic.php").write_text(CLASSIC)
        (self.root / "wp-config.php").write_text(CONFIG_PHP % (database.folder / "socket"))
        (self.folder / "install.php").write_text(INSTALL % self.root)
        shipped.give(self.root / "wp-content")
        database.sql("CREATE DATABASE wordpress")
        shipped.php(self.folder / "install.php")
        self.start()

    def count(self, table, condition="1=1"):
        return int(self.database.sql(f"SELECT count(*) FROM wp_{table} WHERE {condition}", database="wordpress"))

    def forget_comments(self):
        self.database.sql("DELETE FROM wp_comments", database="wordpress")


@pytest.fixture(scope="module")
def wordpress(stage):
    shipped.have(*PACKAGES)
    with MariaDB() as database:
        wordpress = WordPress(stage, database)
        yield wordpress
        wordpress.close()


def log_in(clicks):
    clicks.open("/wp-login.php")
    clicks.fill(log="admin", pwd="secret-of-the-tests")
    clicks.press("#wp-submit")
    clicks.wait_for("#wpadminbar")


PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
                       "WjR9awAAAABJRU5ErkJggg==")
COMMENTS = "/wordpress/wp-comments-post.php"
UPLOADS = "/wordpress/wp-admin/media-new.php"
POSTS = "/wordpress/wp-admin/post.php"


class Comment:
    """A user's comment. WordPress itself refuses a second one that is the same, by a page that says so."""
    path, button, field = COMMENTS, "#submit", None

    def __init__(self, clicks, wordpress, number=[0]):
        number[0] += 1
        self.clicks, self.wordpress, self.text = clicks, wordpress, f"Well said, for the time number {number[0]}"
        self.logged_in = True

    def open(self):
        self.clicks.open("/hello-world/")
        if not self.logged_in:
            self.clicks.fill(author="Anna", email="anna@site.test")
        self.clicks.fill(comment=self.text)

    def made(self):
        return self.wordpress.count("comments", f"comment_content = '{self.text}'")

    def seen(self):
        return self.clicks.shows(f"#comment-{self.id()}") and "#comment-" in self.clicks.url()

    def id(self):
        return self.wordpress.database.sql(
            f"SELECT max(comment_ID) FROM wp_comments WHERE comment_content = '{self.text}'", database="wordpress")


class Upload:
    """A file, by the form of the media library that needs no script. WordPress takes it as often as it comes."""
    path, button, field = UPLOADS, "#html-upload", None

    def __init__(self, clicks, wordpress, folder):
        self.clicks, self.wordpress = clicks, wordpress
        self.name = folder.name.replace("_", "-").lower()
        self.file = folder / f"{self.name}.png"
        self.file.write_bytes(PNG)

    def open(self):
        self.clicks.open("/wp-admin/media-new.php?browser-uploader")
        self.clicks.fill(**{"async-upload": str(self.file)})

    def made(self):
        return self.wordpress.count("posts", f"post_type = 'attachment' AND post_title LIKE '{self.name}%'")

    def seen(self):
        return "/upload.php" in self.clicks.url() and self.clicks.shows("#wpadminbar")


class Post:
    """A post, by the form of the administration. Each page with the form for a new one begins a draft of its own."""
    path, button, field = POSTS, "#publish", "post_title"

    def __init__(self, clicks, wordpress, folder):
        self.clicks, self.wordpress, self.title = clicks, wordpress, f"Once, {folder.name}"
        self.draft = "post-new.php?classic=1"

    def save_draft(self):
        """From now on the form is that of this draft."""
        self.open()
        self.clicks.press("#save-post")
        env.until(self.seen, "the draft is saved", env.CLIENT_TIMEOUT)
        self.draft = f"post.php?{self.clicks.url().split('?')[1].split('&message')[0]}&classic=1"
        self.clicks.origin.clear()

    def open(self):
        self.clicks.open(f"/wp-admin/{self.draft}")
        self.clicks.fill(post_title=self.title)

    def made(self):
        return self.wordpress.count("posts", f"post_type = 'post' AND post_status = 'publish'"
                                    f" AND post_title = '{self.title}'")

    def seen(self):
        """The page takes "message=6" out of its address, and shows what it means."""
        return "post.php?post=" in self.clicks.url() and self.clicks.shows("#message")


@pytest.fixture(params=["comment", "upload"])
def form(request, clicks, wordpress, tmp_path):
    log_in(clicks)
    return Comment(clicks, wordpress) if request.param == "comment" else Upload(clicks, wordpress, tmp_path)


def assert_times(form, clicks):
    """How many are made of two clicks."""
    assert clicks.runs(form.path) == (1 if clicks.guarded else 2)
    if clicks.guarded:
        assert form.made() == 1
    elif isinstance(form, Upload):
        assert form.made() == 2


def test_double_click(form, clicks, stage):
    """The second click comes while WordPress works for the first one."""
    clicks.submit_twice(form, stage.root / "docs")
    assert_times(form, clicks)


def test_double_click_as_fast_as_a_mouse(form, clicks):
    clicks.submit_by_a_double_click(form)
    if clicks.guarded:
        assert_times(form, clicks)


def test_two_tabs(form, clicks):
    clicks.submit_in_two_tabs(form)
    assert_times(form, clicks)


def test_back_and_submit(form, clicks):
    form.open()
    clicks.press(form.button)
    clicks.wait_for_answer(form)
    first = clicks.url()
    clicks.back(form.button)
    if isinstance(form, Comment):
        clicks.fill(comment=form.text)
    else:
        clicks.fill(**{"async-upload": str(form.file)})
    clicks.press(form.button)
    env.until(lambda: clicks.answered(form.path, 2), "the second answer")
    clicks.wait_for_answer(form)
    if clicks.guarded:
        assert clicks.url() == first
    assert_times(form, clicks)


def submit_through(lossy, clicks, make):
    """The form that make() makes. The names of WordPress's cookies are of one address, so the login is there, too."""
    clicks.base = lossy.url + "/wordpress"
    log_in(clicks)
    form = make()
    form.open()
    clicks.press(form.button)
    return form


def test_answer_that_was_lost(clicks, httpd, wordpress):
    """The line breaks after WordPress has worked. Chromium sends the form again by itself, and asks nobody."""
    with Lossy(httpd.address, ["lose"], f"POST {COMMENTS}") as lossy:
        form = submit_through(lossy, clicks, lambda: Comment(clicks, wordpress))
        env.until(lambda: len(lossy.attempts) == 2, "Chromium sends it again")
        clicks.wait_for_answer(form)
        assert_times(form, clicks)
        clicks.leave()


@pytest.mark.parametrize("kind", [Comment, Upload, Post])
def test_reload_with_the_form(clicks, httpd, wordpress, tmp_path, kind):
    """No attempt of Chromium's gets an answer. Its page of errors is loaded again, which sends the form again."""
    words = [clicks, wordpress] if kind is Comment else [clicks, wordpress, tmp_path]
    with Lossy(httpd.address, ["lose"] * 20, f"POST {kind.path}") as lossy:
        form = submit_through(lossy, clicks, lambda: kind(*words))
        clicks.wait_for_an_error()
        lossy.fates.clear()
        before = len(lossy.attempts)
        clicks.reload()
        env.until(lambda: len(lossy.attempts) == before + 1, "the form is sent again")
        clicks.wait_for_answer(form)
        assert clicks.runs(form.path) == (1 if clicks.guarded else before + 1)
        assert form.made() == (before + 1 if kind is Upload and not clicks.guarded else 1)
        clicks.leave()


def test_post_double_click(clicks, wordpress, tmp_path):
    """The page's script locks the button, with and without the module."""
    log_in(clicks)
    form = Post(clicks, wordpress, tmp_path)
    form.open()
    clicks.double_click(form.button)
    env.until(form.seen, "the post is published", env.CLIENT_TIMEOUT)
    assert clicks.runs(form.path) == 1 and form.made() == 1


def test_post_in_two_tabs(clicks, wordpress, tmp_path):
    """Both show one draft, and WordPress saves it twice."""
    log_in(clicks)
    form = Post(clicks, wordpress, tmp_path)
    form.save_draft()
    clicks.submit_in_two_tabs(form)
    assert_times(form, clicks)


def test_enter_twice(clicks, wordpress):
    """In the fields of a visitor who has not logged in: a key in the form makes one of the two."""
    form = Comment(clicks, wordpress)
    form.logged_in = False
    wordpress.forget_comments()  # who comments twice within 15 s is too fast
    form.open()
    clicks.enter_twice("author")
    clicks.wait_for_answer(form)
    if clicks.guarded:
        assert_times(form, clicks)


REST = """
const [text, done] = arguments;
const send = () => fetch('../wp-json/wp/v2/posts', {method: 'POST', headers: {'Content-Type': 'application/json',
    'X-WP-Nonce': wpApiSettings.nonce}, body: JSON.stringify({title: text, status: 'publish'})}).then(a => a.json());
Promise.all([send(), send()]).then(answers => done(answers.map(answer => answer.id)));
"""


def test_post_by_rest_twice(clicks, wordpress, guard):
    log_in(clicks)
    clicks.open("/wp-admin/post-new.php")
    clicks.wait_for_script("window.wpApiSettings && wpApiSettings.nonce")
    ids = clicks.driver.execute_async_script(REST, f"Twice, {guard}")
    assert len(set(ids)) == wordpress.count("posts", f"post_title = 'Twice, {guard}' AND post_status = 'publish'")
    assert len(set(ids)) == (1 if clicks.guarded else 2)


@pytest.mark.parametrize("guard", ["form"], indirect=True)
def test_keys_of_forms_are_the_guard(form, clicks, stage):
    """Each page has its key, also that of the login, and WordPress does not see it."""
    clicks.submit_twice(form, stage.root / "docs")
    assert_times(form, clicks)
    assert {"submit", "html-upload"} & clicks.fields() and "idempotency_key" not in clicks.fields()


@pytest.mark.parametrize("guard", ["form"], indirect=True)
def test_pages_with_keys(clicks, wordpress, stage):
    log_in(clicks)
    paths = [f"/wp-admin/{page}.php" for page in (
        "index", "edit", "upload", "media-new", "edit-comments", "edit-tags", "profile", "user-new", "plugins", "tools",
        "import", "options-general", "options-permalink", "post-new")]
    assert judge_pages(clicks, ["/", "/hello-world/", "/wp-login.php", *paths], stage.root / "docs") >= 12

# SPDX-License-Identifier: Apache-2.0
"""
Pages with forms: in the manner of known applications, hostile ones, and ones put together by chance. Each page has its
media type. If it is "exact", every form in it that posts to its own server gets a field; otherwise the filter may stop
before the page's end.
"""
import random

TEXT = "text/html; charset=utf-8"
XHTML = "application/xhtml+xml"

WORDPRESS = """<!DOCTYPE html>
<html lang="en-US"><head><meta charset="UTF-8" /><title>Hello &#8211; Blog</title>
<script type="text/javascript">window._wpemojiSettings = {"source":{"concatemoji":"<form method='post'>"}};
!function(e,a,t){var n=a.createElement("form");if(e<t&&t>0){
n.innerHTML="<form method=post></form>"}}(window,document,1);</script>
<style id='wp-block-inline-css'>body > form{color:red} /* <form method=post> */</style></head>
<body class="single-post"><svg xmlns="http://www.w3.org/2000/svg" style="display:none">
<defs><filter id="wp"><feColorMatrix
 values=" .2 .2 "/></filter></defs></svg>
<form role="search" method="get" class="search-form" action="/"><input type="search" name="s" /></form>
<form action="/wp-comments-post.php" method="post" id="commentform" class="comment-form" novalidate>
<p class="comment-notes"><span
 id="email-notes">Your email address will not be published.</span></p>
<textarea id="comment" name="comment" cols="45" rows="8">say <form method="post"></textarea>
<input name="submit" type="submit" value="Post Comment" /><input type='hidden' name='comment_post_ID' value='1' />
</form><noscript><form method="post"><img src="/x.gif"></form></noscript></body></html>
"""
MEDIAWIKI = """<!DOCTYPE html>
<html class="client-nojs" lang="en" dir="ltr"><head><meta charset="UTF-8"><title>Editing Main Page</title>
<script>(RLQ=window.RLQ||[]).push(function(){
mw.config.set({"wgTitle":"<\\/form><form method=post>"});});</script></head>
<body><form id="editform" name="editform" method="post" action="/index.php?title=Main_Page&amp;action=submit"
enctype="multipart/form-data" data-mw-editform-type="default">
<input type="hidden" value="\u2107\u03ae" name="wpUnicodeCheck"/>
<table><tr><td><textarea name="wpTextbox1">== &lt;form&gt; ==
<form method="post"> <!-- </textarea></td></tr></table><input type="submit" name="wpSave" value="Save"></form>
<div id="p-search"><form action="/index.php" id="searchform"><input name="search"></form></div></body></html>
"""
PHPBB = """<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN"
 "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><meta http-equiv="content-type" content="text/html; charset=UTF-8" />
<script type="text/javascript">
// <![CDATA[
	var form_name = 'postform'; var text = '<form method="post"><\\/form>';
// ]]>
</script></head><body><table><form id="postform" method="post" action="./posting.php?mode=reply&amp;f=2" >
<tr><td><input name="subject" /></td></tr>
<tr><td><select name="icon"><option value="1">a</option><option>b</option></select></td></tr>
</form></table><form method='POST' action='http://{host}/ucp.php?mode=login'>
<fieldset><input name=username></fieldset></form>
<form method="post" action="https://www.paypal.example/cgi-bin/webscr">
<input type="hidden" name="cmd" value="_donations" /></form>
</body></html>
"""
HOSTILE = {
    "comment": (
        "<!-- <form method=post> --><form method=post></form><!-- > <form method=post><!-- --!><form"
        " method=post></form>"
    ),
    "comments": (
        "<!--><form method=post></form>--><!---><form method=post></form>--><!----!><form"
        " method=post></form><!-x><form method=post>"
    ),
    "bogus": (
        "<? <form method=post> ?><form method=post></form><!x <form method=post></form></ <form"
        " method=post></form><!DOCTYPE '><form method=post>"
    ),
    "script": (
        "<script>'<form method=post>'</script ><form method=post></form><script>a</scriptx><form"
        " method=post></script/><form method=post>"
    ),
    "script-escaped": "<script><!-- <script> </script> <form method=post> --></script><form method=post></form>",
    "script-unescaped": "<script><!-- <scriptx> </script><form method=post></form> --></script>",
    "script-dashes": (
        "<script><!-- <script>--></script><form method=post></form><script><!--<script </script <form"
        " method=post>--!></script></script>"
    ),
    "raw": (
        "<style><form method=post></style><form method=post></form><xmp><form method=post></xmpx></xmp><iframe><form"
        " method=post></iframe><noembed><form method=post></noembed><noframes><form"
        " method=post></noframes><title><form method=post></title>"
    ),
    "textarea": (
        "<form method=post><textarea></form><form method=post></textarea \n x='>'><b></form><form method=post>x"
    ),
    "quotes": (
        "<a title='<form method=post>' b=\"<form method=post>\" c=<form d=`<form method=post>`><form"
        " method=post></form>"
    ),
    "unclosed-quote": '<form method=post></form><a title="<form method=post></form>',
    "unclosed-tag": "<form method=post></form><form method=post",
    "unclosed-comment": "<form method=post></form><!-- <form method=post></form>",
    "nested": (
        "<form method=post><form method=post><div></form></div><form method=post><table><form"
        " method=post></form></table>"
    ),
    "nested-table": (
        "<table><form method=post><form method=post><tr><td><form method=post></td></form><tr><form"
        " method=post></table><form method=post>"
    ),
    "attributes": (
        "<form method=post method=get></form><form method=get method=post></form><form METHOD = 'POST'></form><form"
        ' method="post"action=/x></form><form/method=post></form><form method/=post></form><form'
        " =method=post></form><form method=post/></form><form\nmethod\n=\npost\n></form><form method='"
        " post'></form><form method=dialog></form><form method></form><form method=></form><form"
        " method=postal></form>"
    ),
    "entities": (
        "<form method='&#112;&#x6F;st'></form><form method='&#112ost'></form><form method='p&ost;'></form><form"
        " method='&#x70;OST&#0;'></form><form method=post action='&#x2f;&#47;evil.example/'></form><form method=post"
        " action='&sol;&bsol;evil.example'></form>"
    ),
    "actions": (
        "<form method=post action=''></form><form method=post action='/&uuml;\u00fc'></form><form method=post"
        " action='?a=1&copy=2'></form><form method=post action='#'></form><form method=post"
        " action='http://{host}/x'></form><form method=post action='//{host}'></form><form method=post action=' "
        " \n/x'></form><form method=post action='//evil.example/'></form><form method=post"
        " action='http://evil.example'></form><form method=post action='\\\\evil.example'></form><form method=post"
        " action='ht\ntp://evil.example'></form><form method=post action='http:////evil.example/'></form><form"
        " method=post action='mailto:a@b'></form><form method=post action='javascript:void(0)'></form><form"
        " method=post action='http://{host}@evil.example/'></form><form method=post"
        " action='/\t/evil.example/'></form><form method=post action='&Tab;//evil.example'></form><form method=post"
        " action='http&colon;//evil.example'></form>"
    ),
    "base": (
        "<head><base target=x><base href='//evil.example/'></head><form method=post></form><form method=post"
        " action=''></form><form method=post action='x'></form><form method=post"
        " action='http://{host}/x'></form><base href=/>"
    ),
    "nul": (
        "<fo\0rm method=post></fo\0rm><form\0 method=post></form\0><form method=po\0st></form><form"
        " method=post></form><\0form method=post>"
    ),
    "huge-attribute": (
        "<form data-x='"
        + "<form method=post>" * 9000
        + "' method=post></form><form method='"
        + "post" * 100
        + "'></form><form method=post action='"
        + "/x" * 3000
        + "'></form><form "
        + "y" * 5000
        + "=1 method=post></form>"
    ),
    "huge-names": (
        "<"
        + "form" * 1000
        + " method=post><form method=post></form><svg><"
        + "g" * 500
        + "></"
        + "g" * 500
        + "></svg><form method=post>"
    ),
    "template": (
        "<template><form method=post></form><template></template><form method=post></template><form"
        " method=post></form></template>"
    ),
    "template-form": (
        "<form method=post><template></form><form method=post></template><form method=post></form><form method=post>"
    ),
    "svg": (
        "<svg><title><form-x>a</title><style><form method=post></style><script><form method=post></script><form"
        " method=post/><g><path/></g></svg><form method=post>"
    ),
    "svg-title": (
        "<svg><title>a &lt; b<b>c</b></title><desc>d</desc><g/></svg><form method=post></form><svg/><form"
        " method=post></form><svg><g></svg><form method=post>"
    ),
    "svg-breakout": (
        "<svg><g><p><form method=post></form><svg><desc><svg><div><style><form method=post></style></div></svg>"
    ),
    "svg-cdata": (
        "<svg><![CDATA[ > <form method=post> ]]></svg><form method=post></form><![CDATA[ > <form method=post></form>"
        " ]]><form method=post>"
    ),
    "svg-object": "<svg><foreignObject><div><span>a</span></div></foreignObject><g/></svg><form method=post>",
    "math": (
        "<math><mi>x<b>y</b></mi><mo><mglyph/></mo><ms><br></ms><mrow><style><form"
        " method=post></style></mrow></math><form method=post>"
    ),
    "math-svg": "<math><svg><title><style></title></svg></math><form method=post></form>",
    "in-paragraph": "<p>a<form method=post>b<p>c</form>d<ul><li><form method=post><li></ul></form><form method=post>",
    "after-body": "<body></body></html><form method=post></form>",
    "in-head": "<head><form method=post></head><title><form method=post></title><body></form>",
    "misnested": (
        "<b><form method=post><i></b></form></i><a><form method=post><a></form><button><form"
        " method=post></button></form>"
    ),
    "slashes": (
        "<form method=post / ></form><br/><form method=post action=/x/></form><//form><form"
        " method=post></form></form/><form method=post>"
    ),
    "crlf": "<form\r\nmethod\r=\r\n'post'\r>\r\n</form\r\n><form\fmethod=post\f></form>",
    "less": "a < b <<form method=post></form> <3 <=form method=post> <form method=post>",
    "outside": (
        "<form method=post id=f action=/x></form><button form=f>x</button><input form=f name=a><form id=g></form>"
        "<button form=g formmethod=post>y</button>"
    ),
    "get-with-post-button": (
        "<form method=get><button formmethod=post formaction=/x>x</button></form><form><input type=submit"
        " formmethod=post></form><form method=post><button formmethod=dialog>x</button></form>"
    ),
    "foster": (
        "<table>x<form method=post action=/a></form><tr><form method=post action=/b><td><input name=c></td></form>"
        "</tr><b><form method=post action=/c></b></table></form><form method=post>"
    ),
    # Elements like <i> are open in what a form closes; a browser opens them again before the next text, or an <input>.
    "reopened-paragraph": "<p><i>a<form method=post><h1>b</h1></form><form method=post><b>",
    "reopened-division": "<div><b><font color=red>a</div><form method=post><ul><li>b</ul></form><p>c",
    "reopened-table": "<p><font><form method=post><table><tr><td><input name=a><td>b</table></form><p>c",
    "reopened-button": "<div><tt><u>a</div><form method=post><div><button>b<i>c</button>d</div></form>",
    "reopened-select": "<li><a href=x>a<li><form method=post><h2></h2><select><option>a</select></form>",
    "reopened-script": "<p><em>a<form method=post><script>b<i></script><!-- c --><style>d</style><hr>e</form>",
    "formmethod": (
        "<form><button formmethod=post>x</button></form><form method=post><button formmethod=get"
        " formaction=//evil.example>x</button></form>"
    ),
    "select": "<form method=post><select><option>a<option>b<optgroup></select></form><form method=post></form>",
    "empty": "",
    "no-form": "<p>nothing",
}
# Browsers of different years disagree about these, or they take more of the tree than the filter keeps.
UNSURE = {
    "reopened-empty": "<p><a href=x>a<form method=post></form>",
    "reopened-template": "<p><i>a<form method=post><template>b</template><svg><title>c</title></svg></form>",
    "select-form": "<form method=post></form><select><form method=post></select><form method=post>",
    "select-style": "<select><style></select><form method=post></style><form method=post>",
    "select-end": "<form method=post><select></form><form method=post></select><form method=post>",
    "plaintext": "<form method=post></form><plaintext><form method=post>",
    "frameset": "<frameset><form method=post><style></frameset><form method=post></style>",
    "svg-unclosed": "<div><svg></div><style><form method=post></style><form method=post>",
    "object-form": "<svg><foreignObject><form method=post></form></foreignObject></svg><form method=post>",
    "object-misnested": (
        "<svg><foreignObject><p><form method=post></foreignObject><style><form method=post></style></svg><form"
        " method=post>"
    ),
    "font": "<svg><font color=red><style><form method=post></style></font></svg><form method=post>",
    "annotation": (
        "<math><annotation-xml encoding='text/html'><style><form method=post></style></annotation-xml></math><form"
        " method=post>"
    ),
    "escape": "<form method=post></form>\x1b$B<form method=post>\x1b(B",
}
XML = {
    "plain": (
        "<form method='post' action='x'><p><input type='text' name='a'/></p></form><form method='get'><p/></form>"
    ),
    "raw": (
        "<script>//<![CDATA[\n'<form method=\"post\">'//]]>\n</script><style><!-- <form method='post'>"
        " --></style><form method='POST'><p/></form>"
    ),
    "case": "<FORM method='post'></FORM><form method='p&#111;st'></form><form Method='post'></form>",
    "inner": (
        "<template><form method='post'></form></template><svg xmlns='http://www.w3.org/2000/svg'><form"
        " method='post'></form></svg><form method='post'><form method='post'></form></form>"
    ),
    "instruction": "<?x <form method='post'> ?><form method='post'></form>",
}

# A form without an end tag has no room for a field; a prefix could be bound to anything.
XML_WITHOUT = {
    "closed": "<form method='post'/><form method='post'></form>",
    "prefixed": "<x:form xmlns:x='http://www.w3.org/1999/xhtml' method='post'></x:form>",
}


def page(body):
    return body if "<!DOCTYPE" in body[:20] or "<frameset" in body else "<!DOCTYPE html>" + body


def xml(body):
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n<html'
        f' xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title></head><body>{body}</body></html>'
    )


def pages(host):
    """{name: bytes} of the pages in which the filter finds every form, for a server of this name."""
    found = {"wordpress": WORDPRESS, "mediawiki": MEDIAWIKI, "phpbb": PHPBB}
    found.update({name: page(body) for name, body in HOSTILE.items()})
    return {name: body.replace("{host}", host).encode() for name, body in found.items()}


def unsure_pages():
    return {name: page(body).encode() for name, body in UNSURE.items()}


def xml_pages(of=XML):
    return {name: xml(body).encode() for name, body in of.items()}


PIECES = [
    '<form method=post>', '<form method=post>', '<form method=post>', '</form>', '</form>', '<form>', '<p>', '</p>',
    '<div>', '</div>', '<table>', '</table>', '<tr>', '<td>', '</td>', '<b>', '</b>', 'text', '<!--', '-->', '--!>',
    '<!', '>', '"', "'", '<', '/', '<script>', '</script>', '<style>', '</style>', '<textarea>', '</textarea>',
    '<title>', '</title>', '<noscript>', '</noscript>', '<svg>', '</svg>', '<svg/>', '<math>', '</math>', '<mi>',
    '</mi>', '<desc>', '</desc>', '<g>', '<g/>', '</g>', '<foreignObject>', '</foreignObject>', '<![CDATA[', ']]>',
    "<a title='", '<a title="', '<input name=a>', '<br>', '<br/>', '</body>', '<li>', '<ul>', '</ul>', '<button>',
    '</button>', '<h1>', '</h1>', '</br>', '<span>', '</span>', '<iframe>', '</iframe>', '<xmp>', '</xmp>',
    '<select>', '</select>', '<option>', '<caption>', '<col>', '<tbody>', '<caption>', '<i>', '<a>', '</a>',
    '<nobr>', '<head>', '<body>', '<html>', '<dd>', '<object>', '</object>', '<mtext>', '<ms>', '<pre>', '</pre>',
    '<!-->', '<scripT>', '</Script >', '&lt;', '\x00',
]


def soup(seed, without=()):
    """A page of pieces in an order of chance; the same for the same seed."""
    chance = random.Random(seed)
    pieces = [piece for piece in PIECES if not any(word in piece for word in without)]
    return ("<!DOCTYPE html>" + "".join(chance.choice(pieces) for _ in range(chance.randint(5, 40)))).encode()

# SPDX-License-Identifier: Apache-2.0
"""The documents as a site: check_site.py FOLDER, which `make html` has made. Called by `make html-check`.

Every link and anchor leads somewhere within the folder, every page can be reached from the first one and is in the
navigation of each, no identity stands twice, and nothing is fetched from elsewhere or run.
"""
import html.parser
import os
import posixpath
import sys
import urllib.parse

LEAST = 30
FETCHING = {"script", "img", "iframe", "object", "embed", "audio", "video", "source"}
ADDRESSES = {"href", "src", "action", "data", "srcset"}


class Page(html.parser.HTMLParser):
    """What of a page matters here: identities, links, headings, the links of its navigation."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.pages, self.faults, self.levels = [], [], [], [], []
        self.title, self.here, self.within = "", 0, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag == "nav" or self.within:
            self.within.append(tag)
        if "id" in named:
            self.ids.append(named["id"])
        if tag in FETCHING or any(name.startswith("on") for name in named):
            self.faults.append(f"<{tag}> runs or fetches something")
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6") and not self.within:
            self.levels.append(int(tag[1]))
        for name in ADDRESSES & set(named):
            (self.pages if self.within and tag == "a" else self.links).append((tag, named[name]))
        self.here += "aria-current" in named

    def handle_endtag(self, tag):
        if self.within:
            self.within.pop()

    def handle_data(self, data):
        if self.lasttag == "title":
            self.title += data.strip()


def read(folder):
    pages, others = {}, set()
    for top, _, names in os.walk(folder):
        for name in names:
            place = posixpath.normpath(os.path.relpath(os.path.join(top, name), folder))
            if name.endswith(".html"):
                with open(os.path.join(top, name), encoding="utf-8") as file:
                    pages[place] = Page(file.read())
            else:
                others.add(place)
    return pages, others


def leads_to(place, address):
    """(the place within the site, the anchor), or None for an address elsewhere."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    path = urllib.parse.unquote(parts.path)
    target = posixpath.normpath(posixpath.join(posixpath.dirname(place), path)) if path else place
    return target, urllib.parse.unquote(parts.fragment)


def faults_of_link(place, tag, address, pages, others):
    led = leads_to(place, address)
    if led is None:
        if tag != "a":
            yield f"{address} is fetched from elsewhere"
        return
    target, anchor = led
    if target not in pages and target not in others:
        yield f"{address} leads nowhere"
    elif anchor and (target not in pages or anchor not in pages[target].ids):
        yield f"{address} has no such anchor"


def faults_of(place, page, pages, others):
    yield from page.faults
    for name in {name for name in page.ids if page.ids.count(name) > 1}:
        yield f"the identity {name} stands twice"
    for tag, address in page.links + page.pages:
        yield from faults_of_link(place, tag, address, pages, others)
    if not page.title:
        yield "has no title"
    if page.levels.count(1) != 1 or page.levels[:1] != [1]:
        yield "has not one heading of level 1, and that first"
    for above, below in zip(page.levels, page.levels[1:]):
        if below > above + 1:
            yield f"a heading of level {below} stands under one of level {above}"
    if page.here != 1:
        yield f"is marked {page.here} times in its navigation"
    missing = set(pages) - {leads_to(place, address)[0] for _, address in page.pages}
    if missing:
        yield f"its navigation lacks {', '.join(sorted(missing))}"


def main(folder):
    pages, others = read(folder)
    findings = [f"{place}: {fault}" for place in sorted(pages)
                for fault in faults_of(place, pages[place], pages, others)]
    linked = {leads_to(place, address) for place, page in pages.items() for _, address in page.links + page.pages}
    linked = {led[0] for led in linked if led}
    findings += [f"{place}: nothing leads to it" for place in sorted(others - linked)]
    titles = [page.title for page in pages.values()]
    findings += [f"{title}: is the title of several pages" for title in set(titles) if titles.count(title) > 1]
    if len(pages) < LEAST or "index.html" not in pages:
        findings.append(f"{folder}: has {len(pages)} pages only, or no index.html")
    for finding in findings:
        print(f"site: {finding}", file=sys.stderr)
    count = sum(len(page.links) + len(page.pages) for page in pages.values())
    print(f"site: {len(pages)} pages, {count} links, {len(findings)} findings")
    return 1 if findings else 0


sys.exit(main(sys.argv[1]))

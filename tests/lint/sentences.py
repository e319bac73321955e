# SPDX-License-Identifier: Apache-2.0
"""How long are the sentences of the documents and of the comments that people read as documents?

Prints for each document the number of its sentences, and the median and the 90th percentile of their words. A median
above the limit is a finding. So are too many sentences of more than LONG words, and a document that is not there. The
comments of a room of src count as one document. Code blocks, tables, headings and link targets are left out. Code in a
line counts as one word. A list item, a paragraph and a comment end a sentence.
"""
import re
import statistics
import sys

import source

LIMIT = 17
COMMENTS = 15  # the limit of a room's comments; it only falls
LONG, SHARE = 25, 5  # words; of a hundred sentences so many may have more, and one of any document
# Where a reader comes to understand, not to look up.
STRICTER = {"docs/internals/": 15}
# Each of these must be there, and each folder must have at least one document.
NAMED = ("README.md", "CHANGES.md", "CONTRIBUTING.md", "SECURITY.md", "docs/design.md", "docs/manual.md",
         "docs/operations.md", "docs/security.md", "docs/stores.md")
FOLDERS = (("docs", ".md"), ("conf", ".conf"), ("include", ".h"))
# Documents that are still to be rewritten, with the median that they must not exceed. Lines only go.
CEILINGS = {}
SHORTEST = 3  # what has fewer words is a label

FENCE = re.compile(r"^\s*```")
ITEM = re.compile(r"^\s*(?:[*-]|\d+\.)\s+")
CODE = re.compile(r"`[^`]*`")
LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
MARKUP = re.compile(r"<!--.*?-->|</?\w+[^>]*>", re.DOTALL)
END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)[.!?][\"')*_\]]*(?=\s|$)")
WORD = re.compile(r"[^\W_]")
DIRECTIVE = re.compile(r"^[A-Z]\w+ \S|^</?[A-Z]")  # a directive that is commented out
WHERE = re.compile(r"\bWhere: [^.]*[.]?\w*")  # in which places a directive may stand
RULER = re.compile(r"-{4,}")
ASTERISK = re.compile(r"^[ \t]*\*[ \t]?", re.MULTILINE)


def blocks_of_markdown(text):
    """Paragraphs and list items, each as one line."""
    block, fenced = [], False
    for line in MARKUP.sub("", text).splitlines() + [""]:
        fence = FENCE.match(line)
        fenced = fenced != bool(fence)
        starts = bool(ITEM.match(line))
        ends = not line.strip() or line.lstrip().startswith(("|", "#", ">")) or fence or fenced
        if (starts or ends) and block:
            yield " ".join(block)
            block = []
        if not ends:
            block.append(ITEM.sub("", line).strip())


def blocks_of_conf(text):
    """Comments, without the directives that stand in them."""
    block = []
    for line in text.splitlines() + [""]:
        words = WHERE.sub("", line.strip()[1:]).strip() if line.lstrip().startswith("#") else ""
        if not words or DIRECTIVE.match(words) and not words.endswith(".") or RULER.search(words):
            if block:
                yield " ".join(block)
            block = []
        else:
            block.append(words)


def blocks_of_header(text):
    """Comments of C; lines that follow each other with // are one."""
    joined = re.sub(r"\n[ \t]*//", " ", text)
    for comment in re.findall(r"/\*(.*?)\*/|//([^\n]*)", joined, re.DOTALL):
        for part in re.split(r"\n\s*\n|\n\s*-\s", ASTERISK.sub("", "".join(comment))):
            if not RULER.search(part) and not re.search(r"^\s*\d+\s+\d+\s", part, re.MULTILINE):  # no ruler, no table
                yield part


READERS = {".md": blocks_of_markdown, ".conf": blocks_of_conf, ".h": blocks_of_header}


def words_of(block):
    """How many words each sentence of a block has."""
    plain = LINK.sub(r"\1", CODE.sub("code", block))
    counts = (sum(bool(WORD.search(word)) for word in sentence.split()) for sentence in END.split(plain))
    return [count for count in counts if count >= SHORTEST]


def limit_of(path):
    usual = next((limit for folder, limit in STRICTER.items() if path.startswith(folder)), LIMIT)
    return CEILINGS.get(path, usual)


def too_many_long(path, counts, findings):
    long = sum(count > LONG for count in counts)
    if long > max(1, len(counts) * SHARE // 100):
        findings.append(f"{path}:1: {long} of {len(counts)} sentences have more than {LONG} words, "
                        f"the limit is {SHARE} in a hundred")


def measure_comments(findings):
    """The comments of each room of src, as one document."""
    rooms = {}
    for path in source.files("src", ends=(".c", ".h")):
        counts = [count for block in blocks_of_header(source.text_of(path)) for count in words_of(block)]
        rooms.setdefault(path.rpartition("/")[0], []).extend(counts)
    for room, counts in rooms.items():
        median = statistics.median(counts) if counts else 0
        print(f"{room:40} {len(counts):5} sentences, median {median:4.1f}")
        if median > COMMENTS:
            findings.append(f"{room}:1: half of the sentences in comments have more than {median:g} words, "
                            f"the limit is {COMMENTS}")
        too_many_long(room, counts, findings)
    if not rooms:
        findings.append("src:1: has no source with comments")
    return sum(map(len, rooms.values()))


def documents(findings):
    paths = [path for path in NAMED if source.files(path)]
    findings += [f"{path}:1: there is no such document" for path in NAMED if path not in paths]
    for folder, ending in FOLDERS:
        found = source.files(folder, ends=(ending,))
        findings += [] if found else [f"{folder}:1: has no document *{ending}"]
        paths += [path for path in found if path not in paths]
    return paths


def measure(path, findings):
    read = READERS[path[path.rindex("."):]]
    counts = sorted(count for block in read(source.text_of(path)) for count in words_of(block))
    if not counts:
        findings.append(f"{path}:1: has no sentence")
        return 0
    median, limit = statistics.median(counts), limit_of(path)
    ninth = counts[len(counts) * 9 // 10]
    print(f"{path:40} {len(counts):5} sentences, median {median:4.1f}, 90th percentile {ninth:3}")
    if median > limit:
        findings.append(f"{path}:1: half of the sentences have more than {median:g} words, the limit is {limit}")
    too_many_long(path, counts, findings)
    if "--show" in sys.argv[1:]:
        show(path, read, limit)
    return len(counts)


def show(path, read, limit):
    """With --show: the sentences that are longer than the limit."""
    for block in read(source.text_of(path)):
        for sentence in re.split(r"(?<=[.!?])\s", " ".join(block.split())):
            if sum(words_of(sentence)) > limit:
                print(f"    {sum(words_of(sentence))}: {sentence}")


def main():
    findings = []
    looked_at = sum(measure(path, findings) for path in documents(findings))
    looked_at += measure_comments(findings)
    source.finish("sentences", findings, looked_at, "sentences")


main()

# SPDX-License-Identifier: Apache-2.0
"""A directive is a row of the option table, a member of the settings, a paragraph in conf/ and one in the manual: no
more, no less.

The table is src/http/config/config_options.def; httpd's command table is made of the same rows. A directive has the
same name, default, bounds and places everywhere, and no page speaks of a directive that does not exist.
"""
import re

import source

TABLE, HEADER, COMMANDS = "src/http/config/config_options.def", "src/http/config/config.h", "src/http/config/config.c"
CONF, MANUAL = "conf/idempotency.conf", "docs/manual.md"
PAGES = (CONF, MANUAL, "README.md")

STRING = r'"((?:[^"\\]|\\.)*)"'
STRINGS = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'  # of one value: the compiler joins them
ROW = re.compile(r"^OPTION\((\w+), (\w+), (\w+), %s, (\w+), (\w+),\s+%s,\s+%s(.*?)\)$" % (STRING, STRINGS, STRING),
                 re.MULTILINE | re.DOTALL)
NAME = re.compile(r"\bIdempotency[A-Z]\w*")
NOT_DIRECTIVES = {"stores"}  # filled by http/stores.c
CONF_PLACE = {"GLOBAL": "main server", "SERVER": "server", "LOCATION": "location", "HTACCESS": ".htaccess"}
MANUAL_PLACE = {"GLOBAL": ("server config", None),
                "SERVER": ("server config, virtual host", None),
                "LOCATION": ("server config, virtual host, directory", None),
                "HTACCESS": ("server config, virtual host, directory, .htaccess", "FileInfo")}


class Option:
    def __init__(self, match, line):
        (self.block, self.first, self.last, self.name, self.where, self.type, self.preset, self.help,
         more) = match.groups()
        self.preset = "".join(re.findall(STRING, self.preset))
        self.line = line
        self.bounds = [value for _, value in re.findall(r'\.(min|max) = "([^"]*)"', more)]


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def options():
    text = source.text_of(TABLE)
    begun = [match.start() for match in re.finditer(r"^OPTION\(", text, re.MULTILINE)]
    rows = [Option(match, line_of(text, match.start())) for match in ROW.finditer(text)]
    return rows, [f"{TABLE}:{line_of(text, at)}: a row this check cannot read"
                  for at in begun if line_of(text, at) not in {row.line for row in rows}]


def members_of(struct):
    """The members of a settings struct, in order, each with its line."""
    text = source.text_of(HEADER)
    found = re.search(r"typedef struct %s \{\n(.*?)\n\} %s;" % (struct, struct), text, re.DOTALL)
    if not found:
        return []
    members = []
    for offset, line in enumerate(found.group(1).splitlines()):
        declaration = re.sub(r"/\*.*", "", line).strip().rstrip(";")
        members += [(name.strip(" *").split()[-1].lstrip("*"), line_of(text, found.start(1)) + offset)
                    for name in declaration.split(",") if name.strip()]
    return members


def check_members(block, struct, rows):
    """Every member belongs to exactly one row: else it is never set, or set by two directives."""
    members = members_of(struct)
    names, owners = [name for name, _ in members], {}
    if not names:
        yield f"{HEADER}:1: struct {struct} is not there"
    for row in (row for row in rows if row.block == block):
        if row.first not in names or row.last not in names:
            yield f"{TABLE}:{row.line}: {row.name} fills no member of {struct}"
            continue
        for name in names[names.index(row.first):names.index(row.last) + 1]:
            if name in owners:
                yield f"{TABLE}:{row.line}: {name} is already filled by {owners[name]}"
            owners[name] = row.name
    for name, line in members:
        if name not in owners and name not in NOT_DIRECTIVES:
            yield f"{HEADER}:{line}: no directive fills {name}"


def check_commands():
    """The commands are made of the rows, and there are no others."""
    text = source.text_of(COMMANDS)
    made = re.search(
        r"command_rec idem_commands\[\] = \{\n#define OPTION\([^)]*\)[\s\\\\]*(AP_INIT_).*?#include "
        r"\"config_options.def\"\n#undef OPTION\n\s*"
        r"\{\.name = NULL\}\s*\};", text, re.DOTALL)
    if not made:
        yield f"{COMMANDS}:1: idem_commands is no longer made of the option table alone"
    for path in source.files("src", "mod_idempotency.c", ends=(".c", ".h", ".def")):
        for match in re.finditer(r"\bAP_INIT_\w+", source.text_of(path)):
            if not (made and path == COMMANDS and match.start() == made.start(1)):
                yield f"{path}:{line_of(source.text_of(path), match.start())}: a command outside the option table"


def check_conf(rows):
    text = source.text_of(CONF)
    for row in rows:
        lines = list(re.finditer(r"^ *#%s\b(.*)$" % row.name, text, re.MULTILINE))
        if len(lines) != 1:
            yield f"{CONF}:1: #{row.name} stands there {len(lines)} times, not once"
            continue
        at = line_of(text, lines[0].start())
        if lines[0].group(1).strip() != row.preset:
            yield f"{CONF}:{at}: the default of {row.name} is \"{row.preset}\""
        said = text[:lines[0].start()].rpartition("\n\n")[2]
        if not re.search(r"Where: %s$" % re.escape(CONF_PLACE[row.where]), said, re.MULTILINE):
            yield f"{CONF}:{at}: {row.name} lacks \"Where: {CONF_PLACE[row.where]}\""
        for bound in row.bounds:
            if not re.search(r"(?<![\w.])%s(?!\w)" % re.escape(bound), said):
                yield f"{CONF}:{at}: the bound {bound} of {row.name} is not said"


def manual_sections():
    """Heading -> (text, line) of every section that is about one directive."""
    text = source.text_of(MANUAL)
    found = list(re.finditer(r"^### (Idempotency\w+)$", text, re.MULTILINE))
    ends = [re.compile(r"^##", re.MULTILINE).search(text, match.end()) for match in found]
    return {match.group(1): (text[match.end():end.start() if end else len(text)], line_of(text, match.start()))
            for match, end in zip(found, ends)}


def check_section(row, text, line):
    context, override = MANUAL_PLACE[row.where]
    cells = dict(re.findall(r"^\| \*\*(\w+)\*\* \| (.*) \|$", text, re.MULTILINE))
    wanted = {"Default": f"`{row.name} {row.preset}`", "Context": context, "Override": override,
              "Status": "Extension", "Module": "mod_idempotency"}
    for key, value in wanted.items():
        if cells.get(key) != value:
            yield f"{MANUAL}:{line}: {row.name}: {key} must be {value!r}, not {cells.get(key)!r}"
    for key in ("Description", "Syntax"):
        if not cells.get(key):
            yield f"{MANUAL}:{line}: {row.name} lacks its {key}"
    if not cells.get("Syntax", "").startswith(f"`{row.name} "):
        yield f"{MANUAL}:{line}: {row.name}: the Syntax begins with the directive"
    for bound in row.bounds:
        if not re.search(r"(?<![\w.])%s(?!\w)" % re.escape(bound), text):
            yield f"{MANUAL}:{line}: {row.name}: the bound {bound} is not said"
    if "```" not in text:
        yield f"{MANUAL}:{line}: {row.name} lacks an example"


def check_manual(rows):
    sections = manual_sections()
    for row in rows:
        if row.name not in sections:
            yield f"{MANUAL}:1: no section about {row.name}"
        else:
            yield from check_section(row, *sections[row.name])
    for name in sections.keys() - {row.name for row in rows}:
        yield f"{MANUAL}:{sections[name][1]}: there is no directive {name}"


def check_mentions(rows):
    known = {row.name for row in rows}
    for path in source.files(*PAGES):
        text = source.text_of(path)
        for match in NAME.finditer(text):
            if match.group() not in known:
                yield f"{path}:{line_of(text, match.start())}: there is no directive {match.group()}"


def main():
    rows, findings = options()
    findings += check_members("here", "idem_settings", rows)
    findings += check_members("server", "idem_server_settings", rows)
    findings += check_commands()
    findings += check_conf(rows)
    findings += check_manual(rows)
    findings += check_mentions(rows)
    source.finish("options", findings, len(rows), "directives")


main()

# SPDX-License-Identifier: Apache-2.0
"""
The documents of docs/ are run: the code blocks of a page, each by the name behind its language.

```sh pay.sh begins the block "pay.sh". A block without a name is not for running.
"""
import re

import env

BLOCK = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """Name -> text, in the order of the page. No name stands there twice."""
    found = BLOCK.findall((env.REPO / "docs" / page).read_text(encoding="utf-8"))
    named = {name: text for _, name, text in found}
    assert found and len(named) == len(found), f"docs/{page} has no named blocks, or two of one name"
    return named


def write_blocks(page, folder):
    """Each block as a file of its name in the folder; their names."""
    named = blocks(page)
    for name, text in named.items():
        (folder / name).write_text(text, encoding="utf-8")
    return list(named)

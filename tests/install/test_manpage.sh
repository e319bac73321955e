#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manual as a man page: test_manpage.sh PAGE. Each section of the manual is in it, and man has nothing to warn of.
# Called by `make install-check`.
set -euo pipefail
page=$1
manual=$(cd "$(dirname "$0")/../.." && pwd)/docs/manual.md
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

MANWIDTH=100 man --warnings -E UTF-8 -l "$page" >"$scratch/text" 2>"$scratch/warned"
[ ! -s "$scratch/warned" ] || { cat "$scratch/warned" >&2; exit 1; }
sections=0
while read -r section; do
    sections=$((sections + 1))
    grep -qxF -e "$section" <(sed 's/^ *//' "$scratch/text") || { echo "manpage: $section is missing" >&2; exit 1; }
done < <(awk '/^```/ { in_code = !in_code } !in_code && /^##/ { sub(/^#+ /, ""); gsub(/`/, ""); print }' "$manual")
[ "$sections" -gt 40 ] || { echo "manpage: the manual has $sections sections only" >&2; exit 1; }
grep -q 'mod_idempotency - makes unsafe requests' "$scratch/text" || { echo "manpage: no NAME" >&2; exit 1; }
echo "manpage: $sections sections"

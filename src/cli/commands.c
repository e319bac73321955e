/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands.c - the commands of idemctl, a row each: name, arguments, help, the options it takes, and its function.
 *
 * Read by idemctl.c, which refuses what a row does not name and makes the help of it.
 */
#include "cli.h"

#define EXACT \
    "SLOT is the slot's 64 hexadecimal digits, or as many of the first ones as name one entry: a log line has eight."

const idem_command idem_commands_of_store[] = {
    {"list", "", "lists entries, one a line: slot, state, written, expires, attempt, status, bytes, replays",
     "With --json each line is an object. States: running, record, tombstone, unknown, damaged.", "eonpml", 0, 0,
     idem_cli_list},
    {"show", "SLOT", "shows one entry with everything that is known of it", EXACT, "b", 1, 1, idem_cli_show},
    {"find", "--key KEY --scope NAME=VALUE ...", "finds the entry of a key, and says which scope it used",
     "The slot is computed as the server does: by IdempotencyScope (--parts, \"host user\" unless given), the values "
     "that\n"
     "--scope names (others are absent), and the slot: secret (--secret). --key - reads the key from standard input.",
     "kcqrb", 0, 0, idem_cli_find},
    {"forget", "SLOT", "removes an entry: its key is free, and an operation that has run can run again",
     EXACT "\nA request that runs keeps its entry, unless --force is given.", "dvf", 1, 1, idem_cli_forget},
    {"resolve", "SLOT --as done|not-done|retry", "decides an unknown outcome",
     EXACT "\ndone: the operation was done; its key answers 409 response-not-kept from now on.\n"
           "not-done: it was not; its key is free.\n"
           "retry: the next request with this key and the same content runs, whatever IdempotencyInterrupted says.",
     "adv", 1, 1, idem_cli_resolve},
    {"sweep", "", "removes expired entries, as the server does by itself", NULL, "d", 0, 0, idem_cli_sweep},
    {"stats", "", "counts the entries of the store, and shows its state", NULL, "", 0, 0, idem_cli_stats},
    {"verify", "", "checks every entry: checksum, slot, form and, with --secret, seal; names the damaged ones",
     "Nothing is repaired, unless --forget-damaged is given: then damaged entries are removed, and their operations "
     "can run\n"
     "again. Exit code 6: there is damage.",
     "xd", 0, 0, idem_cli_verify},
    {"export", "", "writes the entries as lines of JSON, for import into any store",
     "Running requests and damaged entries stay behind and are counted. The last line says that the export is "
     "whole.",
     "eonpm", 0, 0, idem_cli_export},
    {"import", "[FILE]", "puts the entries of an export into a store; without FILE from standard input",
     "The store must have the mark of the same secret, or none yet. An entry that stands there stays. Lives go on "
     "where they\n"
     "were; sealed records are written anew with --secret only, and begin their lives anew without it.",
     "d", 0, 1, idem_cli_import},
    {"watch", "--url URL", "shows the outcome of each guarded request, as it ends", NULL, "l", 0, 0, idem_cli_watch},
    {.name = NULL}};

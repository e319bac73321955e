/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - shared by the files of idemctl: the command line as it was read, the ways to answer, and the commands.
 *
 *   idemctl.c   reads the command line by two tables, options and commands
 *   place.c     opens the store, or finds nothing there
 *   say.c       answers: text or JSON, a progress line, a pipe that closes
 *   entries.c   list, show, find, forget, resolve
 *   whole.c     stats, verify, sweep
 *   transfer.c  export, import
 *   remote.c    the commands over a server's admin API, and watch; wire.c: one request
 */
#ifndef IDEM_CLI_H
#define IDEM_CLI_H

#include "shown.h"

#include <apr_tables.h>

/* What the shell gets. docs/operations.md and idemctl(8) have them, too. */
typedef enum idem_exit {
    IDEM_EXIT_OK = 0,
    IDEM_EXIT_FAILED = 1,  /* the store or the server did not do it */
    IDEM_EXIT_USAGE = 2,   /* the command line is wrong */
    IDEM_EXIT_ABSENT = 3,  /* there is no such entry */
    IDEM_EXIT_REFUSED = 4, /* its owner lives, somebody else was faster, or its state does not go with it */
    IDEM_EXIT_UNABLE = 5,  /* this store cannot do that */
    IDEM_EXIT_DAMAGE = 6   /* verify has found some */
} idem_exit;

typedef struct idem_cli idem_cli;

typedef struct idem_command {
    const char *name, *arguments; /* "SLOT --as done|not-done|retry" */
    const char *help;             /* one line */
    const char *more;             /* for --help of the command; NULL for nothing */
    const char *options;          /* letters of the options it takes beside those of all commands */
    int least, most;              /* words behind it */
    idem_exit (*run)(idem_cli *cli);
} idem_command;

struct idem_cli {
    apr_pool_t *pool;
    const idem_command *command;
    int argc; /* words behind the command */
    const char *const *argv;

    /* where */
    const char *store, *secret, *become;
    const char *url, *user, *password_file; /* of an admin API; url NULL for a store */
    const char *password, *token;           /* … once they are known */
    apr_array_header_t *store_options;      /* of const char * */
    apr_interval_time_t timeout;

    /* how */
    int json, dry_run, force, body, raw, forget_damaged;
    apr_array_header_t *scope; /* of const char *: NAME=VALUE */
    const char *state, *older, *newer, *prefix, *replayed, *as, *key, *parts, *version;
    apr_int64_t limit; /* 0 for none */

    const unsigned char *mark; /* import: of the store that was exported */
    idem_front *front;         /* open while the command runs */
    apr_time_t progress_at;
    int progress_shown;
    int closed; /* nobody reads our answers any more */
};

extern const idem_command idem_commands_of_store[]; /* ends with a name of NULL */

/* ---- place.c ----------------------------------------------------------------------------------------------------- */

typedef enum idem_opening {
    IDEM_OPEN_TO_LOOK,
    IDEM_OPEN_TO_VERIFY, /* its files are looked at from end to end first */
    IDEM_OPEN_TO_FILL    /* it is made if it is not there, and gets cli->mark if it has none */
} idem_opening;

/* Opens cli->store. */
idem_exit idem_cli_open(idem_cli *cli, idem_opening how);
void idem_cli_close(idem_cli *cli);

/* ---- say.c ------------------------------------------------------------------------------------------------------- */

/* On standard error, behind "idemctl: ". Returns the code. */
idem_exit idem_cli_fail(idem_cli *cli, idem_exit code, const char *format, ...) __attribute__((format(printf, 3, 4)));
idem_exit idem_cli_exit_of(idem_done done);

/* On standard output. Returns 0 when nobody reads it any more. */
int idem_cli_say(idem_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int idem_cli_say_json(idem_cli *cli, json_t *json); /* in one line; takes the reference */
int idem_cli_say_view(idem_cli *cli, const idem_view *view, idem_shown_detail detail);
int idem_cli_say_row(idem_cli *cli, const idem_view *view);

void idem_cli_say_members(idem_cli *cli, json_t *json);
void idem_cli_flush(idem_cli *cli); /* for who waits for a line */

/* A line that is overwritten, on a terminal, at most five times a second; and its end. */
void idem_cli_progress(idem_cli *cli, const char *what, apr_uint64_t count);
void idem_cli_progress_end(idem_cli *cli);

/* ---- commands ---------------------------------------------------------------------------------------------------- */

idem_exit idem_cli_list(idem_cli *cli);
idem_exit idem_cli_show(idem_cli *cli);
idem_exit idem_cli_find(idem_cli *cli);
idem_exit idem_cli_forget(idem_cli *cli);
idem_exit idem_cli_resolve(idem_cli *cli);
idem_exit idem_cli_stats(idem_cli *cli);
idem_exit idem_cli_verify(idem_cli *cli);
idem_exit idem_cli_sweep(idem_cli *cli);
idem_exit idem_cli_export(idem_cli *cli);
idem_exit idem_cli_import(idem_cli *cli);
idem_exit idem_cli_watch(idem_cli *cli);

/* --key, or a line of standard input. */
const char *idem_cli_read_key(idem_cli *cli);

/* "10min" in microseconds; 0: it is no duration. */
apr_interval_time_t idem_cli_duration(const char *text);

/* What verify has found; and what an export had to leave behind, on standard error. */
void idem_cli_say_verdict(idem_cli *cli, const idem_tally *tally, apr_uint64_t removed);
void idem_cli_say_left_behind(apr_uint64_t running, apr_uint64_t damaged);

/* How often keys were sent again; NULL where the store keeps no count of it. */
apr_hash_t *idem_cli_again(idem_cli *cli);

/* The filter that the options say. */
idem_exit idem_cli_filter(idem_cli *cli, idem_filter *filter);

#endif

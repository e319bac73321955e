/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idemctl.c - the command line of administrators: reads options and command by two tables, opens the store, runs the
 * command.
 *
 * Exit codes are idem_exit's. What always holds: passwords and secrets are read from files, never from the command
 * line; a wrong command line touches no store.
 */
#include "remote.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_strings.h>

#ifndef IDEM_VERSION
#define IDEM_VERSION "?"
#endif

#define OF_ALL "sOSuUPRtjh"

static const apr_getopt_option_t options[] = {
    {"store", 's', 1, "URL of the store: lmdb:PATH, redis://…, memcache:…, dbd:… (lmdb:idempotency)"},
    {"option", 'O', 1, "an option of the store, NAME=VALUE, as in IdempotencyStore; may be repeated"},
    {"secret", 'S', 1, "file of IdempotencySecret"},
    {"become", 'u', 1, "user that root becomes (the owner of a local store)"},
    {"url", 'U', 1, "instead of a store: where a server has SetHandler idempotency-admin"},
    {"user", 'P', 1, "who asks there"},
    {"password-file", 'R', 1, "file with the password in its first line; without it the password is asked for"},
    {"timeout", 't', 1, "how long one call of the store may take (5s)"},
    {"json", 'j', 0, "answer in JSON"},
    {"state", 'e', 1, "only entries in these states, separated by commas"},
    {"older-than", 'o', 1, "only entries written longer ago: 10min, 24h, 7d"},
    {"newer-than", 'n', 1, "only entries written since"},
    {"prefix", 'p', 1, "only slots that begin with these digits"},
    {"replayed-more-than", 'm', 1, "only entries that were replayed more often than so many times"},
    {"limit", 'l', 1, "at most so many"},
    {"body", 'b', 0, "the response's body, too"},
    {"key", 'k', 1, "the key as the client sent it; - reads it from standard input"},
    {"scope", 'c', 1, "NAME=VALUE of a part of the scope; may be repeated"},
    {"parts", 'q', 1, "the value of IdempotencyScope (\"host user\")"},
    {"raw", 'r', 0, "the key is no header field: quotes are a part of it"},
    {"as", 'a', 1, "done, not-done or retry"},
    {"dry-run", 'd', 0, "only say what would be done"},
    {"if-version", 'v', 1, "only if the entry is still this version, as show prints it"},
    {"force", 'f', 0, "a request that runs loses its entry, too"},
    {"forget-damaged", 'x', 0, "remove damaged entries"},
    {"help", 'h', 0, "this"},
    {NULL, 0, 0, NULL}};

/* ---- help -------------------------------------------------------------------------------------------------------- */

static void list_options(const char *letters)
{
    for (const apr_getopt_option_t *o = options; o->name; o++)
        if (strchr(letters, o->optch))
            printf("  --%-16s %s\n", o->name, o->description);
}

static idem_exit help_of_command(const idem_command *command)
{
    printf("idemctl %s %s\n%s.\n", command->name, command->arguments, command->help);
    if (command->more)
        printf("%s\n", command->more);
    printf("\nOptions:\n");
    list_options(command->options);
    printf("\nOptions of all commands:\n");
    list_options(OF_ALL);
    return IDEM_EXIT_OK;
}

static idem_exit help_of_all(void)
{
    printf("idemctl " IDEM_VERSION ": looks into the store of mod_idempotency, and acts on it.\n\n"
           "idemctl COMMAND [OPTION ...]\n\nCommands:\n");
    for (const idem_command *c = idem_commands_of_store; c->name; c++)
        printf("  %-8s %s\n", c->name, c->help);
    printf("\nOptions of all commands:\n");
    list_options(OF_ALL);
    printf("\nidemctl COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 wrong command line, 3 no such entry,\n"
           "4 refused, 5 this store cannot do that, 6 damage was found.\n");
    return IDEM_EXIT_OK;
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

static const idem_command *find_command(const char *name)
{
    for (const idem_command *c = idem_commands_of_store; c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

static idem_exit take_limit(idem_cli *cli, const char *value)
{
    char *end;

    cli->limit = apr_strtoi64(value, &end, 10);
    if (cli->limit < 1 || *end)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "--limit takes a number from 1 on, not \"%s\"", value);
    return IDEM_EXIT_OK;
}

static idem_exit take_timeout(idem_cli *cli, const char *value)
{
    cli->timeout = idem_cli_duration(value);
    if (!cli->timeout)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "--timeout takes a duration: 5s, 1min, not \"%s\"", value);
    return IDEM_EXIT_OK;
}

/* Options with a text or without a value: where each goes. */
static const char **text_of_option(idem_cli *cli, int letter)
{
    switch (letter) {
    case 's': return &cli->store;
    case 'S': return &cli->secret;
    case 'u': return &cli->become;
    case 'U': return &cli->url;
    case 'P': return &cli->user;
    case 'R': return &cli->password_file;
    case 'e': return &cli->state;
    case 'o': return &cli->older;
    case 'n': return &cli->newer;
    case 'p': return &cli->prefix;
    case 'm': return &cli->replayed;
    case 'k': return &cli->key;
    case 'q': return &cli->parts;
    case 'a': return &cli->as;
    case 'v': return &cli->version;
    default: return NULL;
    }
}

static int *flag_of_option(idem_cli *cli, int letter)
{
    switch (letter) {
    case 'j': return &cli->json;
    case 'b': return &cli->body;
    case 'r': return &cli->raw;
    case 'd': return &cli->dry_run;
    case 'f': return &cli->force;
    case 'x': return &cli->forget_damaged;
    default: return NULL;
    }
}

static idem_exit obey_option(idem_cli *cli, int letter, const char *value)
{
    const char **text = text_of_option(cli, letter);
    int *flag = flag_of_option(cli, letter);

    if (!strchr(OF_ALL, letter) && !strchr(cli->command->options, letter)) {
        const apr_getopt_option_t *o = options;

        while (o->optch != letter)
            o++;
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "%s does not take --%s", cli->command->name, o->name);
    }
    if (text)
        *text = value;
    else if (flag)
        *flag = 1;
    else if (letter == 'O')
        APR_ARRAY_PUSH(cli->store_options, const char *) = value;
    else if (letter == 'c')
        APR_ARRAY_PUSH(cli->scope, const char *) = value;
    else
        return letter == 'l' ? take_limit(cli, value) : take_timeout(cli, value);
    return IDEM_EXIT_OK;
}

static idem_exit read_options(idem_cli *cli, int argc, const char *const *argv, int *wants_help)
{
    apr_getopt_t *os;
    const char *value;
    int letter;
    apr_status_t rv = apr_getopt_init(&os, cli->pool, argc, argv);

    if (rv != APR_SUCCESS)
        return IDEM_EXIT_FAILED;
    os->interleave = 1;
    while ((rv = apr_getopt_long(os, options, &letter, &value)) == APR_SUCCESS) {
        idem_exit code;

        if (letter == 'h') {
            *wants_help = 1;
            return IDEM_EXIT_OK;
        }
        code = obey_option(cli, letter, value);
        if (code != IDEM_EXIT_OK)
            return code;
    }
    cli->argc = argc - os->ind;
    cli->argv = os->argv + os->ind;
    return rv == APR_EOF ? IDEM_EXIT_OK : IDEM_EXIT_USAGE; /* getopt has said what is wrong */
}

static idem_exit read_command_line(idem_cli *cli, int argc, const char *const *argv, int *wants_help)
{
    idem_exit code;

    cli->command = find_command(argv[1]);
    if (!cli->command)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "there is no command \"%s\": idemctl --help lists them", argv[1]);
    code = read_options(cli, argc - 1, argv + 1, wants_help);
    if (code != IDEM_EXIT_OK || *wants_help)
        return code;
    if (cli->argc < cli->command->least || cli->argc > cli->command->most)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "usage: idemctl %s %s", cli->command->name, cli->command->arguments);
    return IDEM_EXIT_OK;
}

static int is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

static idem_exit run_command(idem_cli *cli)
{
    idem_exit code = IDEM_EXIT_OK;

    if (cli->url || cli->command->run == idem_cli_watch) {
        code = cli->url ? idem_cli_run_remote(cli) : idem_cli_watch(cli);
        idem_cli_flush(cli);
        return code;
    }
    if (cli->command->run != idem_cli_import) /* it has to read first */
        code = idem_cli_open(cli, cli->command->run == idem_cli_verify ? IDEM_OPEN_TO_VERIFY : IDEM_OPEN_TO_LOOK);
    if (code == IDEM_EXIT_OK)
        code = cli->command->run(cli);
    idem_cli_close(cli);
    if (fflush(stdout) != 0)
        cli->closed = 1;
    return code;
}

static idem_exit obey_command(idem_cli *cli, int argc, const char *const *argv)
{
    int wants_help = 0;
    idem_exit code;

    cli->store = "lmdb:idempotency";
    cli->timeout = apr_time_from_sec(5);
    cli->store_options = apr_array_make(cli->pool, 4, sizeof(const char *));
    cli->scope = apr_array_make(cli->pool, 4, sizeof(const char *));
    if (argc < 2) {
        help_of_all();
        return IDEM_EXIT_USAGE;
    }
    if (is_help(argv[1]))
        return argc > 2 && find_command(argv[2]) ? help_of_command(find_command(argv[2])) : help_of_all();
    if (!strcmp(argv[1], "--version"))
        return puts("idemctl " IDEM_VERSION) == EOF;
    code = read_command_line(cli, argc, argv, &wants_help);
    if (wants_help)
        return help_of_command(cli->command);
    return code == IDEM_EXIT_OK ? run_command(cli) : code;
}

int main(int argc, const char *const *argv)
{
    idem_cli cli = {.argc = 0};
    idem_exit code;

    if (apr_app_initialize(&argc, &argv, NULL) != APR_SUCCESS || apr_pool_create(&cli.pool, NULL) != APR_SUCCESS)
        return IDEM_EXIT_FAILED;
    signal(SIGPIPE, SIG_IGN); /* a write fails instead, and that is no error here */
    code = obey_command(&cli, argc, argv);
    apr_pool_destroy(cli.pool);
    apr_terminate();
    return (int)code;
}

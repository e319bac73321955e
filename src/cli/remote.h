/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.h - the commands that work on a server's admin API.
 */
#ifndef IDEM_REMOTE_H
#define IDEM_REMOTE_H

#include "cli.h"

/* One request below cli->url. answer is the caller's; what went wrong has been said. */
idem_exit idem_cli_ask(idem_cli *cli, const char *method, const char *path, const char *body, json_t **answer);

/* …, whose lines go to standard output as they come. last is the last one, the caller's. */
idem_exit idem_cli_pass_on(idem_cli *cli, const char *path, json_t **last);

/* The command, over the API. */
idem_exit idem_cli_run_remote(idem_cli *cli);

#endif

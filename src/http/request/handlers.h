/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handlers.h - where the handler of a request was named: by the server's configuration, or by an .htaccess file.
 */
#ifndef IDEM_HANDLERS_H
#define IDEM_HANDLERS_H

#include <httpd.h>

/* Has the server's configuration named r->handler? Where an .htaccess file was read on the way that could have, only a
 * SetHandler of the server's proves it. */
int idem_handler_is_the_servers(request_rec *r);

/* Was an .htaccess file read that has directives of a module which may say who the user is? */
int idem_htaccess_meddles(request_rec *r);

#endif

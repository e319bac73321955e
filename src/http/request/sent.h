/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sent.h - the header fields of a request as its client sent them, whatever modules did to them since.
 */
#ifndef IDEM_SENT_H
#define IDEM_SENT_H

#include <httpd.h>

/*
 * Once the configuration is read: engine_named says whether it turns the engine on anywhere, key_fields whether keys
 * come in these header fields (of const char *) and in no other way; else it is NULL.
 */
void idem_sent_begin(server_rec *main_server, int engine_named, const apr_array_header_t *key_fields);

/* post_read_request, before any other module: keeps the fields of a request that may come to be guarded. */
int idem_sent_keep(request_rec *r);

/* check_authn, before a module reads Authorization to authenticate somebody: is it still the field that the client
 * sent? */
int idem_sent_check(request_rec *r);

/* Was it, when somebody was last authenticated in r's chain? */
int idem_sent_was_checked(const request_rec *r);

/* The fields that were kept for the head of r's chain of internal redirects; where none were, those it has now. */
const apr_table_t *idem_sent_of(const request_rec *r);

/* Was r's chain seen to have no key, whatever the settings where it is served? Then it is never guarded. */
int idem_sent_is_keyless(const request_rec *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - the directives: one row per option, one setter per type; create, merge and preset are loops over the rows.
 *
 * Only config*.c sees unset values. idem_settings_of() gives settings that are complete and constant.
 */
#ifndef IDEM_CONFIG_H
#define IDEM_CONFIG_H

#include "condition.h"
#include "parts.h"

#include <ap_regex.h>

typedef enum idem_engine { IDEM_ENGINE_OFF, IDEM_ENGINE_ON, IDEM_ENGINE_DETECTION } idem_engine;
typedef enum idem_concurrent { IDEM_CONCURRENT_REJECT, IDEM_CONCURRENT_WAIT } idem_concurrent;
typedef enum idem_response_mode { IDEM_RESPONSE_BUFFER, IDEM_RESPONSE_STREAM } idem_response_mode;
typedef enum idem_interrupted { IDEM_INTERRUPTED_REFUSE, IDEM_INTERRUPTED_RETRY } idem_interrupted;
typedef enum idem_store_failure { IDEM_FAILURE_REFUSE, IDEM_FAILURE_BYPASS } idem_store_failure;
typedef enum idem_set_cookie { IDEM_COOKIE_AUTO, IDEM_COOKIE_KEEP, IDEM_COOKIE_OMIT } idem_set_cookie;

typedef struct idem_key_format {
    const char *spelled; /* "any", "uuid" or the expression */
    ap_regex_t *regex;   /* anchored at both ends; NULL for any */
} idem_key_format;

/* IdempotencyExcept: a request whose part matches, or that meets the condition, is not guarded. */
typedef struct idem_except_rule {
    idem_part part;
    ap_regex_t *regex;
    idem_condition condition; /* instead of the two, where it has an expression */
} idem_except_rule;

/* What holds where a request is served; sizes in bytes, durations in microseconds. Lists are never NULL. */
typedef struct idem_settings {
    int engine;                      /* idem_engine */
    apr_array_header_t *methods;     /* of const char * */
    apr_array_header_t *key_sources; /* of idem_part, in order */
    int require_key;
    int lookup;                     /* a client may ask for an outcome (lookup.h) */
    const idem_except_rule *except; /* NULL for none */
    const idem_key_format *key_format;
    apr_int64_t key_min, key_max;
    apr_array_header_t *scope;           /* of idem_part */
    apr_array_header_t *fingerprint;     /* of idem_part */
    apr_array_header_t *session_cookies; /* of const char *: patterns */
    const char *credentials_form;        /* …, written out behind what else decides about the part "credentials" */
    apr_array_header_t *stable_schemes;  /* of const char *, in lower case */
    apr_int64_t prefetch, spool;
    apr_int64_t ttl;
    apr_int64_t key_age;         /* how old a new key may be by its own time; 0: as old as it likes */
    unsigned key_times;          /* which times of its own a key may have (keytime.h), and whether it must have one */
    apr_int64_t max_keys;        /* new keys of one scope in a period; 0: as many as come */
    apr_int64_t max_keys_period; /* 0: as long as ttl */
    int concurrent;              /* idem_concurrent */
    apr_int64_t wait;            /* how long a duplicate waits at most */
    apr_int64_t max_run;         /* how long an execution may take before its outcome counts as unknown; 0: any time */
    int interrupted;             /* idem_interrupted */
    int store_failure;           /* idem_store_failure */
    apr_array_header_t *release_status; /* of const char *: "429", "5xx" */
    int mismatch_status;                /* 400, 409 or 422 */
    apr_array_header_t *problem_status; /* of const char *: "key-expired=412" (told.h) */
    apr_array_header_t *retry_after;    /* of const char *: "in-progress=3", 0 for none (told.h) */
    apr_int64_t max_response;
    int response;                     /* idem_response_mode */
    apr_array_header_t *omit_headers; /* of const char * */
    int set_cookie;                   /* idem_set_cookie */
    const char *replayed_header;      /* NULL for none */
    const char *status_header;        /* NULL for none */
    const char *help;                 /* NULL for none */
    const char *form_field;           /* the name of the hidden field that IDEMPOTENCY_FORM adds, and takes away */
} idem_settings;

/* What a server (virtual host) says. */
typedef struct idem_server_settings {
    const char *store_url;            /* "lmdb:idempotency" */
    int store_named;                  /* an administrator wrote IdempotencyStore */
    const char *store_place;          /* …, there: "line 12 of /etc/httpd.conf" */
    const char *const *store_options; /* "size=1G"…, NULL-terminated */
    const char *notify;               /* a program and its arguments; NULL for none */
    apr_int64_t notify_every;
    const char *secret; /* "file:PATH" or "exec:COMMAND"; NULL for none */
    apr_int64_t store_timeout;
    apr_int64_t lease;       /* on stores that several hosts share */
    apr_int64_t max_waiters; /* 0: a quarter of the workers */
    int admin_responses;     /* the admin API shows headers and bodies also without a secret */
    int metrics_in_htaccess; /* an .htaccess file may set the handler idempotency-metrics */
    void *stores;            /* http/stores.c keeps the server's front here */
} idem_server_settings;

/* The settings where r is served: they stand in r->per_dir_config, complete, so this costs nothing. Never NULL. */
const idem_settings *idem_settings_of(request_rec *r);

/* Is this one of IdempotencyMethods? */
int idem_guards_method(const idem_settings *settings, const char *method);

/* What holds in s where no section says otherwise. Final once the configuration has been read. */
const idem_settings *idem_defaults_of(server_rec *s);

/* What holds in one of its sections, other sections left aside; NULL if the section says nothing of ours. */
const idem_settings *idem_settings_within(server_rec *s, ap_conf_vector_t *section, apr_pool_t *pool);

/* The one option that decides everything. */
int idem_engine_of(request_rec *r);

/* Has the configuration (not an .htaccess file) turned the engine on anywhere? Forgotten by the former function. */
void idem_config_begin(apr_pool_t *pconf);
int idem_engine_named(void);

/*
 * The header fields that a key may come in, of const char *. NULL: it may come in another way, or a request without one
 * may have to be looked at. .htaccess files are not seen here.
 */
const apr_array_header_t *idem_key_fields(void);

/* Final once the configuration has been read; the same struct every time, and one for all virtual hosts that say
 * nothing. */
idem_server_settings *idem_server_settings_of(server_rec *s);

/*
 * Once the configuration is read: merges each <Directory> and <Location> with what holds in its server. Requests find
 * that done; they merge themselves where several sections say something, or an .htaccess file does.
 */
void idem_config_ready(server_rec *main_server, apr_pool_t *pconf);

/* For the module record. */
extern const command_rec idem_commands[];
void *idem_create_dir_config(apr_pool_t *pool, char *dir);
void *idem_merge_dir_config(apr_pool_t *pool, void *base, void *add);
void *idem_create_server_config(apr_pool_t *pool, server_rec *s);
void *idem_merge_server_config(apr_pool_t *pool, void *base, void *add);

#endif

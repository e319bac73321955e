/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_options.h - what the files of the configuration share: a row of the option table, and one layer of
 * configuration.
 *
 * Private to config*.c. The rows themselves stand in config_options.def.
 */
#ifndef IDEM_CONFIG_OPTIONS_H
#define IDEM_CONFIG_OPTIONS_H

#include "config.h"

typedef struct idem_option idem_option;
typedef struct idem_layer idem_layer;

/* The words behind a directive's name, unquoted; they live in cmd->pool. */
typedef struct idem_words {
    int count;
    const char *const *word;
} idem_words;

/*
 * One per type of value: reads words into the option's members of an empty layer. Returns NULL, or a sentence without
 * its subject, which is the directive's name: "must be between 1s and 400d, not \"0\"".
 */
typedef const char *idem_setter(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one);

/* Checks one word of a list, or a text; *kept is what stays of it. Returns as idem_setter does. */
typedef const char *idem_checker(apr_pool_t *pool, const char *word, const char **kept);

typedef struct idem_choice {
    const char *word; /* NULL ends the list; case does not matter */
    int value;
} idem_choice;

struct idem_option {
    const char *name;
    int index;       /* its own place in the table */
    int server;      /* belongs to a server, not to a directory or location */
    unsigned not_in; /* contexts in which it is refused, as ap_check_cmd_context() has them */
    idem_setter *set;
    apr_size_t at, size;   /* the members of idem_layer that it fills */
    const char *preset;    /* what holds where nothing is said, as an administrator would write it */
    const char *min, *max; /* bounds, as an administrator would write them; inclusive */
    const idem_choice *choices;
    idem_checker *check;
    idem_part_use use; /* a list of parts, not of names */
    int may_be_none;   /* the word "none" stands for the empty list, or for no text */
};

enum {
#define OPTION(block, first, last, name, where, type, preset, help, ...) IDEM_OPT_##first,
#include "config_options.def"
#undef OPTION
    IDEM_OPTIONS
};

/* A + or - word of a list; element is one element of the list it changes. */
typedef struct idem_change {
    int remove;
    const void *element;
} idem_change;

/*
 * What one section of the configuration says, or several merged. In the layer of a whole server, and in every layer
 * merged on top of it, an option that is not given has its preset. In the others it is zero.
 */
struct idem_layer {
    apr_uint64_t given; /* bit i: option i was given here */
    /* Of idem_change, in order: option i was given as changes to the outer list; else NULL. */
    apr_array_header_t *changes[IDEM_OPTIONS];
    idem_settings here;
    idem_server_settings server;

    /* Made once the configuration is read: what this section gives on top of that layer. NULL: merged per request. */
    const idem_layer *over;
    idem_layer *ready;
};

_Static_assert(IDEM_OPTIONS <= 64, "idem_layer.given has a bit for each option");

static inline void *idem_member(idem_layer *layer, const idem_option *option)
{
    return (char *)layer + option->at;
}

/* ---- types of values (config_set.c, config_list.c) --------------------------------------------------------------- */

idem_setter idem_set_choice;     /* int, one of .choices */
idem_setter idem_set_size;       /* apr_int64_t, bytes */
idem_setter idem_set_duration;   /* apr_int64_t, microseconds */
idem_setter idem_set_number;     /* apr_int64_t */
idem_setter idem_set_range;      /* two apr_int64_t */
idem_setter idem_set_text;       /* const char *, or NULL for none */
idem_setter idem_set_concurrent; /* concurrent … wait */
idem_setter idem_set_quota;      /* max_keys … max_keys_period */
idem_setter idem_set_key_age;    /* key_age … key_times */
idem_setter idem_set_key_format; /* const idem_key_format * */
idem_setter idem_set_except;     /* const idem_except_rule *, or NULL for none */
idem_setter idem_set_store;      /* store_url … store_options */
idem_setter idem_set_list;       /* apr_array_header_t * of const char *, or with .use of idem_part */

idem_checker idem_check_method, idem_check_cookie, idem_check_scheme, idem_check_status, idem_check_header,
    idem_check_header_folded, idem_check_help, idem_check_secret, idem_check_problem_status, idem_check_retry_after,
    idem_check_status_header, idem_check_form_field, idem_check_notify;

/* Reads a duration with its unit, microseconds. NULL, or why it is not one between min and max. */
const char *idem_read_duration(cmd_parms *cmd, const idem_option *bounds, const char *word, apr_int64_t *out);
int idem_parse_duration(const char *word, apr_int64_t *out);

/* NULL, or why there is not exactly one word. */
const char *idem_one_word(cmd_parms *cmd, const idem_words *words);

/* A new list in pool: list with changes applied in order. A name that is there already is not added again. */
apr_array_header_t *idem_list_changed(const idem_option *option, const apr_array_header_t *list,
                                      const apr_array_header_t *changes, apr_pool_t *pool);

#endif

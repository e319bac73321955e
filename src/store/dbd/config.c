/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - reads the address and the options of a store in a database.
 *
 *   dbd:pgsql:KEYWORD=VALUE …        as libpq has them
 *   dbd:mysql:NAME=VALUE,…           host port sock user pass dbname group
 *   dbd:sqlite3:PATH                 relative to the server's state folder
 *   options: table=NAME   password=file:PATH   connections=NUMBER
 *
 * The front calls it when it reads a configuration. It opens only the password's file. What always holds: no sentence
 * for the administrator contains a value of a parameter. Parameters that the client library would not understand are
 * refused here, since its own complaint would quote them. Limits: PostgreSQL's URIs are not taken.
 */
#include "dbd_private.h"
#include "password.h"
#include "fail.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>

#define NAME_MOST 128
#define CONNECTIONS_MOST 10000
#define USUAL_TABLE "idempotency"

/* A configuration being read. */
typedef struct reading {
    idem_dbd *store;
    apr_pool_t *pool;
    const char **why;
} reading;

#define wrong(r, ...) idem_wrong((r)->pool, (r)->why, __VA_ARGS__)

/* ---- PostgreSQL -------------------------------------------------------------------------------------------------- */

/* Reads one value, in quotes or not, and goes behind it; NULL if the quotes do not end. */
static const char *pgsql_value(reading *r, const char **at)
{
    const char *c = *at;
    char *value = apr_palloc(r->pool, strlen(c) + 1), *to = value;
    int quoted = *c == '\'';

    for (c += quoted; *c && (quoted ? *c != '\'' : !apr_isspace(*c)); c++) {
        if (*c == '\\' && c[1])
            c++;
        *to++ = *c;
    }
    *to = '\0';
    if (quoted && *c != '\'')
        return NULL;
    *at = c + quoted;
    return value;
}

/* KEYWORD [space] = [space]; NULL if there is no such thing. */
static const char *pgsql_keyword(reading *r, const char **at)
{
    const char *begin = *at, *end = begin;

    while (apr_isalpha(*end) || *end == '_')
        end++;
    *at = end + strspn(end, " \t");
    if (end == begin || **at != '=')
        return NULL;
    ++*at;
    *at += strspn(*at, " \t");
    return apr_pstrmemdup(r->pool, begin, (apr_size_t)(end - begin));
}

static apr_status_t read_pgsql(reading *r, const char *params)
{
    idem_dbd_config *config = &r->store->config;
    int bounded = 0;

    if (strstr(params, "://"))
        return wrong(r, "PostgreSQL's parameters are KEYWORD=VALUE with spaces between them, not a URI");
    for (const char *at = params + strspn(params, " \t"); *at; at += strspn(at, " \t")) {
        const char *keyword = pgsql_keyword(r, &at), *value = keyword ? pgsql_value(r, &at) : NULL;
        if (!value)
            return wrong(r,
                         "PostgreSQL's parameters are KEYWORD=VALUE with spaces between them: host=… dbname=… user=… "
                         "(a VALUE with spaces stands in single quotes)");
        if (strcmp(keyword, "password") == 0)
            config->password = value;
        bounded |= strcmp(keyword, "connect_timeout") == 0;
    }
    config->params = bounded ? params : apr_pstrcat(r->pool, params, config->engine->added, NULL);
    return APR_SUCCESS;
}

static const char *pgsql_quoted(reading *r, const char *value)
{
    char *quoted = apr_palloc(r->pool, 2 * strlen(value) + 1), *to = quoted;

    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            *to++ = '\\';
        *to++ = *value;
    }
    *to = '\0';
    return quoted;
}

/* ---- MySQL ------------------------------------------------------------------------------------------------------- */

#define MYSQL_ENDS " \r\n\t;|," /* of a value, for APR */

/* APR takes any beginning of a name for the name, and ignores what it does not know. */
static int is_mysql_name(const char *name, apr_size_t len)
{
    static const char *const names[] = {"host", "port", "sock", "user", "pass", "dbname", "group"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
            return 1;
    return 0;
}

static apr_status_t read_mysql(reading *r, const char *params)
{
    idem_dbd_config *config = &r->store->config;

    for (const char *at = params + strspn(params, MYSQL_ENDS); *at; at += strspn(at, MYSQL_ENDS)) {
        apr_size_t name = strcspn(at, "=" MYSQL_ENDS), value;
        if (at[name] != '=' || !is_mysql_name(at, name))
            return wrong(
                r, "MySQL's parameters are host= port= sock= user= pass= dbname= group= with commas between them");
        value = strcspn(at + name + 1, MYSQL_ENDS);
        if (strncmp(at, "pass", name) == 0)
            config->password = apr_pstrmemdup(r->pool, at + name + 1, value);
        at += name + 1 + value;
    }
    config->params = apr_pstrcat(r->pool, params, config->engine->added, NULL);
    return APR_SUCCESS;
}

/* ---- SQLite ------------------------------------------------------------------------------------------------------ */

static apr_status_t read_sqlite3(reading *r, const char *params)
{
    const char *folder = r->store->env->state_dir;

    if (!*params || *params == ':' || strncmp(params, "file:", 5) == 0)
        return wrong(r, "dbd:sqlite3:PATH needs the path of a file, not \"%s\"", params);
    r->store->config.path = *params == '/' || !folder ? params : apr_pstrcat(r->pool, folder, "/", params, NULL);
    r->store->config.params = r->store->config.path;
    return APR_SUCCESS;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static apr_status_t add_password(reading *r, const char *value)
{
    idem_dbd_config *config = &r->store->config;
    const char *password;
    apr_status_t rv;

    if (config->password)
        return wrong(r, "the address already has a password: remove it, or remove option password=");
    rv = idem_password_read("password", value, r->store->env, r->pool, &password, r->why);
    if (rv != APR_SUCCESS)
        return rv;
    if (config->path)
        return wrong(r, "SQLite has no passwords: remove option password=");
    if (config->engine == &idem_dbd_mysql && strpbrk(password, MYSQL_ENDS))
        return wrong(r, "APR's MySQL driver cannot pass a password with a space or one of \",;|\" in it");
    config->password = password;
    if (config->engine == &idem_dbd_mysql)
        config->params = apr_pstrcat(r->pool, config->params, ",pass=", password, NULL);
    else
        config->params = apr_pstrcat(r->pool, config->params, " password='", pgsql_quoted(r, password), "'", NULL);
    return APR_SUCCESS;
}

/* It becomes a part of statements: letters, digits and '_', with a schema before it or not. */
static int is_table(const char *name)
{
    int at_start = 1, dots = 0;

    for (const char *c = name; *c; c++) {
        if (*c == '.' && !at_start) {
            at_start = 1;
            dots++;
        }
        else if (apr_isalpha(*c) || *c == '_' || (apr_isdigit(*c) && !at_start))
            at_start = 0;
        else
            return 0;
    }
    return !at_start && dots <= 1 && strlen(name) <= NAME_MOST;
}

static apr_status_t read_connections(reading *r, const char *value)
{
    char *end;
    long number = strtol(value, &end, 10);

    if (!apr_isdigit(*value) || *end || number < 1 || number > CONNECTIONS_MOST)
        return wrong(r, "option connections=NUMBER takes 1 to %d, not \"%s\"", CONNECTIONS_MOST, value);
    r->store->config.connections = (int)number;
    return APR_SUCCESS;
}

static apr_status_t dbd_read_option(reading *r, const char *option)
{
    if (strncmp(option, "password=", 9) == 0)
        return add_password(r, option + 9);
    if (strncmp(option, "connections=", 12) == 0)
        return read_connections(r, option + 12);
    if (strncmp(option, "table=", 6) != 0)
        return wrong(r,
                     "a store in a database has the options table=NAME, password=file:PATH and connections=NUMBER, not "
                     "\"%s\"",
                     option);
    if (!is_table(option + 6))
        return wrong(r,
                     "option table=NAME takes letters, digits and \"_\", and SCHEMA. before them if needed, not \"%s\"",
                     option + 6);
    r->store->config.table = option + 6;
    return APR_SUCCESS;
}

/* ---- address ----------------------------------------------------------------------------------------------------- */

static const idem_dbd_engine *engine_of(const char *name, apr_size_t len)
{
    static const idem_dbd_engine *const engines[] = {&idem_dbd_pgsql, &idem_dbd_mysql, &idem_dbd_sqlite3};

    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
        if (strlen(engines[i]->name) == len && strncmp(engines[i]->name, name, len) == 0)
            return engines[i];
    return NULL;
}

static apr_status_t read_params(reading *r, const char *params)
{
    if (r->store->config.engine == &idem_dbd_pgsql)
        return read_pgsql(r, params);
    return r->store->config.engine == &idem_dbd_mysql ? read_mysql(r, params) : read_sqlite3(r, params);
}

apr_status_t idem_dbd_configure(idem_store **out, const idem_env *env, const char *rest, const char *const *options,
                                apr_pool_t *pool, const char **why)
{
    idem_dbd *store = apr_pcalloc(pool, sizeof(*store));
    reading r = {store, pool, why};
    apr_size_t name = strcspn(rest, ":");
    apr_status_t rv;

    store->super.flags = IDEM_OFFLINE;
    store->super.max_value = IDEM_DBD_VALUE_MAX;
    store->env = env;
    store->config.table = USUAL_TABLE;
    store->config.engine = rest[name] ? engine_of(rest, name) : NULL;
    *out = &store->super;
    if (!store->config.engine)
        return wrong(&r, "the address of a store in a database is dbd:pgsql:PARAMETERS, dbd:mysql:PARAMETERS or "
                         "dbd:sqlite3:PATH");
    rv = read_params(&r, apr_pstrdup(pool, rest + name + 1));
    for (; rv == APR_SUCCESS && options && *options; options++)
        rv = dbd_read_option(&r, *options);
    return rv;
}

/*
 * access.c - what a process needs to reach the database: APR's driver, the statements, the client library.
 *
 * Called when a process attaches, and by the process that open() starts. What always holds: nothing in here belongs to a
 * pool of the server's, since a thread that hangs in the client library may outlive detach(), and a child may end
 * while it hangs; for the same reason this code and the client library stay mapped once they have been used. Limits:
 * what the client library can do beyond APR is looked up by name, and done without where it is missing.
 */
#include "dbd_private.h"
#include "pools.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <dlfcn.h>
#include <time.h>

#define KEPT_FREE ((apr_size_t)256 << 10) /* bytes that a pool keeps for later; values may be far larger */

apr_int64_t idem_dbd_monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (apr_int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- statements ---------------------------------------------------------------------------------------------------- */

/* What may stand in a statement's text: its letter is how an order is asked for it. */
static const struct {
    const char *name, *format;
    char letter;
} parameters[] = {
    {":slot", "%pDb", 's'},  {":token", "%pDb", 't'}, {":seen", "%pDb", 'n'},
    {":value", "%pDb", 'v'}, {":lease", "%lld", 'l'}, {":ttl", "%lld", 'x'},
    {":last", "%lld", 'm'},  {":state", "%lld", 'i'}, {":most", "%lld", 'k'},
};

#define PARAMETERS ((int)(sizeof(parameters) / sizeof(parameters[0])))

static int parameter_at(const char *text, apr_size_t *len)
{
    *len = 1;
    while (apr_isalpha(text[*len]))
        ++*len;
    for (int i = 0; i < PARAMETERS; i++)
        if (strlen(parameters[i].name) == *len && strncmp(parameters[i].name, text, *len) == 0)
            return i;
    return -1;
}

/* "{t}", "{now}" or "{catalogue}". */
static const char *macro_at(const idem_dbd_config *config, const char *text, apr_size_t *len, apr_pool_t *pool)
{
    *len = strcspn(text, "}") + 1;
    if (strncmp(text, "{t}", 3) == 0)
        return config->table;
    return strncmp(text, "{now}", 5) == 0 ? config->engine->now : idem_dbd_mysql_catalogue(config->table, pool);
}

/* The text as apr_dbd_prepare() has it, and its parameters' letters in their order. */
static const char *translate(const idem_dbd_config *config, const char *text, const char **letters, apr_pool_t *pool)
{
    char order[IDEM_DBD_PARAMS_MOST + 1] = "";
    int count = 0;
    const char *out = "";

    while (*text) {
        apr_size_t plain = strcspn(text, ":{"), len = 1;
        int which = text[plain] == ':' ? parameter_at(text + plain, &len) : -1;
        const char *again = which >= 0 && config->engine->numbered ? strchr(order, parameters[which].letter) : NULL;
        const char *put = "";

        if (again)
            put = apr_psprintf(pool, "$%d", (int)(again - order) + 1);
        else if (which >= 0) {
            put = parameters[which].format;
            order[count++] = parameters[which].letter;
            order[count] = '\0';
        }
        else if (text[plain] == '{')
            put = macro_at(config, text + plain, &len, pool);
        out = apr_pstrcat(pool, out, apr_pstrmemdup(pool, text, plain), put, NULL);
        text += plain + (text[plain] ? len : 0);
    }
    *letters = apr_pstrdup(pool, order);
    return out;
}

/* ---- libraries ----------------------------------------------------------------------------------------------------- */

/* Keeps mapped what contains address; its handle finds the functions of what it depends on too. */
static void *pin(const void *address)
{
    Dl_info info;
    return dladdr(address, &info) && info.dli_fname ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE)
                                                    : NULL;
}

void *idem_dbd_function(const idem_dbd_access *access, const char *name)
{
    return access->library ? dlsym(access->library, name) : NULL;
}

/* APR keeps its drivers in the pool at the top of the one it is given first, and never finds them again when that ends: not in ours. */
static apr_status_t load(idem_dbd_access *access, idem_call *call)
{
    const idem_dbd_engine *engine = access->config.engine;
    apr_status_t rv = apr_dbd_init(call->pool);

    if (rv == APR_SUCCESS)
        rv = apr_dbd_get_driver(access->pool, engine->name, &access->driver);
    if (rv != APR_SUCCESS)
        return idem_dbd_fail(access, call, rv,
                             "APR's driver for %s is not installed, or cannot be loaded: Debian's package is %s",
                             engine->title, engine->package);
    access->library = pin(access->driver);
    pin((const void *)(apr_uintptr_t)&load);
    return APR_SUCCESS;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

apr_pool_t *idem_dbd_own_pool(void)
{
    apr_pool_t *pool = NULL;

    if (idem_pool_alone(&pool) == APR_SUCCESS)
        apr_allocator_max_free_set(apr_pool_allocator_get(pool), KEPT_FREE);
    return pool;
}

static void copy_config(idem_dbd_access *access, const idem_dbd *store)
{
    idem_dbd_config *config = &access->config;

    config->engine = store->config.engine;
    config->params = apr_pstrdup(access->pool, store->config.params);
    config->password = apr_pstrdup(access->pool, store->config.password);
    config->table = apr_pstrdup(access->pool, store->config.table);
    config->path = apr_pstrdup(access->pool, store->config.path);
    config->connections = store->config.connections;
}

apr_status_t idem_dbd_access_make(const idem_dbd *store, idem_call *call, idem_dbd_access **out)
{
    apr_pool_t *pool = idem_dbd_own_pool();
    idem_dbd_access *access;
    apr_status_t rv;

    if (!pool)
        return APR_ENOMEM;
    access = apr_pcalloc(pool, sizeof(*access));
    access->pool = pool;
    access->timeout = idem_dbd_timeout(store);
    atomic_init(&access->users, 1);
    atomic_init(&access->generation, 0);
    atomic_init(&access->hanging, 0);
    copy_config(access, store);
    for (int i = 0; i < IDEM_DBD_STATEMENTS; i++)
        if (access->config.engine->texts[i])
            access->texts[i] = translate(&access->config, access->config.engine->texts[i], &access->letters[i], pool);
    rv = load(access, call);
    if (rv == APR_SUCCESS)
        *out = access;
    else
        apr_pool_destroy(pool);
    return rv;
}

void idem_dbd_access_done(idem_dbd_access *access)
{
    if (atomic_fetch_sub(&access->users, 1) == 1)
        apr_pool_destroy(access->pool);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_idem_files.c - an example of a store that is a module of its own: a directory with one file for each slot.
 *
 *   LoadModule idem_files_module modules/mod_idem_files.so
 *   IdempotencyStore files:/srv/slots [sync=on|off]
 *
 * Includes idem_store.h, APR and httpd and nothing else of mod_idempotency; docs/stores.md walks through it. What
 * always holds: a file is one whole value, since only rename() replaces it. To replace it, a process holds the lock on
 * its slot's byte of the file "slots". Its modification time is when it was written or renewed, by this host's clock.
 * An owner lives as long as it holds its number's byte of the file "owners"; the kernel takes it from the dead. Limits:
 * one host and a local disk. each() and sweep() go through the whole directory. When the disk is full, not even a
 * tombstone can settle a lease. A clock that is set forward ends entries early.
 */
#include <httpd.h>
#include <http_config.h>

#include <ap_provider.h>
#include <apr_strings.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

extern module AP_MODULE_DECLARE_DATA __attribute__((visibility("default"))) idem_files_module;

/* ---- the whole directory ----------------------------------------------------------------------------------------- */

/* What is done with a slot's file: APR_SUCCESS to go on, APR_EOF to stop. The call's pool is for this file only. */
typedef apr_status_t file_job(files_store *store, idem_call *call, const unsigned char *slot, void *baton);

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum { NO_SLOT, WHOLE, UNFINISHED };

/* What kind of file has this name, and which slot it is about. */
static int kind_of(const char *name, unsigned char *slot)
{
    for (int i = 0; i < IDEM_SLOT_LEN; i++) {
        int high = digit(name[2 * i]), low = high < 0 ? -1 : digit(name[2 * i + 1]);
        if (low < 0)
            return NO_SLOT;
        slot[i] = (unsigned char)(high << 4 | low);
    }
    if (name[FILES_NAME] == '\0')
        return WHOLE;
    return strcmp(name + FILES_NAME, FILES_NEW) == 0 ? UNFINISHED : NO_SLOT;
}

/* most_kind: WHOLE, or UNFINISHED for those files too. */
static apr_status_t each_file(files_store *store, idem_call *call, int most_kind, file_job *job, void *baton)
{
    apr_status_t rv = APR_SUCCESS;
    int fd = openat(store->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    idem_call one = {.deadline = call->deadline};

    if (!dir)
        return idem_files_blame(call, "list the directory", errno);
    apr_pool_create(&one.pool, call->pool); /* a file's memory goes before the next one is read */
    while (rv == APR_SUCCESS && (entry = readdir(dir)) != NULL) {
        unsigned char slot[IDEM_SLOT_LEN];
        int kind = kind_of(entry->d_name, slot);

        apr_pool_clear(one.pool);
        if (kind != NO_SLOT && kind <= most_kind)
            rv = apr_time_now() < call->deadline ? job(store, &one, slot, baton) : APR_TIMEUP;
    }
    closedir(dir);
    if (one.why)
        call->why = apr_pstrdup(call->pool, one.why);
    apr_pool_destroy(one.pool);
    return rv == APR_EOF ? APR_SUCCESS : rv;
}

typedef struct visitor_job {
    idem_visitor *visitor;
    void *baton;
} visitor_job;

static apr_status_t show(files_store *store, idem_call *call, const unsigned char *slot, void *baton)
{
    visitor_job *job = baton;
    idem_found found;
    apr_status_t rv = idem_files_fetch(&store->super, call, slot, &found);

    if (rv == APR_NOTFOUND)
        return APR_SUCCESS;
    if (rv == APR_SUCCESS && !job->visitor(job->baton, slot, &found))
        return APR_EOF;
    return rv;
}

static apr_status_t files_each(idem_store *store, idem_call *call, idem_visitor *visitor, void *baton)
{
    visitor_job job = {visitor, baton};
    return each_file((files_store *)store, call, WHOLE, show, &job);
}

typedef struct sweep_job {
    int most, removed;
} sweep_job;

static apr_status_t sweep_one(files_store *store, idem_call *call, const unsigned char *slot, void *baton)
{
    sweep_job *job = baton;
    apr_status_t rv = idem_files_expire(store, call, slot);

    job->removed += rv == APR_SUCCESS;
    if (rv == APR_EEXIST || rv == APR_NOTFOUND)
        rv = APR_SUCCESS;
    return rv == APR_SUCCESS && job->removed >= job->most ? APR_EOF : rv;
}

static apr_status_t files_sweep(idem_store *store, idem_call *call, int most, int *removed)
{
    sweep_job job = {most, 0};
    apr_status_t rv = each_file((files_store *)store, call, UNFINISHED, sweep_one, &job);
    *removed = job.removed;
    return rv;
}

static apr_status_t count_one(files_store *store, idem_call *call, const unsigned char *slot, void *baton)
{
    idem_store_status *status = baton;
    idem_found found;
    apr_status_t rv = idem_files_fetch(&store->super, call, slot, &found);

    status->entries += rv == APR_SUCCESS;
    status->bytes_used += rv == APR_SUCCESS ? found.value.len : 0;
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

static apr_status_t files_status(idem_store *store, idem_call *call, idem_store_status *status)
{
    *status = (idem_store_status){.entries_known = 1, .text = "a directory with a file for each slot"};
    return each_file((files_store *)store, call, WHOLE, count_one, status);
}

static apr_status_t blame_path(apr_pool_t *pool, const char **why, const char *doing, const char *path)
{
    int err = errno;
    *why = apr_psprintf(pool, "cannot %s %s: %s", doing, path, strerror(err));
    return APR_FROM_OS_ERROR(err);
}

/* ---- from configure() to detach() -------------------------------------------------------------------------------- */

static apr_status_t files_configure(idem_store **out, const idem_env *env, const char *rest, const char *const *options,
                                    apr_pool_t *pool, const char **why)
{
    files_store *store = apr_pcalloc(pool, sizeof(*store));

    if (!*rest) {
        *why = "files: needs a directory: files:/srv/slots";
        return APR_EINVAL;
    }
    store->sync = 1;
    for (; *options; options++) {
        if (strcmp(*options, "sync=on") != 0 && strcmp(*options, "sync=off") != 0) {
            *why = apr_psprintf(pool, "files: has no option \"%s\": it takes sync=on or sync=off", *options);
            return APR_EINVAL;
        }
        store->sync = strcmp(*options, "sync=on") == 0;
    }
    store->env = env;
    store->path = *rest == '/' ? apr_pstrdup(pool, rest) : apr_pstrcat(pool, env->state_dir, "/", rest, NULL);
    store->dir = store->owners = -1;
    store->super.flags = IDEM_HOST_LOCAL;
    store->super.max_value = FILES_LARGEST;
    if (!store->sync)
        store->super.warning = "with sync=off it may forget its latest entries when the machine loses power, and their "
                               "operations can run again";
    *out = &store->super;
    return APR_SUCCESS;
}

static apr_status_t make_lock_file(const files_store *store, int dir, const char *name, apr_pool_t *pool,
                                   const char **why)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int good = fd >= 0 && (geteuid() != 0 || fchown(fd, store->env->uid, store->env->gid) == 0);
    apr_status_t rv = good ? APR_SUCCESS : blame_path(pool, why, "create the lock files in", store->path);

    if (fd >= 0)
        close(fd);
    return rv;
}

/* Root gives the directory to the user of the children: they, and nobody else, read and write in it. */
static apr_status_t files_open(idem_store *base, apr_pool_t *pool, const char **why)
{
    files_store *store = (files_store *)base;
    apr_status_t rv = APR_SUCCESS;
    int dir;

    if (mkdir(store->path, 0700) != 0 && errno != EEXIST)
        return blame_path(pool, why, "create", store->path);
    dir = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return blame_path(pool, why, "open", store->path);
    if (fchmod(dir, 0700) != 0 || (geteuid() == 0 && fchown(dir, store->env->uid, store->env->gid) != 0))
        rv = blame_path(pool, why, "change the owner of", store->path);
    if (rv == APR_SUCCESS)
        rv = make_lock_file(store, dir, "slots", pool, why);
    if (rv == APR_SUCCESS)
        rv = make_lock_file(store, dir, "owners", pool, why);
    close(dir);
    return rv;
}

static void files_detach(idem_store *base)
{
    files_store *store = (files_store *)base;

    if (store->owners >= 0)
        close(store->owners); /* and with it the owner's lock is gone */
    if (store->dir >= 0)
        close(store->dir);
    store->dir = store->owners = -1;
}

static apr_status_t files_attach(idem_store *base, apr_pool_t *pool, const char **why)
{
    files_store *store = (files_store *)base;
    int err = 0;

    store->dir = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (store->dir >= 0)
        store->owners = openat(store->dir, "owners", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (store->owners < 0 || (err = idem_files_become_owner(store)) != 0) {
        errno = err ? err : errno;
        err = blame_path(pool, why, "use", store->path);
        files_detach(base);
        return err;
    }
    return APR_SUCCESS;
}

static const idem_driver files_driver = {
    .scheme = "files",
    .configure = files_configure,
    .open = files_open,
    .attach = files_attach,
    .detach = files_detach,
    .claim = idem_files_claim,
    .takeover = idem_files_takeover,
    .renew = idem_files_renew,
    .settle = idem_files_settle,
    .release = idem_files_release,
    .fetch = idem_files_fetch,
    .each = files_each,
    .forget = idem_files_forget,
    .sweep = files_sweep,
    .status = files_status,
#ifdef IDEM_DRIVER_SIZE_1 /* since version 2 */
    .forget_seen = idem_files_forget_seen,
#endif
};

/* mod_idempotency asks for it by its scheme when it reads IdempotencyStore, in whatever order the modules are
 * loaded. */
static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, IDEM_STORE_GROUP, "files", IDEM_STORE_VERSION, &files_driver);
}

AP_DECLARE_MODULE(idem_files) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0};

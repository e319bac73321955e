/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files_slot.c - what the store of mod_idem_files.c does to one slot, and who owns it.
 *
 * Called by the front through the driver's table. What always holds: whoever replaces or removes a file has the lock on
 * its slot's byte of the file "slots"; reading needs none. Limits: when the disk is full a lease cannot even be settled
 * by a tombstone.
 */
#include "files.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY apr_time_from_msec(1) /* for a lock that somebody else has */
#define FOREVER apr_time_from_sec((apr_time_t)100 * 365 * 86400)

/* One call on one slot. */
typedef struct visit {
    files_store *store;
    idem_call *call;
    const unsigned char *slot;
    const unsigned char *token; /* takeover, renew, release: the one that must stand */
    idem_blob value;            /* claim, takeover, settle: the new one */
    idem_found *found;          /* claim: for the caller */
    char name[FILES_NAME + 1];
    apr_size_t most;     /* bytes of the file that are of interest */
    int present;         /* something stands there that has not expired */
    idem_found standing; /* it */
} visit;

typedef apr_status_t decision(visit *v);

/* ---- sentences --------------------------------------------------------------------------------------------------- */

apr_status_t idem_files_blame(idem_call *call, const char *doing, int err)
{
    call->why = apr_psprintf(call->pool, "cannot %s: %s", doing, strerror(err));
    return err == ENOSPC || err == EDQUOT ? IDEM_EFULL : APR_FROM_OS_ERROR(err);
}

/* ---- owners ------------------------------------------------------------------------------------------------------ */

/* A lock of the process and not of the descriptor: a child that is forked does not inherit it. */
static struct flock one_byte(short type, apr_uint64_t at)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)at, .l_len = 1};
    return range;
}

/* In doubt it lives: only a dead owner may be taken over. */
static int lives(const files_store *store, apr_uint64_t owner)
{
    struct flock range = one_byte(F_WRLCK, owner);

    if (owner == store->super.owner)
        return 1; /* a process does not see its own locks */
    if (owner > APR_INT64_MAX)
        return 0;
    return fcntl(store->owners, F_GETLK, &range) != 0 || range.l_type != F_UNLCK;
}

int idem_files_become_owner(files_store *store)
{
    for (;;) {
        apr_uint64_t number = 0;
        struct flock range;

        if (apr_generate_random_bytes((unsigned char *)&number, sizeof(number)) != APR_SUCCESS)
            return EIO;
        number &= APR_INT64_MAX;
        range = one_byte(F_WRLCK, number);
        if (number && fcntl(store->owners, F_SETLK, &range) == 0) {
            store->super.owner = number;
            return 0;
        }
        if (number && errno != EAGAIN && errno != EACCES)
            return errno;
    }
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

static void name_file(visit *v)
{
    for (int i = 0; i < IDEM_SLOT_LEN; i++)
        apr_snprintf(v->name + 2 * i, 3, "%02x", v->slot[i]);
}

static int is_lease(idem_blob value)
{
    return idem_value_plausible(value) && idem_value_state(value) == IDEM_STATE_LEASE;
}

static int has_token(idem_blob value, const unsigned char *token)
{
    return idem_value_plausible(value) && memcmp(idem_value_token(value), token, IDEM_TOKEN_LEN) == 0;
}

/* What cannot be a value expires never: it is for the front to report, and for an administrator to remove. */
static void judge(visit *v, const struct stat *st)
{
    idem_found *f = &v->standing;
    apr_time_t written = apr_time_from_sec(st->st_mtim.tv_sec) + st->st_mtim.tv_nsec / 1000;
    apr_interval_time_t ttl = idem_value_plausible(f->value) ? idem_value_ttl(f->value) : FOREVER;

    f->expires = written + (ttl >= 0 && ttl < FOREVER ? ttl : FOREVER);
    f->owner_dead = is_lease(f->value) && !lives(v->store, idem_value_owner(f->value));
    v->present = f->expires > apr_time_now() || (is_lease(f->value) && !f->owner_dead);
}

static ssize_t read_all(int fd, unsigned char *to, apr_size_t len)
{
    apr_size_t got = 0;

    while (got < len) {
        ssize_t more = read(fd, to + got, len - got);
        if (more < 0)
            return -1;
        if (more == 0)
            break;
        got += (apr_size_t)more;
    }
    return (ssize_t)got;
}

/* Needs no lock: an open file stays what it was when another takes its name. */
static apr_status_t look(visit *v)
{
    struct stat st;
    unsigned char *data = NULL;
    ssize_t got = -1;
    int err, fd = openat(v->store->dir, v->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    v->present = 0;
    if (fd < 0)
        return errno == ENOENT ? APR_SUCCESS : idem_files_blame(v->call, "open a slot's file", errno);
    if (fstat(fd, &st) == 0) {
        apr_size_t len = (apr_size_t)st.st_size < v->most ? (apr_size_t)st.st_size : v->most;
        data = apr_palloc(v->call->pool, len);
        got = read_all(fd, data, len);
    }
    err = errno;
    close(fd);
    if (got < 0)
        return idem_files_blame(v->call, "read a slot's file", err);
    v->standing.value.data = data;
    v->standing.value.len = (apr_size_t)got;
    judge(v, &st);
    return APR_SUCCESS;
}

/* What has changed in the directory is on the disk when this returns; an error means that nobody knows. */
static apr_status_t flush_directory(visit *v)
{
    return v->store->sync && fsync(v->store->dir) != 0 ? idem_files_blame(v->call, "flush the directory", errno)
                                                       : APR_SUCCESS;
}

static int write_all(int fd, idem_blob value)
{
    for (apr_size_t done = 0; done < value.len;) {
        ssize_t more = write(fd, value.data + done, value.len - done);
        if (more < 0)
            return -1;
        done += (apr_size_t)more;
    }
    return 0;
}

/* The kernel stamps files with a clock that is some milliseconds slow: an entry would expire as much too early. */
static int stamp(int fd)
{
    struct timespec now[2];
    clock_gettime(CLOCK_REALTIME, &now[0]);
    now[1] = now[0];
    return futimens(fd, now);
}

/* The lock is held. A writer that dies half-way leaves a file of a name that nobody reads. */
static apr_status_t put(visit *v, idem_blob value)
{
    const char *fresh = apr_pstrcat(v->call->pool, v->name, FILES_NEW, NULL);
    int dir = v->store->dir, err, fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return idem_files_blame(v->call, "create a slot's file", errno);
    err = write_all(fd, value) != 0 || stamp(fd) != 0 || (v->store->sync && fsync(fd) != 0) ? errno : 0;
    close(fd);
    if (!err && renameat(dir, fresh, dir, v->name) != 0)
        err = errno;
    if (err) {
        unlinkat(dir, fresh, 0);
        return idem_files_blame(v->call, "write a slot's file", err);
    }
    return flush_directory(v);
}

static apr_status_t take_away(visit *v)
{
    if (unlinkat(v->store->dir, v->name, 0) != 0)
        return errno == ENOENT ? APR_NOTFOUND : idem_files_blame(v->call, "remove a slot's file", errno);
    return flush_directory(v);
}

/* ---- under the slot's lock --------------------------------------------------------------------------------------- */

/* A lock of this descriptor, which no other thread uses. */
static apr_status_t lock_slot(visit *v, int *lock)
{
    struct flock range = one_byte(F_WRLCK, idem_value_number(v->slot, 8) & APR_INT64_MAX);
    int fd = openat(v->store->dir, "slots", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return idem_files_blame(v->call, "open the file of locks", errno);
    while (fcntl(fd, F_OFD_SETLK, &range) != 0) {
        int err = errno, taken = err == EAGAIN || err == EACCES;

        if (taken && apr_time_now() < v->call->deadline) {
            apr_sleep(LOOK_EVERY);
            continue;
        }
        close(fd);
        if (!taken)
            return idem_files_blame(v->call, "lock the slot", err);
        v->call->why = "another process keeps the slot locked: is one stopped?";
        return APR_TIMEUP;
    }
    *lock = fd;
    return APR_SUCCESS;
}

/* A child that was forked meanwhile has the descriptor too, until it executes something: closing is not enough. */
static void unlock_slot(visit *v, int lock)
{
    struct flock range = one_byte(F_UNLCK, idem_value_number(v->slot, 8) & APR_INT64_MAX);
    fcntl(lock, F_OFD_SETLK, &range);
    close(lock);
}

static apr_status_t with_slot(visit *v, decision *decide)
{
    int lock = -1;
    apr_status_t rv;

    if (v->value.len > FILES_LARGEST) {
        v->call->why = "the value is larger than a file of this store may be";
        return IDEM_ETOOBIG;
    }
    name_file(v);
    if (!v->most)
        v->most = FILES_LARGEST;
    rv = lock_slot(v, &lock);
    if (rv != APR_SUCCESS)
        return rv;
    rv = look(v);
    if (rv == APR_SUCCESS)
        rv = decide(v);
    unlock_slot(v, lock);
    return rv;
}

/* Is it a lease with this token? */
static int holds(const visit *v, const unsigned char *token)
{
    return is_lease(v->standing.value) && has_token(v->standing.value, token);
}

static apr_status_t decide_claim(visit *v)
{
    if (!v->present)
        return put(v, v->value);
    if (holds(v, idem_value_token(v->value)))
        return APR_SUCCESS;
    *v->found = v->standing;
    return APR_EEXIST;
}

static apr_status_t decide_takeover(visit *v)
{
    if (!v->present)
        return APR_NOTFOUND;
    if (holds(v, idem_value_token(v->value)))
        return APR_SUCCESS;
    if (!has_token(v->standing.value, v->token))
        return IDEM_ELOST;
    if (is_lease(v->standing.value))
        return v->standing.owner_dead ? put(v, v->value) : IDEM_EALIVE;
    return idem_value_state(v->standing.value) == IDEM_STATE_UNKNOWN ? put(v, v->value) : IDEM_ELOST;
}

static apr_status_t decide_renew(visit *v)
{
    if (!v->present)
        return APR_NOTFOUND;
    return holds(v, v->token) ? put(v, v->standing.value) : IDEM_ELOST;
}

static apr_status_t decide_settle(visit *v)
{
    if (!v->present || holds(v, idem_value_token(v->value)))
        return put(v, v->value);
    return has_token(v->standing.value, idem_value_token(v->value)) ? APR_SUCCESS : IDEM_ELOST;
}

static apr_status_t decide_release(visit *v)
{
    if (!v->present)
        return APR_NOTFOUND;
    return holds(v, v->token) ? take_away(v) : IDEM_ELOST;
}

static apr_status_t decide_forget(visit *v)
{
    return v->present ? take_away(v) : APR_NOTFOUND;
}

static apr_status_t decide_forget_seen(visit *v)
{
    if (!v->present)
        return APR_NOTFOUND;
    return has_token(v->standing.value, v->token) && !holds(v, v->token) ? take_away(v) : IDEM_ELOST;
}

static apr_status_t decide_sweep(visit *v)
{
    unlinkat(v->store->dir, apr_pstrcat(v->call->pool, v->name, FILES_NEW, NULL), 0);
    return v->present ? APR_EEXIST : take_away(v);
}

/* ---- operations on one slot -------------------------------------------------------------------------------------- */

apr_status_t idem_files_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                              idem_found *found)
{
    visit v = {.store = (files_store *)store, .call = call, .slot = slot, .value = value, .found = found};
    return with_slot(&v, decide_claim);
}

apr_status_t idem_files_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                 const unsigned char *seen, idem_blob value)
{
    visit v = {.store = (files_store *)store, .call = call, .slot = slot, .token = seen, .value = value};
    return with_slot(&v, decide_takeover);
}

apr_status_t idem_files_renew(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token)
{
    visit v = {.store = (files_store *)store, .call = call, .slot = slot, .token = token};
    return with_slot(&v, decide_renew);
}

apr_status_t idem_files_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value)
{
    visit v = {.store = (files_store *)store, .call = call, .slot = slot, .value = value};
    return with_slot(&v, decide_settle);
}

apr_status_t idem_files_release(idem_store *store, idem_call *call, const unsigned char *slot,
                                const unsigned char *token)
{
    visit v = {.store = (files_store *)store, .call = call, .slot = slot, .token = token};
    return with_slot(&v, decide_release);
}

apr_status_t idem_files_forget(idem_store *store, idem_call *call, const unsigned char *slot)
{
    visit v = {.store = (files_store *)store, .call = call, .slot = slot};
    return with_slot(&v, decide_forget);
}

apr_status_t idem_files_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                    const unsigned char *token)
{
    visit v = {.store = (files_store *)store, .call = call, .slot = slot, .token = token};
    return with_slot(&v, decide_forget_seen);
}

apr_status_t idem_files_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found)
{
    visit v = {.store = (files_store *)store, .call = call, .slot = slot, .most = FILES_LARGEST};
    apr_status_t rv;

    name_file(&v);
    rv = look(&v);
    if (rv == APR_SUCCESS && v.present)
        *found = v.standing;
    return rv == APR_SUCCESS && !v.present ? APR_NOTFOUND : rv;
}

apr_status_t idem_files_expire(files_store *store, idem_call *call, const unsigned char *slot)
{
    visit v = {.store = store, .call = call, .slot = slot, .most = IDEM_HEAD_MIN};
    return with_slot(&v, decide_sweep);
}

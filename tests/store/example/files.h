/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h - the store of mod_idem_files.c: what its two files share.
 */
#ifndef IDEM_FILES_H
#define IDEM_FILES_H

#include "idem_store.h"

#define FILES_NAME (2 * IDEM_SLOT_LEN) /* length of a file's name: its slot in hex digits */
#define FILES_NEW ".new"               /* behind the name: being written, without a meaning until it is renamed */
#define FILES_LARGEST ((apr_size_t)16 << 20)

typedef struct files_store {
    idem_store super;
    const idem_env *env;
    const char *path;
    int sync;
    int dir, owners; /* each child's own, from attach() to detach() */
} files_store;

/* What went wrong, as idem_store.h has it: a full disk is a full store, all else means that the store is down. */
apr_status_t idem_files_blame(idem_call *call, const char *doing, int err);

/* Takes a number that nobody has; 0, or errno. The lock goes when store->owners is closed, and with the process. */
int idem_files_become_owner(files_store *store);

/* Removes the slot's file if it has expired, else APR_EEXIST; and what a writer has left that died half-way. */
apr_status_t idem_files_expire(files_store *store, idem_call *call, const unsigned char *slot);

apr_status_t idem_files_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                              idem_found *found);
apr_status_t idem_files_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                 const unsigned char *seen, idem_blob value);
apr_status_t idem_files_renew(idem_store *store, idem_call *call, const unsigned char *slot,
                              const unsigned char *token);
apr_status_t idem_files_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value);
apr_status_t idem_files_release(idem_store *store, idem_call *call, const unsigned char *slot,
                                const unsigned char *token);
apr_status_t idem_files_forget(idem_store *store, idem_call *call, const unsigned char *slot);
apr_status_t idem_files_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                    const unsigned char *token);
apr_status_t idem_files_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found);

#endif

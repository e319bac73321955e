/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.h - entries on their way from one store to another, as lines of JSON. docs/internals/export.md has the
 * format.
 */
#ifndef IDEM_TRANSFER_H
#define IDEM_TRANSFER_H

#include "shown.h"

#define IDEM_EXPORT_FORMAT "mod_idempotency export"
#define IDEM_EXPORT_VERSION 1

/* The first line. mark: of the store, NULL if it has none. */
json_t *idem_export_head(const char *url, const unsigned char *mark, apr_pool_t *pool);

/* NULL, or what is wrong with a first line. *mark is filled; zeros for none. */
const char *idem_import_head(const json_t *line, unsigned char *mark);

/*
 * The line of an entry: a record or tombstone as it is; an unknown outcome as one that its owner has reported. NULL for
 * entries that stay behind: leases, and damaged ones.
 */
json_t *idem_export_entry(const idem_view *view, apr_pool_t *pool);

typedef enum idem_imported {
    IDEM_IMPORTED_PUT,
    IDEM_IMPORTED_ANEW,      /* …, and its life begins anew: it is sealed, and there is no secret to seal it again */
    IDEM_IMPORTED_TOMBSTONE, /* …, without its response, which the store cannot hold */
    IDEM_IMPORTED_OTHER,     /* another entry stands there, and stays */
    IDEM_IMPORTED_EXPIRED,
    IDEM_IMPORTED_WRONG,  /* the line is no entry, or not a sound one */
    IDEM_IMPORTED_FAILED, /* the store did not take it */
    IDEM_IMPORTED_RESULTS
} idem_imported;

const char *idem_imported_word(idem_imported imported);

/* Puts an entry into the store; with dry_run it only looks at the line. *why is a sentence for WRONG and FAILED. */
idem_imported idem_import_entry(idem_front *front, const json_t *line, int dry_run, apr_pool_t *pool, const char **why);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bodyprint.c - what is known of a request body, for its fingerprint and for comparing it with another one's.
 *
 * Called for a fingerprint before a claim, again when the body has been read, and by compare.c for a retry whose body
 * is longer than the spool. What always holds: a digest says over how many bytes it was made, and whether the body
 * ended there.
 */
#include "intake_private.h"

apr_status_t idem_intake_print(idem_txn *txn, idem_print *print)
{
    idem_intake *intake = txn->intake;
    apr_status_t rv;

    /* Another boundary may be longer: a multipart body's length says nothing. */
    print->declared = txn->asked.boundary ? IDEM_LENGTH_UNKNOWN
                      : intake            ? intake->declared
                                          : idem_intake_declared(txn->r, txn->asked.sent);
    if (!intake || !intake->hash || intake->lost || !(print->body_flags & IDEM_BODY_USED))
        return APR_SUCCESS;
    if (!intake->whole && (txn->phase == IDEM_PHASE_IDLE || txn->phase == IDEM_PHASE_CLAIMING))
        return APR_SUCCESS; /* a lease says nothing about a body that is still to be read */
    rv = intake->whole ? idem_bodyhash_close(intake->hash) : APR_SUCCESS;
    if (rv == APR_SUCCESS)
        rv = idem_bodyhash_peek_cut(intake->hash, print->body, &print->hashed);
    if (rv == APR_SUCCESS)
        print->body_flags |= IDEM_BODY_KNOWN | (intake->whole ? IDEM_BODY_WHOLE : 0);
    return rv;
}

/*
 * How many bytes may be fed before the next look at the digest; 0: no need to go on. The boundary counts while a
 * delimiter of a multipart body is half seen. So the count passes kept's more than once, and every byte is looked at
 * there. Further away the marks count, too: a byte of a multipart body that is fed counts for less than two. The bytes
 * held back come on top, and margin allows for them.
 */
static apr_size_t next_piece(const idem_txn *txn, const idem_print *kept, const idem_print *print)
{
    apr_uint64_t margin = txn->asked.boundary ? 2 * IDEM_BOUNDARY_MAX : 0, far;

    if (print->hashed == kept->hashed && !memcmp(print->body, kept->body, IDEM_DIGEST_LEN))
        return 0;
    if (print->hashed >= kept->hashed + margin)
        return 0;
    if (print->hashed + margin >= kept->hashed)
        return margin ? 1 : (apr_size_t)(kept->hashed - print->hashed);
    far = kept->hashed - margin - print->hashed;
    if (margin)
        far = (far + 1) / 2;
    return far < IDEM_INTAKE_PIECE ? (apr_size_t)far : IDEM_INTAKE_PIECE;
}

/* A body read ahead whole, against a record that knows only its beginning: hash that beginning again. */
static apr_status_t print_beginning(idem_txn *txn, const idem_print *kept, idem_print *print)
{
    idem_intake *intake = txn->intake;
    idem_bodyhash *hash;
    apr_status_t rv = idem_bodyhash_create(&hash, idem_keyring_print_key(txn->ring), txn->asked.boundary, txn->r->pool);

    for (apr_bucket *b = APR_BRIGADE_FIRST(intake->kept); rv == APR_SUCCESS && b != APR_BRIGADE_SENTINEL(intake->kept);
         b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len, used = 0;

        rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        while (rv == APR_SUCCESS && used < len) {
            apr_size_t piece;

            rv = idem_bodyhash_peek(hash, print->body, &print->hashed);
            piece = next_piece(txn, kept, print);
            if (rv != APR_SUCCESS || !piece)
                break;
            if (piece > len - used)
                piece = len - used;
            idem_bodyhash_feed(hash, data + used, piece);
            used += piece;
        }
    }
    if (rv == APR_SUCCESS)
        rv = idem_bodyhash_peek(hash, print->body, &print->hashed);
    print->body_flags &= ~(unsigned)IDEM_BODY_WHOLE;
    return rv;
}

int idem_intake_reach(idem_txn *txn, const idem_print *kept, idem_print *print)
{
    idem_intake *intake = txn->intake;
    apr_status_t rv = APR_SUCCESS;

    if (!intake->hash || !(kept->body_flags & IDEM_BODY_KNOWN))
        return OK;
    intake->comparing = 1;
    if (intake->whole && !(kept->body_flags & IDEM_BODY_WHOLE) && print->hashed != kept->hashed) {
        rv = print_beginning(txn, kept, print);
        return rv == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
    }
    while (rv == APR_SUCCESS && !intake->whole) {
        apr_size_t piece;

        if (idem_bodyhash_peek(intake->hash, print->body, &print->hashed) != APR_SUCCESS)
            return HTTP_INTERNAL_SERVER_ERROR; /* no memory for a digest: that is not the body's fault */
        piece = next_piece(txn, kept, print);
        if (!piece && (kept->body_flags & IDEM_BODY_WHOLE) && print->hashed == kept->hashed)
            piece = 1; /* does it end here too? */
        if (!piece)
            break;
        rv = idem_intake_read(intake, (apr_off_t)piece);
    }
    if (rv != APR_SUCCESS)
        return idem_intake_failed(txn, rv);
    rv = idem_bodyhash_peek(intake->hash, print->body, &print->hashed);
    print->body_flags |= IDEM_BODY_KNOWN | (intake->whole ? IDEM_BODY_WHOLE : 0);
    return rv == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

int idem_intake_cut(const idem_txn *txn)
{
    return txn->intake && txn->intake->cut;
}

int idem_intake_unread(const idem_txn *txn)
{
    return txn->intake && !txn->intake->whole;
}

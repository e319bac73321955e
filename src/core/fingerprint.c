/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fingerprint.c - condenses the parts of a request, and compares two prints.
 *
 * Called by the glue, which evaluates the parts and hashes the body (bodyhash.c), and by nobody else. With a secret
 * every digest is an HMAC, made_of included: after a change of the secret two prints are incomparable, never falsely
 * different. At most IDEM_PARTS_MAX parts, because a stored head has room for no more.
 *
 *   names         of all parts in order, each behind its length
 *   made_of       the beginning of the digest of the names; brief, with a secret: of the SHA-256 of the names
 *   rest          the digest of name and value of each part but body; brief: of the SHA-256 of the names, with values
 *   a part's      the beginning of the digest of its name and value; brief: of its number and value, zeros if absent
 *
 * Names may be long and are the same for all requests of a location: in the brief form they are hashed once.
 */
#include "fingerprint.h"

#include "spares.h"

static int is_body(const idem_part_value *part)
{
    return part->name[0] == 'b' && strcmp(part->name, "body") == 0;
}

/* The first bytes of a digest, which is closed by this. */
static apr_status_t finish_short(idem_digest *d, unsigned char out[IDEM_PART_DIGEST_LEN])
{
    unsigned char full[IDEM_DIGEST_LEN];
    apr_status_t status = idem_digest_finish(d, full);

    if (status == APR_SUCCESS)
        memcpy(out, full, IDEM_PART_DIGEST_LEN);
    return status;
}

static void feed_named(idem_digest *d, const idem_part_value *part)
{
    idem_digest_feed_part(d, idem_blob_str(part->name));
    idem_digest_feed_part(d, part->value);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

#define NAMES_MOST 1024 /* bytes of names that a thread remembers */

/* The last names of a thread, and their SHA-256. Names are no secret: they come from the configuration. */
typedef struct known_names {
    idem_spare spare;
    apr_size_t len;
    unsigned char names[NAMES_MOST], digest[IDEM_DIGEST_LEN];
} known_names;

static idem_spares kept_names;

__attribute__((constructor)) static void open_kept_names(void)
{
    idem_spares_open(&kept_names);
}

__attribute__((destructor)) static void close_kept_names(void)
{
    idem_spares_close(&kept_names);
}

static apr_status_t hash_names(const idem_blob *secret, const idem_part_value *parts, int count, unsigned char *out)
{
    idem_digest *d;
    apr_status_t status = idem_digest_start(&d, secret);

    if (status != APR_SUCCESS)
        return status;
    for (int i = 0; i < count; i++)
        idem_digest_feed_part(d, idem_blob_str(parts[i].name));
    return idem_digest_finish(d, out);
}

/* 0 where there is no room for them. */
static apr_size_t put_names(const idem_part_value *parts, int count, unsigned char room[NAMES_MOST])
{
    unsigned char *to = room;

    for (int i = 0; i < count; i++) {
        apr_size_t len = strlen(parts[i].name);

        if (len + 8 > (apr_size_t)(room + NAMES_MOST - to))
            return 0;
        to = idem_put_bytes(idem_put(to, len, 8), parts[i].name, len);
    }
    return (apr_size_t)(to - room);
}

static apr_status_t digest_of_names(const idem_part_value *parts, int count, unsigned char out[IDEM_DIGEST_LEN])
{
    unsigned char names[NAMES_MOST];
    apr_size_t len = put_names(parts, count, names);
    known_names *known = len ? (known_names *)idem_spares_take_or_make(&kept_names, sizeof *known) : NULL;
    apr_status_t status = APR_SUCCESS;

    if (!known)
        return hash_names(NULL, parts, count, out);
    if (len != known->len || memcmp(names, known->names, len) != 0) {
        known->len = 0;
        status = idem_digest_of(NULL, idem_blob_of(names, len), known->digest);
        memcpy(known->names, names, len);
        known->len = status == APR_SUCCESS ? len : 0;
    }
    memcpy(out, known->digest, IDEM_DIGEST_LEN);
    idem_spares_keep_or_destroy(&kept_names, &known->spare);
    return status;
}

/* ---- the brief form ---------------------------------------------------------------------------------------------- */

static apr_status_t brief_rest(const idem_blob *secret, const idem_part_value *parts, idem_print *print,
                               const unsigned char *names)
{
    idem_digest *d;
    apr_status_t status = idem_digest_start(&d, secret);

    if (status != APR_SUCCESS)
        return status;
    idem_digest_feed(d, names, IDEM_DIGEST_LEN);
    for (unsigned i = 0; i < print->parts; i++)
        if (!is_body(&parts[i]))
            idem_digest_feed_part(d, parts[i].value);
    return idem_digest_finish(d, print->rest);
}

static apr_status_t make_brief(const idem_blob *secret, const idem_part_value *parts, idem_print *print)
{
    unsigned char names[IDEM_DIGEST_LEN], full[IDEM_DIGEST_LEN];
    apr_status_t status = digest_of_names(parts, (int)print->parts, names);

    print->body_flags |= IDEM_PRINT_BRIEF;
    memcpy(full, names, sizeof full);
    if (status == APR_SUCCESS && secret && secret->len)
        status = idem_digest_of(secret, idem_blob_of(names, sizeof names), full);
    memcpy(print->made_of, full, sizeof print->made_of);
    return status == APR_SUCCESS ? brief_rest(secret, parts, print, names) : status;
}

static apr_status_t brief_part(const idem_blob *secret, unsigned number, idem_blob value, unsigned char *out)
{
    unsigned char first = (unsigned char)number;
    idem_digest *d;
    apr_status_t status;

    if (!value.data)
        return APR_SUCCESS; /* zeros */
    status = idem_digest_start(&d, secret);
    if (status != APR_SUCCESS)
        return status;
    idem_digest_feed(d, &first, 1);
    idem_digest_feed(d, value.data, value.len);
    return finish_short(d, out);
}

/* ---- the form of earlier versions -------------------------------------------------------------------------------- */

static apr_status_t long_rest(const idem_blob *secret, const idem_part_value *parts, idem_print *print)
{
    idem_digest *d;
    apr_status_t status = idem_digest_start(&d, secret);

    if (status != APR_SUCCESS)
        return status;
    for (unsigned i = 0; i < print->parts; i++)
        if (!is_body(&parts[i]))
            feed_named(d, &parts[i]);
    return idem_digest_finish(d, print->rest);
}

static apr_status_t make_long(const idem_blob *secret, const idem_part_value *parts, idem_print *print)
{
    unsigned char full[IDEM_DIGEST_LEN];
    apr_status_t status = hash_names(secret, parts, (int)print->parts, full);

    if (status != APR_SUCCESS)
        return status;
    memcpy(print->made_of, full, sizeof print->made_of);
    return long_rest(secret, parts, print);
}

static apr_status_t long_part(const idem_blob *secret, const idem_part_value *part, unsigned char *out)
{
    idem_digest *d;
    apr_status_t status = idem_digest_start(&d, secret);

    if (status != APR_SUCCESS)
        return status;
    feed_named(d, part);
    return finish_short(d, out);
}

/* ---- either ------------------------------------------------------------------------------------------------------ */

apr_status_t idem_print_make(const idem_blob *secret, const idem_part_value *parts, int count, int brief,
                             idem_print *print)
{
    memset(print, 0, sizeof *print);
    if (count < 0 || count > IDEM_PARTS_MAX)
        return APR_EINVAL;
    print->parts = (unsigned)count;
    print->declared = IDEM_LENGTH_UNKNOWN;
    for (int i = 0; i < count; i++)
        print->body_flags |= is_body(&parts[i]) ? IDEM_BODY_USED : 0U;
    return brief ? make_brief(secret, parts, print) : make_long(secret, parts, print);
}

apr_status_t idem_print_tell_parts(const idem_blob *secret, const idem_part_value *parts, idem_print *print)
{
    apr_status_t status = APR_SUCCESS;

    for (unsigned i = 0; i < print->parts && status == APR_SUCCESS; i++) {
        if (is_body(&parts[i]))
            continue;
        status = print->body_flags & IDEM_PRINT_BRIEF ? brief_part(secret, i, parts[i].value, print->part[i])
                                                      : long_part(secret, &parts[i], print->part[i]);
    }
    return status;
}

idem_likeness idem_print_compare_rest(const idem_print *kept, const idem_print *mine, unsigned *differ)
{
    *differ = 0;
    if (mine->body_flags & IDEM_BODY_PARTED && !(kept->body_flags & IDEM_BODY_MARKED))
        return IDEM_LIKENESS_INCOMPARABLE;
    if ((kept->body_flags ^ mine->body_flags) & IDEM_PRINT_BRIEF)
        return IDEM_LIKENESS_INCOMPARABLE;
    if (kept->parts != mine->parts || kept->parts > IDEM_PARTS_MAX ||
        !idem_equal_ct(kept->made_of, mine->made_of, sizeof kept->made_of))
        return IDEM_LIKENESS_INCOMPARABLE;
    if (idem_equal_ct(kept->rest, mine->rest, sizeof kept->rest))
        return IDEM_LIKENESS_SAME;
    for (unsigned i = 0; i < kept->parts; i++)
        if (!idem_equal_ct(kept->part[i], mine->part[i], sizeof kept->part[i]))
            *differ |= 1u << i;
    return IDEM_LIKENESS_DIFFERENT;
}

static idem_likeness same_if(int same)
{
    return same ? IDEM_LIKENESS_SAME : IDEM_LIKENESS_DIFFERENT;
}

/* The end of the kept body is known. */
static idem_likeness compare_with_whole(const idem_print *kept, const idem_print *mine)
{
    if (mine->body_flags & IDEM_BODY_WHOLE)
        return same_if(mine->hashed == kept->hashed && idem_equal_ct(mine->body, kept->body, sizeof kept->body));
    /* Mine goes on behind what was hashed of it: longer for certain, unless that stopped before the kept one's end. */
    return mine->hashed >= kept->hashed ? IDEM_LIKENESS_DIFFERENT : IDEM_LIKENESS_INCOMPARABLE;
}

/* The kept body was hashed as far as its handler read it; what followed is known by the declared length alone. */
static idem_likeness compare_with_beginning(const idem_print *kept, const idem_print *mine)
{
    if (mine->hashed == kept->hashed)
        return same_if(idem_equal_ct(mine->body, kept->body, sizeof kept->body));
    if (mine->hashed < kept->hashed && (mine->body_flags & IDEM_BODY_WHOLE))
        return IDEM_LIKENESS_DIFFERENT; /* it ended before what the first one had at least */
    return IDEM_LIKENESS_INCOMPARABLE;
}

/* Does what mine declares say enough, whatever its bytes are? Of a whole body the bytes themselves say it. */
static int lengths_differ(const idem_print *kept, const idem_print *mine)
{
    if (!(kept->body_flags & IDEM_BODY_WHOLE))
        return mine->declared != kept->declared;
    return !(mine->body_flags & IDEM_BODY_WHOLE) && mine->declared != IDEM_LENGTH_UNKNOWN &&
           mine->declared != kept->hashed;
}

idem_likeness idem_print_compare_body(const idem_print *kept, const idem_print *mine)
{
    unsigned both = kept->body_flags & mine->body_flags, either = kept->body_flags | mine->body_flags;

    if (!(either & IDEM_BODY_USED))
        return IDEM_LIKENESS_SAME;
    if (!(both & IDEM_BODY_USED) || !(kept->body_flags & IDEM_BODY_KNOWN))
        return IDEM_LIKENESS_INCOMPARABLE;
    if (lengths_differ(kept, mine) || (kept->body_flags ^ mine->body_flags) & IDEM_BODY_PARTED)
        return IDEM_LIKENESS_DIFFERENT;
    if (!(mine->body_flags & IDEM_BODY_KNOWN))
        return IDEM_LIKENESS_INCOMPARABLE;
    return kept->body_flags & IDEM_BODY_WHOLE ? compare_with_whole(kept, mine) : compare_with_beginning(kept, mine);
}

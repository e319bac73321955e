/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fingerprint.c - condenses the parts of a request, and compares two prints.
 *
 * Called by the glue, which evaluates the parts and hashes the body (bodyhash.c), and by nobody else. With a secret
 * every digest is an HMAC, made_of included: after a change of the secret two prints are incomparable, never falsely
 * different. At most IDEM_PARTS_MAX parts, because a stored head has room for no more.
 */
#include "fingerprint.h"

static int is_body(const idem_part_value *part)
{
    return strcmp(part->name, "body") == 0;
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

static apr_status_t digest_names(const idem_blob *secret, const idem_part_value *parts, int count, idem_print *print)
{
    idem_digest *d;
    apr_status_t status = idem_digest_start(&d, secret);

    if (status != APR_SUCCESS)
        return status;
    for (int i = 0; i < count; i++)
        idem_digest_feed_part(d, idem_blob_str(parts[i].name));
    return finish_short(d, print->made_of);
}

static apr_status_t digest_rest(const idem_blob *secret, const idem_part_value *parts, int count, idem_print *print)
{
    idem_digest *d;
    apr_status_t status = idem_digest_start(&d, secret);

    if (status != APR_SUCCESS)
        return status;
    for (int i = 0; i < count; i++)
        if (!is_body(&parts[i]))
            feed_named(d, &parts[i]);
    return idem_digest_finish(d, print->rest);
}

static apr_status_t digest_part(const idem_blob *secret, const idem_part_value *part, unsigned char *out)
{
    idem_digest *d;
    apr_status_t status = idem_digest_start(&d, secret);

    if (status != APR_SUCCESS)
        return status;
    feed_named(d, part);
    return finish_short(d, out);
}

apr_status_t idem_print_make(const idem_blob *secret, const idem_part_value *parts, int count, idem_print *print)
{
    apr_status_t status;

    memset(print, 0, sizeof *print);
    if (count < 0 || count > IDEM_PARTS_MAX)
        return APR_EINVAL;
    print->parts = (unsigned)count;
    print->declared = IDEM_LENGTH_UNKNOWN;
    status = digest_names(secret, parts, count, print);
    if (status == APR_SUCCESS)
        status = digest_rest(secret, parts, count, print);
    for (int i = 0; i < count && status == APR_SUCCESS; i++) {
        if (is_body(&parts[i]))
            print->body_flags |= IDEM_BODY_USED;
        else
            status = digest_part(secret, &parts[i], print->part[i]);
    }
    return status;
}

idem_likeness idem_print_compare_rest(const idem_print *kept, const idem_print *mine, unsigned *differ)
{
    *differ = 0;
    if (mine->body_flags & IDEM_BODY_PARTED && !(kept->body_flags & IDEM_BODY_MARKED))
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

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_htmlscan.c - any bytes as a page.
 *
 * What must hold: what is found does not depend on where the pieces end, each place is behind a ">", and a page that
 * was given up stays so.
 */
#include "fuzz.h"
#include "htmlscan.h"

#define PLACES_MOST 4096

typedef struct places {
    size_t at[PLACES_MOST];
    int count, is_lost;
} places;

static const char *const own[] = {"a.test", "a.test:8080", NULL};

/* pieces: where each ends, as a chain of numbers that data itself gives; 0: one piece. */
static void scan_all(const uint8_t *data, size_t size, int is_xml, unsigned pieces, places *found)
{
    static idem_htmlscan scan;
    size_t at = 0;

    idem_htmlscan_begin(&scan, is_xml, 0, own);
    found->count = 0;
    while (at < size) {
        size_t left = size - at, piece = pieces ? 1 + (data[at] * pieces + at) % 7 : left, used;
        int due;

        if (piece > left)
            piece = left;
        /* A piece of its own size: what is read behind it is seen. */
        char *copy = fuzz_string(data + at, piece);
        used = idem_htmlscan_feed(&scan, copy, piece, &due);
        free(copy);
        MUST(used <= piece && (due ? used > 0 : used == piece));
        at += used;
        if (due && found->count < PLACES_MOST)
            found->at[found->count++] = at;
        MUST(!due || data[at - 1] == '>');
        MUST(!due || !idem_htmlscan_is_lost(&scan));
    }
    found->is_lost = idem_htmlscan_is_lost(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static places whole, split;

    for (int is_xml = 0; is_xml < 2; is_xml++) {
        scan_all(data, size, is_xml, 0, &whole);
        for (unsigned pieces = 1; pieces < 4; pieces++) {
            scan_all(data, size, is_xml, pieces, &split);
            MUST(split.count == whole.count && split.is_lost == whole.is_lost);
            MUST(!memcmp(split.at, whole.at, sizeof(*whole.at) * (size_t)whole.count));
        }
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_htmlscan.c - any bytes as a page.
 *
 * What must hold: the places found do not depend on the pieces' ends. Each place is behind a ">", and a page that was
 * given up stays so.
 */
#include "fuzz.h"
#include "htmlscan.h"

#define PLACES_MOST 4096
#define PIECE_MOST 8 /* the room of one; its end is the end of what may be read */

typedef struct places {
    size_t at[PLACES_MOST];
    int count, is_lost;
} places;

static const char *const own[] = {"a.test", "a.test:8080", NULL};

/* How long the piece is that begins at at: a chain of numbers that data itself gives. pieces: 0, all of it in one. */
static size_t piece_at(const uint8_t *data, size_t size, size_t at, unsigned pieces)
{
    size_t piece = pieces ? 1 + (data[at] * (pieces - 1) + at * (pieces - 1)) % PIECE_MOST : size - at;

    return piece < size - at ? piece : size - at;
}

/* room: of size bytes for a whole page, of PIECE_MOST for pieces. What is read behind a piece is seen, and no piece
 * costs an allocation. */
static void scan_all(const uint8_t *data, size_t size, int is_xml, unsigned pieces, char *room, places *found)
{
    static idem_htmlscan scan;
    size_t at = 0, space = pieces ? PIECE_MOST : size;

    idem_htmlscan_begin(&scan, is_xml, 0, own);
    found->count = 0;
    while (at < size) {
        size_t piece = piece_at(data, size, at, pieces), used;
        char *begin = room + space - piece;
        int due;

        memcpy(begin, data + at, piece);
        used = idem_htmlscan_feed(&scan, begin, piece, &due);
        MUST(used <= piece && (due || used == piece));
        at += used;
        if (due && found->count < PLACES_MOST)
            found->at[found->count++] = at;
        MUST(!due || (at && data[at - 1] == '>'));
        MUST(!due || !idem_htmlscan_is_lost(&scan));
    }
    found->is_lost = idem_htmlscan_is_lost(&scan);
}

/* In pieces of one byte, and in ones of up to PIECE_MOST. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static places whole, split;
    char *room = malloc(size ? size : 1), *small = malloc(PIECE_MOST);

    MUST(room && small);
    for (int is_xml = 0; is_xml < 2; is_xml++) {
        scan_all(data, size, is_xml, 0, room, &whole);
        for (unsigned pieces = 1; pieces < 3; pieces++) {
            scan_all(data, size, is_xml, pieces, small, &split);
            MUST(split.count == whole.count && split.is_lost == whole.is_lost);
            MUST(!memcmp(split.at, whole.at, sizeof(*whole.at) * (size_t)whole.count));
        }
    }
    free(room);
    free(small);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standalone.c - replays files through a fuzz target, without libFuzzer: what was found once stays found.
 *
 * Called by make fuzz-replay with a corpus. Any file that cannot be read, and no file at all, is a failure.
 */
#include "fuzz.h"

static void replay(const char *path)
{
    uint8_t *data = malloc(FUZZ_INPUT_MOST), *exact;
    FILE *file = fopen(path, "rb");
    size_t size;

    MUST(data && file);
    size = fread(data, 1, FUZZ_INPUT_MOST, file);
    MUST(!ferror(file));
    fclose(file);
    exact = malloc(size ? size : 1);
    MUST(exact);
    memcpy(exact, data, size);
    free(data);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%s: %d inputs\n", argv[0], argc - 1);
    return argc < 2;
}

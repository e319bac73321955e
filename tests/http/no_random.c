/* SPDX-License-Identifier: Apache-2.0 */
/*
 * no_random.c - preloaded into httpd: OpenSSL has no random bytes while the file that NO_RANDOM names is there.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((visibility("default"))) int RAND_bytes(unsigned char *out, int len);

int RAND_bytes(unsigned char *out, int len)
{
    const char *file = getenv("NO_RANDOM");
    int (*real)(unsigned char *, int) = NULL;

    if (file && access(file, F_OK) == 0)
        return 0;
    *(void **)&real = dlsym(RTLD_NEXT, "RAND_bytes");
    return real ? real(out, len) : 0;
}

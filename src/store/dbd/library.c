/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library.c - the client library that APR's driver brought in: it stays mapped, and its functions are found by name.
 *
 * Called when a process attaches, and where the library can do more than APR asks of it. What always holds: a pinned
 * library stays mapped until the process ends.
 */
#include "dbd_private.h"

#include <dlfcn.h>

void *idem_dbd_pin(const void *address)
{
    Dl_info info;
    return dladdr(address, &info) && info.dli_fname ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE)
                                                    : NULL;
}

void *idem_dbd_function(const idem_dbd_access *access, const char *name)
{
    return access->library ? dlsym(access->library, name) : NULL;
}

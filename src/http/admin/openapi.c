/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openapi.c - openapi.json as it is, compiled in. Read by the verb that serves it. The Makefile knows that this file is
 * made of that one.
 */
#include "admin_private.h"

__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".hidden idem_admin_openapi\n"
        ".globl idem_admin_openapi\n"
        "idem_admin_openapi:\n"
        ".incbin \"src/http/admin/openapi.json\"\n"
        ".byte 0\n"
        ".popsection\n");

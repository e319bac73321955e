/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assets.c - openapi.json and the files of the page as they are, compiled in. Read by whoever serves them. The Makefile
 * knows that this file is made of those.
 */
#include "admin_private.h"

#define AS_IT_IS(name, file)                        \
    __asm__(".pushsection .rodata\n"                \
            ".balign 16\n"                          \
            ".hidden " #name "\n"                   \
            ".globl " #name "\n" #name ":\n"        \
            ".incbin \"src/http/admin/" file "\"\n" \
            ".byte 0\n"                             \
            ".popsection\n")

AS_IT_IS(idem_admin_openapi, "openapi.json");
AS_IT_IS(idem_page_css, "page/page.css");
AS_IT_IS(idem_page_js, "page/page.js");
AS_IT_IS(idem_page_icon, "page/icon.svg");
AS_IT_IS(idem_page_head, "page/head.html");
AS_IT_IS(idem_page_foot, "page/foot.html");

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * formkey.h - the output filter IDEMPOTENCY_FORM: a hidden field with a fresh key in each form of a page.
 */
#ifndef IDEM_FORMKEY_H
#define IDEM_FORMKEY_H

void idem_formkey_register(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * formstrip.h - the input filter IDEMPOTENCY_FORM: takes the hidden field with the key out of what the application
 * reads.
 */
#ifndef IDEM_FORMSTRIP_H
#define IDEM_FORMSTRIP_H

void idem_formstrip_register(void);

#endif

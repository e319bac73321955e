/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durability_kit.h - what the cases of the embedded store's own tests share, beyond conformance_kit.h.
 *
 * Each case has a store directory of its own below the run's (kit.rest) and opens it itself, with what options it
 * likes.
 */
#ifndef IDEM_DURABILITY_KIT_H
#define IDEM_DURABILITY_KIT_H

#include "conformance_kit.h"
#include "drivers.h"
#include "durability.h"

extern const kit_case durability_cases_flush[];  /* durability_flush.c: acknowledged means flushed */
extern const kit_case durability_cases_fault[];  /* durability_fault.c: writes that fail or never end */
extern const kit_case durability_cases_damage[]; /* durability_damage.c: files that cannot be trusted */
extern const kit_case durability_cases_place[];  /* durability_place.c: directories, options, marks */

/* Points k at directory name with these options (NULL-terminated, lasting). Nothing is made or opened. */
void disk_use(kit *k, const char *name, const char *const *options);

/* Configures and opens. *why is the driver's; k->store is set on success. */
apr_status_t disk_open(kit *k, const char **why);
void disk_open_well(kit *k); /* or the case has failed */

/* Below the store's directory, in k->pool. */
const char *disk_path(const kit *k, const char *name);

/* The case fails unless text contains part. */
#define EXPECT_SAYS(k, text, part) disk_expect_says((k), __FILE__, __LINE__, (text), (part))
void disk_expect_says(kit *k, const char *file, int line, const char *text, const char *part);

#endif

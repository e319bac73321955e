/*
 * drivers.h - the drivers that can be compiled in; registry.c says which of them are.
 */
#ifndef IDEM_DRIVERS_H
#define IDEM_DRIVERS_H

#include "idem_store.h"

extern const idem_driver idem_driver_lmdb;
extern const idem_driver idem_driver_socache; /* httpd only */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_private.h - what json.c and canonical.c share: jansson's tree.
 */
#ifndef IDEM_JSON_PRIVATE_H
#define IDEM_JSON_PRIVATE_H

#include "canonical.h"
#include "number.h"

#include <jansson.h>

struct idem_json {
    json_t *root;
    int exact; /* each number of the text that jansson has made a double of is written as itself again */
};

/* What stands there; NULL for nothing. pointer NULL: all of it. */
json_t *idem_json_node(const idem_json *json, const idem_pointer *pointer);

/* Writes a number as RFC 8785 has it and returns its length; 0 if that would be another number. */
apr_size_t idem_json_number(const idem_json *json, const json_t *node, char out[IDEM_NUMBER_MOST]);

#endif

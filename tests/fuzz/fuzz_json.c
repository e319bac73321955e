/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_json.c - a JSON pointer (the first line of an input, perhaps none), and a text.
 *
 * What must hold: a text that cannot be read has its reason. A canonical form can be read, is its own canonical form,
 * and is bounded by the text. A value at a pointer stands in it, and a value that is left out makes it shorter. A
 * pointer is read, or refused with a sentence.
 */
#include "canonical.h"
#include "fuzz.h"
#include "grown.h"

static apr_status_t canonical(const char *data, size_t size, const idem_pointer *pointer,
                              const apr_array_header_t *without, grown *out)
{
    idem_json *json = NULL;
    const char *why = NULL;
    apr_status_t rv = idem_json_read(&json, idem_blob_of(data, size), &why);

    MUST(rv == APR_SUCCESS || (rv == APR_EGENERAL && why && *why));
    if (rv == APR_SUCCESS)
        rv = idem_json_write(json, pointer, without, grown_append, out);
    idem_json_free(json);
    return rv;
}

static void check_canonical(const char *data, size_t size, const grown *form)
{
    grown again = {NULL, 0};

    MUST(form->len <= size * 6 + 1); /* 1e20 becomes 21 digits, and an escape six bytes of one */
    MUST(canonical(form->data, form->len, NULL, NULL, &again) == APR_SUCCESS);
    MUST(again.len == form->len && !memcmp(again.data, form->data, form->len));
    (void)data;
    free(again.data);
}

static void check_pointer(const char *line, const char *data, size_t size, const grown *form, apr_pool_t *pool)
{
    apr_array_header_t *without = apr_array_make(pool, 1, sizeof(idem_pointer));
    idem_pointer *pointer = apr_array_push(without);
    grown value = {NULL, 0}, rest = {NULL, 0};
    idem_json *json;
    idem_blob key;
    const char *why = idem_pointer_parse(line, pool, pointer);
    apr_status_t rv;

    if (why) {
        MUST(*why);
        return;
    }
    rv = canonical(data, size, pointer, NULL, &value);
    MUST(rv == APR_SUCCESS || rv == APR_NOTFOUND);
    MUST(canonical(data, size, NULL, without, &rest) == APR_SUCCESS);
    if (rv == APR_SUCCESS)
        MUST(memmem(form->data, form->len, value.data, value.len) && rest.len < form->len);
    else
        MUST(rest.len == form->len);
    MUST(idem_json_read(&json, idem_blob_of(data, size), &why) == APR_SUCCESS);
    if (idem_json_text(json, pointer, pool, &key) == IDEM_JSON_TEXT)
        MUST(key.data && value.len);
    idem_json_free(json);
    free(value.data);
    free(rest.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    size_t line = newline ? (size_t)(newline - data) : 0, rest = newline ? size - line - 1 : size;
    char *pointer = fuzz_string(data, line), *json = fuzz_string(newline ? newline + 1 : data, rest);
    grown form = {NULL, 0};

    if (canonical(json, rest, NULL, NULL, &form) == APR_SUCCESS) {
        check_canonical(json, rest, &form);
        check_pointer(pointer, json, rest, &form, pool);
    }
    free(form.data);
    free(pointer);
    free(json);
    apr_pool_destroy(pool);
    return 0;
}

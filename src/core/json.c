/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - reads JSON by jansson, and finds what stands at a pointer.
 *
 * Called by the glue for guarded requests whose key, scope or fingerprint is in a JSON body. jansson refuses what is
 * ambiguous. It does not bound depth and the tree's memory, so a scan of the text does that first. The scan also tells
 * whether each number is written as itself again (number.c): jansson keeps a number's double and not its text.
 */
#include "canonical.h"

#include "wiped.h"

#include <stdlib.h>

#include <apr_lib.h>
#include <apr_strings.h>

/* ---- pointers ---------------------------------------------------------------------------------------------------- */

static const char *unescape_token(char *token)
{
    char *to = token;

    for (const char *from = token; *from; from++) {
        if (*from != '~')
            *to++ = *from;
        else if (from[1] == '0' || from[1] == '1')
            *to++ = *++from == '0' ? '~' : '/';
        else
            return "needs ~0 for ~ and ~1 for / in a JSON pointer";
    }
    *to = '\0';
    return NULL;
}

const char *idem_pointer_parse(const char *text, apr_pool_t *pool, idem_pointer *pointer)
{
    apr_array_header_t *tokens = apr_array_make(pool, 4, sizeof(const char *));

    if (*text != '/')
        return apr_psprintf(pool, "takes a JSON pointer, which begins with /, not \"%s\"", text);
    while (*text == '/') {
        apr_size_t len = strcspn(text + 1, "/");
        char *token = apr_pstrmemdup(pool, text + 1, len);
        const char *wrong = unescape_token(token);

        if (wrong)
            return wrong;
        APR_ARRAY_PUSH(tokens, const char *) = token;
        text += 1 + len;
    }
    pointer->tokens = (const char *const *)tokens->elts;
    pointer->count = tokens->nelts;
    return NULL;
}

#ifdef IDEM_WITH_JANSSON

#include "json_private.h"

/* ---- the scan before --------------------------------------------------------------------------------------------- */

/* What jansson 2.14 takes on a 64-bit machine, with malloc's share, rounded up. */
#define TAKES_OBJECT 256
#define TAKES_ARRAY 128
#define TAKES_VALUE 64 /* and its place in its container, which grows by doubling */
#define TAKES_MEMBER 96

typedef struct json_scan {
    apr_uint64_t takes;
    int depth, deepest;
    int exact;
} json_scan;

static const char *string_end(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return at < end ? at + 1 : end;
}

static const char *number_end(const char *at, const char *end)
{
    while (at < end && (apr_isdigit(*at) || *at == '.' || *at == 'e' || *at == 'E' || *at == '+' || *at == '-'))
        at++;
    return at;
}

static const char *scan_json_token(json_scan *scan, const char *at, const char *end)
{
    const char *next = at + 1;

    switch (*at) {
    case '{':
    case '[':
        scan->takes += *at == '{' ? TAKES_OBJECT : TAKES_ARRAY;
        if (++scan->depth > scan->deepest)
            scan->deepest = scan->depth;
        break;
    case '}':
    case ']': scan->depth--; break;
    case ',': scan->takes += TAKES_VALUE; break;
    case ':': scan->takes += TAKES_MEMBER; break;
    case '"':
        next = string_end(next, end);
        scan->takes += (apr_uint64_t)(next - at);
        break;
    default:
        if (!apr_isdigit(*at) && *at != '-')
            break;
        next = number_end(next, end);
        scan->exact = scan->exact && idem_number_is_exact(at, (apr_size_t)(next - at));
    }
    return next;
}

/* Takes any bytes. For bytes that are not JSON the numbers mean nothing, and jansson refuses the text. */
static json_scan scan_json(idem_blob text)
{
    json_scan scan = {TAKES_VALUE, 0, 0, 1};
    const char *at = (const char *)text.data, *end = at + text.len;

    while (at < end && scan.deepest <= IDEM_JSON_DEPTH && scan.takes <= IDEM_JSON_MEMORY)
        at = scan_json_token(&scan, at, end);
    return scan;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

#define FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL)

static const char *reason_of(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_invalid_utf8: return "it is not UTF-8";
    case json_error_duplicate_key: return "an object in it has two members with the same name";
    case json_error_numeric_overflow: return "a number in it is too large";
    case json_error_null_byte_in_key: return "the name of a member has a NUL in it";
    case json_error_premature_end_of_input: return "it ends too early";
    case json_error_end_of_input_expected: return "text follows its end";
    default: return "it is not JSON";
    }
}

apr_status_t idem_json_read(idem_json **json, idem_blob text, const char **why)
{
    const char *start = text.data ? (const char *)text.data : "";
    json_scan scan = scan_json(text);
    json_error_t error;
    json_t *root;

    if (memchr(start, '\0', text.len)) { /* jansson takes it for the end */
        *why = "it has a NUL in it";
        return APR_EGENERAL;
    }
    if (scan.deepest > IDEM_JSON_DEPTH || scan.takes > IDEM_JSON_MEMORY) {
        *why = scan.deepest > IDEM_JSON_DEPTH ? "it is nested too deeply" : "it has too many members and elements";
        return APR_EGENERAL;
    }
    root = json_loadb(start, text.len, FLAGS, &error);
    if (!root &&
        json_error_code(&error) == json_error_numeric_overflow) /* beyond 64 bits: 1e20 without its e, for one */
        root = json_loadb(start, text.len, FLAGS | JSON_DECODE_INT_AS_REAL, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return APR_ENOMEM;
    if (!root) {
        *why = reason_of(&error);
        return APR_EGENERAL;
    }
    *json = malloc(sizeof **json);
    if (!*json) {
        json_decref(root);
        return APR_ENOMEM;
    }
    (*json)->root = root;
    (*json)->exact = scan.exact;
    return APR_SUCCESS;
}

void idem_json_free(idem_json *json)
{
    if (!json)
        return;
    json_decref(json->root);
    free(json);
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

/* RFC 6901, 4: digits without leading zeros; "-" is behind the last element, where there is nothing. */
static json_t *element_of(const json_t *array, const char *token)
{
    apr_size_t len = strlen(token);

    if (!len || len > 9 || strspn(token, "0123456789") != len || (*token == '0' && len > 1))
        return NULL;
    return json_array_get(array, (size_t)atol(token));
}

static json_t *child_of(const json_t *node, const char *token)
{
    if (json_is_object(node))
        return json_object_get(node, token);
    return json_is_array(node) ? element_of(node, token) : NULL;
}

json_t *idem_json_node(const idem_json *json, const idem_pointer *pointer)
{
    json_t *node = json->root;

    for (int i = 0; pointer && node && i < pointer->count; i++)
        node = child_of(node, pointer->tokens[i]);
    return node;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

#define SAFE ((json_int_t)1 << 53)

/* As ECMAScript has it; 0 if that is another number. */
static apr_size_t write_integer(json_int_t n, char out[IDEM_NUMBER_MOST])
{
    apr_size_t len = (apr_size_t)apr_snprintf(out, IDEM_NUMBER_MOST, "%" APR_INT64_T_FMT, (apr_int64_t)n);

    if (n <= SAFE && n >= -SAFE)
        return len;
    return idem_number_is_exact(out, len) ? idem_number_write((double)n, out) : 0;
}

apr_size_t idem_json_number(const idem_json *json, const json_t *node, char out[IDEM_NUMBER_MOST])
{
    if (json_is_integer(node))
        return write_integer(json_integer_value(node), out);
    return json->exact ? idem_number_write(json_real_value(node), out) : 0;
}

static idem_blob kept_text(const void *data, apr_size_t len, apr_pool_t *pool)
{
    unsigned char *copy = idem_wiped_alloc(pool, len + 1);

    idem_put_bytes(copy, data, len)[0] = '\0';
    return idem_blob_of(copy, len);
}

idem_json_found idem_json_text(const idem_json *json, const idem_pointer *pointer, apr_pool_t *pool, idem_blob *text)
{
    const json_t *node = idem_json_node(json, pointer);
    char number[IDEM_NUMBER_MOST];
    apr_size_t len;

    if (!node || json_is_null(node))
        return IDEM_JSON_ABSENT;
    if (json_is_string(node)) {
        *text = kept_text(json_string_value(node), json_string_length(node), pool);
        return IDEM_JSON_TEXT;
    }
    if (!json_is_number(node))
        return IDEM_JSON_UNFIT;
    if (json_is_integer(node)) /* all 64 bits: nobody makes a double of it here */
        len =
            (apr_size_t)apr_snprintf(number, sizeof number, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(node));
    else
        len = idem_json_number(json, node, number);
    if (!len)
        return IDEM_JSON_UNFIT;
    *text = kept_text(number, len, pool);
    return IDEM_JSON_TEXT;
}

#else

apr_status_t idem_json_read(idem_json **json, idem_blob text, const char **why)
{
    (void)text;
    *json = NULL;
    *why = "this server was built without jansson";
    return APR_EGENERAL;
}

void idem_json_free(idem_json *json)
{
    (void)json;
}

idem_json_found idem_json_text(const idem_json *json, const idem_pointer *pointer, apr_pool_t *pool, idem_blob *text)
{
    (void)json;
    (void)pointer;
    (void)pool;
    (void)text;
    return IDEM_JSON_UNFIT;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts.c - reads the mini-language of IdempotencyKey, IdempotencyScope and IdempotencyFingerprint.
 *
 * Called for each word of these directives while the configuration or an .htaccess file is read. One table says which
 * words there are, which of them take a name, and which directive takes which. What a part is worth in a request is
 * values.c's.
 */
#include "parts.h"

#include <string.h>

#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(idempotency);

#define ANY (IDEM_USE_KEY | IDEM_USE_SCOPE | IDEM_USE_FINGERPRINT)
#define SAME (IDEM_USE_SCOPE | IDEM_USE_FINGERPRINT)

/* behind: what follows a word that ends in ':' or '='. */
static const struct word {
    const char *word, *behind;
    idem_part_kind kind;
    unsigned uses; /* of idem_part_use */
} words[] = {
    {"host", NULL, IDEM_PART_HOST, IDEM_USE_SCOPE},
    {"user", NULL, IDEM_PART_USER, SAME},
    {"credentials", NULL, IDEM_PART_CREDENTIALS, SAME},
    {"method", NULL, IDEM_PART_METHOD, SAME},
    {"path", NULL, IDEM_PART_PATH, SAME},
    {"query", NULL, IDEM_PART_QUERY, IDEM_USE_FINGERPRINT},
    {"operation", NULL, IDEM_PART_OPERATION, IDEM_USE_FINGERPRINT},
    {"body", NULL, IDEM_PART_BODY, IDEM_USE_FINGERPRINT},
    {"addr", NULL, IDEM_PART_ADDR, SAME},
    {"header:", "NAME", IDEM_PART_HEADER, ANY},
    {"query:", "NAME", IDEM_PART_QUERY_VALUE, IDEM_USE_KEY},
    {"cookie:", "NAME", IDEM_PART_COOKIE, ANY},
    {"env:", "NAME", IDEM_PART_ENV, ANY},
    {"expr=", "EXPRESSION", IDEM_PART_EXPR, ANY},
    {"form:", "NAME", IDEM_PART_FORM, ANY},
    {"json:", "/POINTER", IDEM_PART_JSON, ANY},
    {"body=json", "[,-/POINTER...]", IDEM_PART_BODY_JSON, IDEM_USE_FINGERPRINT},
    {"body=form", "[,-NAME...]", IDEM_PART_BODY_FORM, IDEM_USE_FINGERPRINT},
    {"fingerprint", NULL, IDEM_PART_FINGERPRINT, IDEM_USE_KEY},
};
#define WORDS (int)(sizeof(words) / sizeof(*words))

static const struct word *find_word(const char *text, idem_part_use use)
{
    for (int i = 0; i < WORDS; i++) {
        const struct word *w = &words[i];
        int same = w->behind ? strncasecmp(text, w->word, strlen(w->word)) == 0 : strcasecmp(text, w->word) == 0;
        if (same && w->uses & use)
            return w;
    }
    return NULL;
}

/* "header:NAME, query:NAME, cookie:NAME, env:NAME, expr=EXPRESSION" */
static const char *words_for(apr_pool_t *pool, idem_part_use use)
{
    const char *text = "", *comma = "";
    for (int i = 0; i < WORDS; i++) {
        if (words[i].uses & use) {
            text = apr_pstrcat(pool, text, comma, words[i].word, words[i].behind ? words[i].behind : "", NULL);
            comma = ", ";
        }
    }
    return text;
}

static const char *read_name(cmd_parms *cmd, const struct word *w, const char *name, idem_part *part)
{
    int token = part->kind == IDEM_PART_HEADER || part->kind == IDEM_PART_COOKIE;

    if (!*name || (token && *ap_scan_http_token(name)))
        return apr_psprintf(cmd->pool, "takes the name of %s after %s, not \"%s\"",
                            part->kind == IDEM_PART_HEADER   ? "a header"
                            : part->kind == IDEM_PART_COOKIE ? "a cookie"
                            : part->kind == IDEM_PART_ENV    ? "an environment variable"
                            : part->kind == IDEM_PART_FORM   ? "a form's field"
                                                             : "a query parameter",
                            w->word, name);
    if (part->kind == IDEM_PART_HEADER) {
        char *folded = apr_pstrdup(cmd->pool, name);
        ap_str_tolower(folded);
        name = folded;
    }
    part->name = name;
    part->spelled = apr_pstrcat(cmd->pool, w->word, name, NULL);
    return NULL;
}

/* An expression of an .htaccess file may not read files or ask other servers: its author need not be the
 * administrator. */
static const char *read_expr(cmd_parms *cmd, const char *text, idem_part *part)
{
    unsigned flags = AP_EXPR_FLAG_STRING_RESULT | AP_EXPR_FLAG_DONT_VARY;
    const char *err = NULL;

    if (!*text)
        return "takes an expression after expr=, not \"\"";
    if (cmd->pool == cmd->temp_pool) /* so in .htaccess only, as in ap_check_cmd_context() */
        flags |= AP_EXPR_FLAG_RESTRICTED;
    part->expr = ap_expr_parse_cmd(cmd, text, flags, &err, NULL);
    part->spelled = apr_pstrcat(cmd->pool, "expr=", text, NULL);
    if (err)
        return apr_psprintf(cmd->pool, "cannot take the expression \"%s\": %s", text, err);
    return NULL;
}

/* ---- in the body ------------------------------------------------------------------------------------------------- */

#define WITHOUT ",-"

static const char *need_json(const idem_part *part, apr_pool_t *pool)
{
    if (idem_json_is_there || (part->kind != IDEM_PART_JSON && part->kind != IDEM_PART_BODY_JSON))
        return NULL;
    return apr_psprintf(pool, "cannot take \"%s\": this module was built without jansson", part->spelled);
}

static const char *read_pointer(cmd_parms *cmd, const char *text, idem_part *part)
{
    idem_pointer *pointer = apr_palloc(cmd->pool, sizeof(*pointer));

    part->pointer = pointer;
    part->spelled = apr_pstrcat(cmd->pool, "json:", text, NULL);
    return idem_pointer_parse(text, cmd->pool, pointer);
}

/* A pointer begins with '/', so ",-" of another kind belongs to the pointer before it. */
static const char *next_without(const char *at, idem_part_kind kind)
{
    do
        at = ap_strstr_c(at + 1, kind == IDEM_PART_BODY_JSON ? ",-/" : WITHOUT);
    while (at && !at[strlen(WITHOUT)]);
    return at;
}

static const char *add_without(cmd_parms *cmd, const char *name, idem_part_kind kind, apr_array_header_t *without)
{
    if (kind == IDEM_PART_BODY_JSON)
        return idem_pointer_parse(name, cmd->pool, apr_array_push(without));
    APR_ARRAY_PUSH(without, const char *) = name;
    return *name ? NULL : "takes the name of a form field after each ,-";
}

/* ",-/timestamp,-/meta/request_id" or ",-_wpnonce", or nothing. */
static const char *read_without(cmd_parms *cmd, const struct word *w, const char *text, idem_part *part)
{
    int size = part->kind == IDEM_PART_BODY_JSON ? (int)sizeof(idem_pointer) : (int)sizeof(const char *);
    apr_array_header_t *without = apr_array_make(cmd->pool, 2, size);
    const char *wrong = NULL;

    part->spelled = apr_pstrcat(cmd->pool, w->word, text, NULL);
    if (!*text)
        return NULL;
    if (strncmp(text, WITHOUT, strlen(WITHOUT)) != 0)
        return apr_psprintf(cmd->pool, "takes nothing or %s after %s, not \"%s\"", w->behind, w->word, text);
    for (const char *next; text && !wrong; text = next) {
        const char *name = text + strlen(WITHOUT);

        next = next_without(text, part->kind);
        wrong = add_without(cmd, next ? apr_pstrmemdup(cmd->pool, name, (apr_size_t)(next - name)) : name, part->kind,
                            without);
    }
    part->without = without;
    return wrong;
}

static const char *read_behind(cmd_parms *cmd, const struct word *w, const char *text, idem_part *part)
{
    switch (part->kind) {
    case IDEM_PART_EXPR: return read_expr(cmd, text, part);
    case IDEM_PART_JSON: return read_pointer(cmd, text, part);
    case IDEM_PART_BODY_JSON:
    case IDEM_PART_BODY_FORM: return read_without(cmd, w, text, part);
    default: return read_name(cmd, w, text, part);
    }
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

const char *idem_part_parse(cmd_parms *cmd, const char *word, idem_part_use use, idem_part *part)
{
    const struct word *w = find_word(word, use);
    const char *wrong;

    memset(part, 0, sizeof(*part));
    if (!w)
        return apr_psprintf(cmd->pool, "does not know \"%s\"; it takes %s", word, words_for(cmd->pool, use));
    part->kind = w->kind;
    part->spelled = w->word;
    wrong = w->behind ? read_behind(cmd, w, word + strlen(w->word), part) : NULL;
    return wrong ? wrong : need_json(part, cmd->pool);
}

int idem_part_is_in_body(const idem_part *part)
{
    return part->kind == IDEM_PART_FORM || part->kind == IDEM_PART_JSON || part->kind == IDEM_PART_BODY_FORM ||
           part->kind == IDEM_PART_BODY_JSON;
}

int idem_parts_in_body(const apr_array_header_t *parts)
{
    for (int i = 0; i < parts->nelts; i++)
        if (idem_part_is_in_body(&APR_ARRAY_IDX(parts, i, const idem_part)))
            return 1;
    return 0;
}

int idem_parts_have(const apr_array_header_t *parts, idem_part_kind kind)
{
    for (int i = 0; i < parts->nelts; i++)
        if (APR_ARRAY_IDX(parts, i, const idem_part).kind == kind)
            return 1;
    return 0;
}

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

/* A word that ends in ':' or '=' is followed by what is shown here as behind. */
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
};
#define WORDS (int)(sizeof(words) / sizeof(*words))

static const struct word *find(const char *text, idem_part_use use)
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
static const char *all(apr_pool_t *pool, idem_part_use use)
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
        return apr_psprintf(cmd->pool, "takes the name of %s behind %s, not \"%s\"",
                            part->kind == IDEM_PART_HEADER   ? "a header"
                            : part->kind == IDEM_PART_COOKIE ? "a cookie"
                            : part->kind == IDEM_PART_ENV    ? "an environment variable"
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

/* An expression of an .htaccess file may not run what reads files or other servers: its author need not be the
 * administrator. */
static const char *read_expr(cmd_parms *cmd, const char *text, idem_part *part)
{
    unsigned flags = AP_EXPR_FLAG_STRING_RESULT | AP_EXPR_FLAG_DONT_VARY;
    const char *err = NULL;

    if (!*text)
        return "takes an expression behind expr=, not \"\"";
    if (cmd->pool == cmd->temp_pool) /* so in .htaccess only, as in ap_check_cmd_context() */
        flags |= AP_EXPR_FLAG_RESTRICTED;
    part->expr = ap_expr_parse_cmd(cmd, text, flags, &err, NULL);
    part->spelled = apr_pstrcat(cmd->pool, "expr=", text, NULL);
    if (err)
        return apr_psprintf(cmd->pool, "cannot take the expression \"%s\": %s", text, err);
    return NULL;
}

const char *idem_part_parse(cmd_parms *cmd, const char *word, idem_part_use use, idem_part *part)
{
    const struct word *w = find(word, use);

    memset(part, 0, sizeof(*part));
    if (!w)
        return apr_psprintf(cmd->pool, "does not know \"%s\"; it takes %s", word, all(cmd->pool, use));
    part->kind = w->kind;
    part->spelled = w->word;
    if (!w->behind)
        return NULL;
    word += strlen(w->word);
    return part->kind == IDEM_PART_EXPR ? read_expr(cmd, word, part) : read_name(cmd, w, word, part);
}

int idem_parts_have(const apr_array_header_t *parts, idem_part_kind kind)
{
    for (int i = 0; i < parts->nelts; i++)
        if (APR_ARRAY_IDX(parts, i, const idem_part).kind == kind)
            return 1;
    return 0;
}

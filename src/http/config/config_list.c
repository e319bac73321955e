/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_list.c - lists: read whole or as changes, checked word by word, changed when layers are merged.
 *
 * Called by config.c as config_set.c is, and for each merge of a layer that changes a list, which may be per request.
 * What always holds: a list that was handed out never changes, a changed one is a new list. No element stands in a list
 * twice. Limits: IDEM_PARTS_MAX parts to a list; names are compared as they are kept, so each checker keeps one
 * spelling of a name.
 */
#include "config_options.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_protocol.h>

#include "fingerprint.h"

/* ---- elements ---------------------------------------------------------------------------------------------------- */

static apr_size_t element_size(const idem_option *option)
{
    return option->use ? sizeof(idem_part) : sizeof(const char *);
}

static const char *element_spelling(const idem_option *option, const void *element)
{
    return option->use ? ((const idem_part *)element)->spelled : *(const char *const *)element;
}

static int list_find(const idem_option *option, const apr_array_header_t *list, const char *spelled)
{
    for (int i = 0; i < list->nelts; i++) {
        if (strcmp(element_spelling(option, list->elts + i * list->elt_size), spelled) == 0)
            return i;
    }
    return -1;
}

static void list_add(const idem_option *option, apr_array_header_t *list, const void *element)
{
    if (list_find(option, list, element_spelling(option, element)) < 0)
        memcpy(apr_array_push(list), element, (apr_size_t)list->elt_size);
}

static void list_drop(const idem_option *option, apr_array_header_t *list, const void *element)
{
    int i = list_find(option, list, element_spelling(option, element));
    if (i < 0)
        return;
    char *at = list->elts + i * list->elt_size;
    memmove(at, at + list->elt_size, (apr_size_t)(list->nelts - i - 1) * (apr_size_t)list->elt_size);
    list->nelts--;
}

/*
 * A merge of sections cannot report an error, and must not leave a part out in silence. So one part that cannot be
 * evaluated replaces a list that has become too long. Its requests fail with a line in the log.
 */
static void limit_parts(apr_array_header_t *parts)
{
    static const idem_part too_many = {.kind = IDEM_PART_TOO_MANY, .spelled = "the list of parts"};
    if (parts->nelts > IDEM_PARTS_MAX) {
        apr_array_clear(parts);
        APR_ARRAY_PUSH(parts, idem_part) = too_many;
    }
}

apr_array_header_t *idem_list_changed(const idem_option *option, const apr_array_header_t *list,
                                      const apr_array_header_t *changes, apr_pool_t *pool)
{
    apr_array_header_t *changed = apr_array_copy(pool, list);
    for (int i = 0; i < changes->nelts; i++) {
        const idem_change *change = &APR_ARRAY_IDX(changes, i, idem_change);
        (change->remove ? list_drop : list_add)(option, changed, change->element);
    }
    if (option->use)
        limit_parts(changed);
    return changed;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int is_sign(char c)
{
    return c == '+' || c == '-';
}

static const char *read_element(cmd_parms *cmd, const idem_option *option, const char *word, void *element)
{
    if (option->use)
        return idem_part_parse(cmd, word, option->use, element);
    return option->check(cmd->pool, word, element);
}

/* The request itself is what is left when no source has a key. */
static int has_source_behind_request(const apr_array_header_t *parts)
{
    for (int i = 0; i + 1 < parts->nelts; i++)
        if (APR_ARRAY_IDX(parts, i, const idem_part).kind == IDEM_PART_FINGERPRINT)
            return 1;
    return 0;
}

static const char *read_list(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    apr_array_header_t *list = apr_array_make(cmd->pool, words->count, (int)element_size(option));
    void *element = apr_pcalloc(cmd->temp_pool, element_size(option));

    for (int i = 0; i < words->count; i++) {
        const char *wrong = read_element(cmd, option, words->word[i], element);
        if (wrong)
            return wrong;
        list_add(option, list, element);
    }
    if (option->use == IDEM_USE_KEY && has_source_behind_request(list))
        return "takes fingerprint as the last source only";
    *(apr_array_header_t **)idem_member(one, option) = list;
    return NULL;
}

static const char *read_changes(cmd_parms *cmd, const idem_option *option, const idem_words *words,
                                apr_array_header_t **out)
{
    apr_array_header_t *changes = apr_array_make(cmd->pool, words->count, sizeof(idem_change));

    for (int i = 0; i < words->count; i++) {
        void *element = apr_pcalloc(cmd->pool, element_size(option));
        const char *wrong = read_element(cmd, option, words->word[i] + 1, element);
        if (wrong)
            return wrong;
        idem_change *change = apr_array_push(changes);
        change->remove = words->word[i][0] == '-';
        change->element = element;
    }
    *out = changes;
    return NULL;
}

/* "none" among other words, or with a sign. */
static int names_none(const idem_words *words)
{
    for (int i = 0; i < words->count; i++) {
        if (strcasecmp(words->word[i] + is_sign(words->word[i][0]), "none") == 0)
            return 1;
    }
    return 0;
}

const char *idem_set_list(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    static const idem_words nothing = {0, NULL};
    int signs = 0;

    if (!words->count)
        return "takes at least one word";
    if (option->use && words->count > IDEM_PARTS_MAX)
        return apr_psprintf(cmd->pool, "takes at most %d parts, not %d", IDEM_PARTS_MAX, words->count);
    for (int i = 0; i < words->count; i++)
        signs += is_sign(words->word[i][0]);
    if (names_none(words)) {
        if (!option->may_be_none)
            return "must have at least one value, not none";
        if (words->count > 1 || signs)
            return "takes none only alone, without other words and without + or -";
        return read_list(cmd, option, &nothing, one);
    }
    if (!signs)
        return read_list(cmd, option, words, one);
    if (signs != words->count)
        return "takes either a whole list, or only changes to the outer section's list (+NAME, -NAME)";
    return read_changes(cmd, option, words, &one->changes[option->index]);
}

/* ---- checks of one word ------------------------------------------------------------------------------------------ */

static int is_http_token(const char *word)
{
    return *word && !*ap_scan_http_token(word);
}

const char *idem_check_method(apr_pool_t *pool, const char *word, const char **kept)
{
    static const char *const unguarded[] = {"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"};
    const char *capitals = apr_pstrdup(pool, word);

    ap_str_toupper((char *)capitals);
    *kept = word;
    if (!is_http_token(word))
        return apr_psprintf(pool, "takes names of HTTP methods, not \"%s\"", word);
    for (size_t i = 0; i < sizeof(unguarded) / sizeof(*unguarded); i++) {
        if (strcmp(capitals, unguarded[i]) == 0)
            return apr_psprintf(pool, "must not name GET, HEAD, OPTIONS, TRACE or CONNECT, as \"%s\" does", word);
    }
    /* A method's case counts (RFC 9110 section 9.1): nobody sends "post", and who writes it means POST. */
    if (strcmp(capitals, word) != 0 && ap_method_number_of(capitals) != M_INVALID)
        return apr_psprintf(pool, "must name methods as clients send them, \"%s\", not \"%s\"", capitals, word);
    return NULL;
}

/* A name, or one with '*', which a token may have, at either end or both: for anything (cookies.c). */
static int is_cookie_pattern(const char *word)
{
    apr_size_t len;

    word += *word == '*';
    len = strcspn(word, "*");
    return !word[len] || !word[len + 1];
}

const char *idem_check_cookie(apr_pool_t *pool, const char *word, const char **kept)
{
    *kept = word;
    if (!is_http_token(word))
        return apr_psprintf(pool, "takes names of cookies, not \"%s\"", word);
    if (!is_cookie_pattern(word))
        return apr_psprintf(pool, "takes * at the beginning or the end of a cookie's name only, not \"%s\"", word);
    return NULL;
}

/* Schemes know no case (RFC 9110 section 11.1): kept in lower case. */
const char *idem_check_scheme(apr_pool_t *pool, const char *word, const char **kept)
{
    char *folded = apr_pstrdup(pool, word);

    ap_str_tolower(folded);
    *kept = folded;
    return is_http_token(word) ? NULL : apr_psprintf(pool, "takes names of Authorization schemes, not \"%s\"", word);
}

/* 404, or 4xx for all from 400 to 499: idem_is_release_status() compares the letter x with anything. */
const char *idem_check_status(apr_pool_t *pool, const char *word, const char **kept)
{
    int plausible = strlen(word) == 3 && word[0] >= '2' && word[0] <= '5' &&
                    ((apr_isdigit(word[1]) && apr_isdigit(word[2])) || strcmp(word + 1, "xx") == 0);
    *kept = word;
    return plausible ? NULL : apr_psprintf(pool, "takes statuses between 200 and 599, or 2xx to 5xx, not \"%s\"", word);
}

const char *idem_check_header(apr_pool_t *pool, const char *word, const char **kept)
{
    *kept = word;
    return is_http_token(word) ? NULL
                               : apr_psprintf(pool, "takes the name of a header (RFC 9110, 5.1), not \"%s\"", word);
}

/* Names of headers know no case: kept in lower case, so that they can be compared as they are. */
const char *idem_check_header_folded(apr_pool_t *pool, const char *word, const char **kept)
{
    char *folded = apr_pstrdup(pool, word);
    ap_str_tolower(folded);
    *kept = folded;
    return idem_check_header(pool, word, &word);
}

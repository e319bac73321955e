/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_set.c - one setter per type of value: choice, number, size, duration, range, text, key format, store.
 *
 * Called by config.c for each written directive, in the single-threaded parent or by a request's thread that reads an
 * .htaccess file; also for each preset. Words that are wrong become a sentence that says what would be right. Lists are
 * in config_list.c.
 */
#include "config_options.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_uri.h>

typedef struct unit {
    const char *name;
    apr_int64_t worth;
} unit;

/* httpd's units and days. Not ap_timeout_parameter_parse(): it takes "10sec" and "5 monthly" for 10s and 5min. */
static const unit durations[] = {{"", APR_USEC_PER_SEC},
                                 {"ms", 1000},
                                 {"s", APR_USEC_PER_SEC},
                                 {"min", 60 * APR_USEC_PER_SEC},
                                 {"h", 3600 * APR_USEC_PER_SEC},
                                 {"d", 86400 * APR_USEC_PER_SEC},
                                 {NULL, 0}};
static const unit sizes[] = {{"", 1}, {"K", 1024}, {"M", 1048576}, {"G", 1073741824}, {NULL, 0}};
static const unit numbers[] = {{"", 1}, {NULL, 0}};

/* The hint for a number with an unknown unit; "" for any other word. */
static const char *about_units(const char *word, const unit *units, apr_pool_t *pool)
{
    const char *behind = word + strspn(word, "0123456789"), *names = "";

    if (behind == word || !*behind)
        return "";
    for (; units->name; units++) {
        if (!strcasecmp(behind, units->name))
            return "";
        names = apr_pstrcat(pool, names, *names ? ", " : "", units->name, NULL);
    }
    return *names ? apr_pstrcat(pool, "; the units are ", names, NULL) : "";
}

static int parse_quantity(const char *text, const unit *units, apr_int64_t *out)
{
    char *end;
    apr_int64_t n;

    if (!apr_isdigit(*text))
        return 0;
    errno = 0;
    n = apr_strtoi64(text, &end, 10);
    if (errno)
        return 0;
    for (; units->name; units++) {
        if (strcasecmp(end, units->name) != 0)
            continue;
        if (n > APR_INT64_MAX / units->worth)
            return 0;
        *out = n * units->worth;
        return 1;
    }
    return 0;
}

const char *idem_one_word(cmd_parms *cmd, const idem_words *words)
{
    return words->count == 1 ? NULL : apr_psprintf(cmd->pool, "takes one value, not %d", words->count);
}

/* ---- quantities -------------------------------------------------------------------------------------------------- */

static const char *set_quantity(cmd_parms *cmd, const idem_option *option, const char *word, const unit *units,
                                apr_int64_t *out)
{
    apr_int64_t min = 0, max = APR_INT64_MAX;

    if (option->min)
        ap_assert(parse_quantity(option->min, units, &min));
    if (option->max)
        ap_assert(parse_quantity(option->max, units, &max));
    if (parse_quantity(word, units, out) && *out >= min && *out <= max)
        return NULL;
    return apr_psprintf(cmd->pool, "must be between %s and %s, not \"%s\"%s", option->min, option->max, word,
                        about_units(word, units, cmd->pool));
}

static const char *set_one_quantity(cmd_parms *cmd, const idem_option *option, const idem_words *words,
                                    const unit *units, apr_int64_t *out)
{
    const char *wrong = idem_one_word(cmd, words);
    return wrong ? wrong : set_quantity(cmd, option, words->word[0], units, out);
}

const char *idem_set_size(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    return set_one_quantity(cmd, option, words, sizes, idem_member(one, option));
}

const char *idem_set_duration(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    if (option->may_be_none && words->count == 1 && strcasecmp(words->word[0], "none") == 0)
        return NULL; /* an empty layer has none */
    return set_one_quantity(cmd, option, words, durations, idem_member(one, option));
}

const char *idem_set_number(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    return set_one_quantity(cmd, option, words, numbers, idem_member(one, option));
}

const char *idem_set_range(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    apr_int64_t *out = idem_member(one, option);

    if (words->count != 2)
        return apr_psprintf(cmd->pool, "takes two values, MIN and MAX, not %d", words->count);
    for (int i = 0; i < 2; i++) {
        const char *wrong = set_quantity(cmd, option, words->word[i], numbers, &out[i]);
        if (wrong)
            return wrong;
    }
    if (out[0] > out[1])
        return apr_psprintf(cmd->pool, "takes a MIN that is at most its MAX, not \"%s %s\"", words->word[0],
                            words->word[1]);
    return NULL;
}

const char *idem_read_duration(cmd_parms *cmd, const idem_option *bounds, const char *word, apr_int64_t *out)
{
    return set_quantity(cmd, bounds, word, durations, out);
}

int idem_parse_duration(const char *word, apr_int64_t *out)
{
    return parse_quantity(word, durations, out);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* "On, Off or DetectionOnly" */
static const char *choices_text(apr_pool_t *pool, const idem_choice *choice)
{
    const char *text = choice->word;
    while ((++choice)->word)
        text = apr_pstrcat(pool, text, choice[1].word ? ", " : " or ", choice->word, NULL);
    return text;
}

const char *idem_set_choice(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    const char *wrong = idem_one_word(cmd, words);
    if (wrong)
        return wrong;
    for (const idem_choice *choice = option->choices; choice->word; choice++) {
        if (strcasecmp(choice->word, words->word[0]) == 0) {
            *(int *)idem_member(one, option) = choice->value;
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool, "must be %s, not \"%s\"", choices_text(cmd->pool, option->choices), words->word[0]);
}

/* "wait" may be followed by how long; "wait" alone is half a minute. */
const char *idem_set_concurrent(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    idem_words first = {words->count < 1 ? words->count : 1, words->word};
    const char *wrong = idem_set_choice(cmd, option, &first, one);

    one->here.wait = apr_time_from_sec(30);
    if (wrong || words->count == 1)
        return wrong;
    if (words->count == 2 && one->here.concurrent == IDEM_CONCURRENT_WAIT)
        return set_quantity(cmd, option, words->word[1], durations, &one->here.wait);
    return "takes reject, wait, or wait and a duration";
}

/* Without a period it is the time a key is remembered, which only the place where a request is served knows. */
const char *idem_set_quota(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    static const idem_option period = {.min = "1s", .max = "400d"};
    const char *wrong = NULL;

    if (words->count == 1 && strcasecmp(words->word[0], "none") == 0)
        return NULL; /* an empty layer has no limit */
    if (words->count != 1 && (words->count != 3 || strcasecmp(words->word[1], "per") != 0))
        return "takes N, N per DURATION, or none";
    if (words->count == 3)
        wrong = set_quantity(cmd, &period, words->word[2], durations, &one->here.max_keys_period);
    return wrong ? wrong : set_quantity(cmd, option, words->word[0], numbers, &one->here.max_keys);
}

const char *idem_set_text(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    const char *wrong = idem_one_word(cmd, words);
    if (wrong)
        return wrong;
    if (option->may_be_none && strcasecmp(words->word[0], "none") == 0)
        return NULL; /* an empty layer's text is NULL already */
    return option->check(cmd->pool, words->word[0], (const char **)idem_member(one, option));
}

static int is_http_url(apr_pool_t *pool, const char *word)
{
    apr_uri_t uri;
    return apr_uri_parse(pool, word, &uri) == APR_SUCCESS && uri.scheme && uri.hostname && *uri.hostname &&
           (strcasecmp(uri.scheme, "http") == 0 || strcasecmp(uri.scheme, "https") == 0);
}

/*
 * A URL that goes into Link: <…> and, with #NAME behind it, into a problem's type: nothing that would end either, or
 * start a second fragment.
 */
const char *idem_check_help(apr_pool_t *pool, const char *word, const char **kept)
{
    int plain = 1;

    for (const char *c = word; *c; c++)
        plain = plain && *c > ' ' && *c < 0x7f && !strchr("<>\"#", *c);
    *kept = word;
    if (plain && (is_http_url(pool, word) || (word[0] == '/' && word[1] != '/')))
        return NULL;
    return apr_psprintf(pool,
                        "must be an http or https URL, an absolute path or none, in ASCII without spaces, "
                        "quotes, \"<\", \">\" and \"#\", not \"%s\"",
                        word);
}

/* Where secrets come from; whether they are there is looked at when the configuration is checked. */
const char *idem_check_secret(apr_pool_t *pool, const char *word, const char **kept)
{
    *kept = word;
    if ((!strncmp(word, "file:", 5) && word[5]) || !strncmp(word, "exec:/", 6))
        return NULL;
    return apr_psprintf(pool, "must be file:PATH, \"exec:/PATH ARGUMENTS\" or none, not \"%s\"", word);
}

/* Written into pages and looked for in bodies as it is. Browsers put something else into a field named _charset_. */
const char *idem_check_form_field(apr_pool_t *pool, const char *word, const char **kept)
{
    apr_size_t len = strlen(word);

    *kept = word;
    for (const char *c = word; *c; c++)
        if (!apr_isalnum(*c) && !strchr("_.-", *c))
            len = 0;
    if (len && len <= 64 && strcasecmp(word, "_charset_") != 0 && strcasecmp(word, "isindex") != 0)
        return NULL;
    return apr_psprintf(
        pool,
        "must be a name of 1 to 64 letters, digits, \"_\", \".\" and \"-\", and not _charset_ or isindex, not \"%s\"",
        word);
}

/* It runs much later, when nobody watches. So every fault that can be found now is reported now. */
const char *idem_check_notify(apr_pool_t *pool, const char *word, const char **kept)
{
    char **argv;

    *kept = word;
    if (*word != '/' || apr_tokenize_to_argv(word, &argv, pool) != APR_SUCCESS)
        return apr_psprintf(pool, "must be \"/PATH ARGUMENTS\" or none, not \"%s\"", word);
    if (access(argv[0], X_OK) != 0)
        return apr_psprintf(pool, "cannot run %s: %s", argv[0], strerror(errno));
    return NULL;
}

/* ---- key format -------------------------------------------------------------------------------------------------- */

static const char *regex_of(const char *spelled)
{
    if (strcasecmp(spelled, "uuid") == 0)
        return "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
    return spelled;
}

const char *idem_set_key_format(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    const char *wrong = idem_one_word(cmd, words), *regex;
    idem_key_format *format;

    if (wrong)
        return wrong;
    format = apr_pcalloc(cmd->pool, sizeof(*format));
    format->spelled = words->word[0];
    *(const idem_key_format **)idem_member(one, option) = format;
    if (strcasecmp(format->spelled, "any") == 0)
        return NULL;

    /* Compiled bare first: "a)|(b" is an expression only between our parentheses, and would not be anchored there. */
    regex = regex_of(format->spelled);
    if (ap_pregcomp(cmd->temp_pool, regex, 0))
        format->regex = ap_pregcomp(cmd->pool, apr_pstrcat(cmd->pool, "\\A(?:", regex, ")\\z", NULL), 0);
    if (*regex && format->regex)
        return NULL;
    return apr_psprintf(cmd->pool, "must be any, uuid or a regular expression, not \"%s\"", format->spelled);
}

/* ---- exceptions -------------------------------------------------------------------------------------------------- */

const char *idem_set_except(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    idem_except_rule *rule = apr_pcalloc(cmd->pool, sizeof(*rule));
    const char *wrong;

    if (words->count == 1 && strcasecmp(words->word[0], "none") == 0)
        return NULL;
    if (words->count == 1 && !strncasecmp(words->word[0], "expr=", 5)) {
        *(const idem_except_rule **)idem_member(one, option) = rule;
        return idem_condition_parse(cmd, words->word[0] + 5, &rule->condition);
    }
    if (words->count != 2)
        return apr_psprintf(cmd->pool, "takes two values, PART and REGEX, or one, expr=CONDITION or none, not %d%s",
                            words->count, words->count == 1 ? " without expr=" : "");
    wrong = idem_part_parse(cmd, words->word[0], option->use, &rule->part);
    if (wrong)
        return wrong;
    if (rule->part.kind == IDEM_PART_FINGERPRINT)
        return "takes a part that has a value, not \"fingerprint\"";
    rule->regex = *words->word[1] ? ap_pregcomp(cmd->pool, words->word[1], 0) : NULL;
    *(const idem_except_rule **)idem_member(one, option) = rule;
    if (rule->regex)
        return NULL;
    return apr_psprintf(cmd->pool, "takes a regular expression after its PART, not \"%s\"", words->word[1]);
}

/* ---- store ------------------------------------------------------------------------------------------------------- */

/* Keeps the words. The driver knows their meaning, and checks it when the options of all servers are known. */
const char *idem_set_store(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    idem_server_settings *server = &one->server;
    const char **store_options;

    (void)option;
    if (!words->count || !words->word[0][0])
        return "takes the URL of a store and its options: URL [OPTION=VALUE ...]";
    store_options = apr_pcalloc(cmd->pool, (apr_size_t)words->count * sizeof(*store_options));
    for (int i = 1; i < words->count; i++) {
        const char *equals = strchr(words->word[i], '=');
        if (!equals || equals == words->word[i])
            return apr_psprintf(cmd->pool, "takes options of the form OPTION=VALUE after its URL, not \"%s\"",
                                words->word[i]);
        store_options[i - 1] = words->word[i];
    }
    server->store_url = words->word[0];
    server->store_named = 1;
    if (cmd->directive)
        server->store_place =
            apr_psprintf(cmd->pool, "line %d of %s", cmd->directive->line_num, cmd->directive->filename);
    server->store_options = store_options;
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htmlvalue.c - values of attributes as a page writes them: character references, labels of character sets, and where
 * an action leads.
 *
 * Called by htmltree.c, and by the filter for the character set of a response. What always holds: in doubt a word
 * counts as another word, a character set as unknown, and an address as one of another site.
 */
#include "htmlvalue.h"

#include <string.h>

#include <apr_cstr.h>
#include <apr_lib.h>

enum { AT_END = -1, OTHER_CHAR = 0xfffd, NOT_KEPT = 0xfffe };

/* ---- characters -------------------------------------------------------------------------------------------------- */

/* The named references that stand for an ASCII character. Old ones need no semicolon. That changes nothing here: none
 * of those can begin an address. */
/* clang-format off */
static const struct { const char *name; char is; } references[] = {
    {"amp;", '&'}, {"AMP;", '&'}, {"lt;", '<'}, {"LT;", '<'}, {"gt;", '>'}, {"GT;", '>'}, {"quot;", '"'}, {"QUOT;", '"'},
    {"apos;", '\''}, {"Tab;", '\t'}, {"NewLine;", '\n'}, {"colon;", ':'}, {"sol;", '/'}, {"bsol;", '\\'}, {"period;", '.'},
    {"commat;", '@'}, {"num;", '#'}, {"quest;", '?'}, {"excl;", '!'}, {"percnt;", '%'}, {"plus;", '+'}, {"equals;", '='},
    {"semi;", ';'}, {"comma;", ','}, {"ast;", '*'}, {"midast;", '*'}, {"lowbar;", '_'}, {"UnderBar;", '_'}, {"dollar;", '$'},
    {"lpar;", '('}, {"rpar;", ')'}, {"lsqb;", '['}, {"lbrack;", '['}, {"rsqb;", ']'}, {"rbrack;", ']'}, {"lcub;", '{'},
    {"lbrace;", '{'}, {"rcub;", '}'}, {"rbrace;", '}'}, {"verbar;", '|'}, {"vert;", '|'}, {"VerticalLine;", '|'},
    {"grave;", '`'}, {"DiacriticalGrave;", '`'}, {"Hat;", '^'},
};
/* clang-format on */

static int number_at(const char **at, const char *end)
{
    const char *digits = *at + 2, *from;
    int base = 10, n = 0;

    if (digits < end && (*digits == 'x' || *digits == 'X')) {
        base = 16;
        digits++;
    }
    for (from = digits; digits < end && (base == 16 ? apr_isxdigit(*digits) : apr_isdigit(*digits)); digits++) {
        int digit = apr_isdigit(*digits) ? *digits - '0' : (apr_tolower(*digits) - 'a') + 10;
        n = n < OTHER_CHAR ? n * base + digit : n;
    }
    if (digits == from)
        return '&'; /* a text of its own */
    *at = digits < end && *digits == ';' ? digits + 1 : digits;
    return n > 0 && n < 0x80 ? n : OTHER_CHAR;
}

/* A name that is not in the list may stand for anything; "&" without a name stands for itself. */
static int reference_at(const char **at, const char *end)
{
    apr_size_t left = (apr_size_t)(end - *at) - 1;
    int n;

    if (left && (*at)[1] == '#') {
        const char *from = *at;
        n = number_at(at, end);
        *at += *at == from;
        return n;
    }
    for (apr_size_t i = 0; i < sizeof(references) / sizeof(*references); i++) {
        apr_size_t len = strlen(references[i].name);
        if (left >= len && !memcmp(*at + 1, references[i].name, len)) {
            *at += len + 1;
            return references[i].is;
        }
    }
    n = left && apr_isalnum((*at)[1]) ? OTHER_CHAR : '&';
    ++*at;
    return n;
}

/* The next character of a value; OTHER_CHAR for one that is no ASCII or not known. */
static int character_at(const char **at, const char *end)
{
    if (*at == end)
        return AT_END;
    if (**at == '&')
        return reference_at(at, end);
    return (unsigned char)**at < 0x80 ? *(*at)++ : ((*at)++, OTHER_CHAR);
}

int idem_html_is_word(const idem_html_value *value, const char *word)
{
    const char *at = value->text, *end = at + value->len;
    int c;

    if (!value->seen || value->cut)
        return 0;
    while ((c = character_at(&at, end)) != AT_END)
        if (!*word || c >= 0x80 || apr_tolower(c) != *word++)
            return 0;
    return !*word;
}

/* ---- character sets ---------------------------------------------------------------------------------------------- */

int idem_html_names_shifting(const idem_html_value *value)
{
    static const char *const names[] = {"iso-2022", "iso2022", "hz-gb", NULL};
    const char *end = value->text + value->len;

    for (const char *at = value->text; at < end; at++)
        for (const char *const *name = names; *name; name++)
            if ((apr_size_t)(end - at) >= strlen(*name) && !apr_cstr_casecmpn(at, *name, strlen(*name)))
                return 1;
    return 0;
}

int idem_html_is_plain_charset(const char *label)
{
    /* Of the labels in the Encoding standard; those of UTF-16, ISO-2022-JP and what it replaces are not there. */
    static const char *const whole[] = {
        "utf-8",       "utf8",           "us-ascii",  "ascii",   "gbk",        "gb2312",      "gb_2312-80",
        "gb18030",     "x-gbk",          "big5",      "cn-big5", "big5-hkscs", "euc-jp",      "x-euc-jp",
        "euc-kr",      "shift_jis",      "shift-jis", "sjis",    "x-sjis",     "ms_kanji",    "ms932",
        "ibm866",      "cp866",          "macintosh", "tis-620", "dos-874",    "windows-31j", "windows-874",
        "windows-949", "x-user-defined", NULL};
    static const char *const begins[] = {"iso-8859-", "iso8859-", "iso_8859-", "windows-125", "cp125", "x-cp125",
                                         "koi8-",     "latin",    "x-mac-",    "ks_c_5601",   NULL};

    for (const char *const *name = whole; label && *name; name++)
        if (!apr_cstr_casecmp(label, *name))
            return 1;
    for (const char *const *name = begins; label && *name; name++)
        if (!apr_cstr_casecmpn(label, *name, strlen(*name)))
            return 1;
    return 0;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

typedef struct address {
    const char *at, *end;
    int cut;
    int c; /* where it stands: a character, or AT_END */
} address;

/* Tabs and line ends are no part of an address, wherever they stand. */
static void address_next(address *a)
{
    do
        a->c = character_at(&a->at, a->end);
    while (a->c == '\t' || a->c == '\n' || a->c == '\r');
    if (a->c == AT_END && a->cut)
        a->c = NOT_KEPT;
}

static int is_slash(const address *a)
{
    return a->c == '/' || a->c == '\\';
}

static int skip_slashes(address *a)
{
    int n = 0;

    for (; is_slash(a); n++)
        address_next(a);
    return n;
}

/* "host:443" for "HOST:443/path", where that is one of ours. */
static idem_html_target authority_of(address *a, const char *const *own)
{
    char text[256];
    apr_size_t len = 0;

    for (; a->c != AT_END && !is_slash(a) && a->c != '?' && a->c != '#'; address_next(a)) {
        if (a->c >= 0x80 || a->c <= ' ' || a->c == '@' || len + 1 == sizeof(text))
            return IDEM_TARGET_OTHER;
        text[len++] = (char)apr_tolower(a->c);
    }
    text[len] = '\0';
    if (len > 3 && !strcmp(text + len - 3, ":80"))
        text[len - 3] = '\0';
    else if (len > 4 && !strcmp(text + len - 4, ":443"))
        text[len - 4] = '\0';
    for (; len && *own; own++)
        if (!strcmp(text, *own))
            return IDEM_TARGET_OWN;
    return IDEM_TARGET_OTHER;
}

/* The word in front of a colon; 0 where there is none, which takes what looked like one. */
static int scheme_of(address *a, char *scheme, apr_size_t room)
{
    apr_size_t len = 0;

    if (a->c < 'A' || a->c >= 0x80 || !apr_isalpha(a->c))
        return 0;
    for (; a->c == '+' || a->c == '-' || a->c == '.' || (a->c >= 0 && a->c < 0x80 && apr_isalnum(a->c));
         address_next(a))
        if (len + 1 < room)
            scheme[len++] = (char)apr_tolower(a->c);
    scheme[len] = '\0';
    if (a->c != ':')
        return 0;
    address_next(a);
    return 1;
}

idem_html_target idem_html_target_of(const idem_html_value *value, const char *const *own)
{
    address a = {value->text, value->text + value->len, value->cut, 0}, word;
    char scheme[8];

    if (!value->seen || (!value->len && !value->cut))
        return IDEM_TARGET_PAGE;
    do
        address_next(&a);
    while (a.c >= 0 && a.c <= ' ');
    word = a;
    if (scheme_of(&a, scheme, sizeof(scheme))) {
        if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
            return IDEM_TARGET_OTHER;
        return skip_slashes(&a) >= 2 ? authority_of(&a, own) : IDEM_TARGET_OTHER;
    }
    if (a.c == NOT_KEPT)
        return IDEM_TARGET_OTHER; /* what looked like a scheme goes on */
    switch (skip_slashes(&word)) {
    case 0: return IDEM_TARGET_RELATIVE;
    case 1: return word.c == NOT_KEPT ? IDEM_TARGET_OTHER : IDEM_TARGET_RELATIVE;
    default: return authority_of(&word, own);
    }
}

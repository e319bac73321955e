/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_html.c - HTML with texts in it.
 *
 * Called by the parts of the page. What always holds: every text is escaped but the literals of these files, for text
 * and for attributes in double quotes alike.
 */
#include "page.h"

#include <apr_strings.h>
#include <http_protocol.h>

void idem_page_fill(request_rec *r, const char *markup, ...)
{
    const char *dollar, *text;
    va_list texts;

    va_start(texts, markup);
    while ((dollar = strchr(markup, '$')) != NULL && (text = va_arg(texts, const char *)) != NULL) {
        ap_rwrite(markup, (int)(dollar - markup), r);
        ap_rputs(ap_escape_html(r->pool, text), r);
        markup = dollar + 1;
    }
    va_end(texts);
    ap_rputs(markup, r);
}

void idem_page_put_text(request_rec *r, const json_t *text)
{
    const char *at = json_string_value(text), *end = at + json_string_length(text);

    while (at && at < end) {
        apr_size_t len = strlen(at);

        ap_rputs(ap_escape_html(r->pool, at), r);
        at += len;
        if (at < end) {
            ap_rputs("\xef\xbf\xbd", r);
            at++;
        }
    }
}

void idem_page_put_problem(idem_admin_call *call)
{
    const char *status = apr_itoa(call->r->pool, call->problem.status);

    idem_page_put(call->r, "<p class=\"problem\"><strong>$</strong> $</p>\n", status, call->problem.detail);
}

const char *idem_page_word(request_rec *r, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (json_is_integer(value))
        return apr_psprintf(r->pool, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    return json_is_string(value) ? json_string_value(value) : "";
}

apr_time_t idem_page_moment(const json_t *moment)
{
    apr_time_exp_t parts = {.tm_usec = 0};
    apr_time_t time = 0;

    if (!json_is_string(moment) ||
        sscanf(json_string_value(moment), "%4d-%2d-%2dT%2d:%2d:%2d", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
               &parts.tm_hour, &parts.tm_min, &parts.tm_sec) != 6)
        return 0;
    parts.tm_year -= 1900;
    parts.tm_mon--;
    return apr_time_exp_gmt_get(&time, &parts) == APR_SUCCESS ? time : 0;
}

/* "3 min": in the largest unit of which there are two. */
static const char *span_text(request_rec *r, apr_int64_t seconds)
{
    static const struct {
        int seconds;
        const char *name;
    } units[] = {{86400, "days"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    int i = 0;

    while (i < 3 && seconds < 2 * units[i].seconds)
        i++;
    return apr_psprintf(r->pool, "%" APR_INT64_T_FMT " %s", seconds / units[i].seconds, units[i].name);
}

void idem_page_put_moment(request_rec *r, const json_t *moment)
{
    apr_int64_t past = apr_time_sec(apr_time_now()) - apr_time_sec(idem_page_moment(moment));
    const char *exact = json_string_value(moment), *span = span_text(r, past < 0 ? -past : past);

    if (!exact)
        idem_page_put(r, "<span class=\"faint\">not known</span>");
    else
        idem_page_put(r,
                      past < 0 ? "<time datetime=\"$\" title=\"$\">in $</time>"
                               : "<time datetime=\"$\" title=\"$\">$ ago</time>",
                      exact, exact, span);
}

const char *idem_page_size(request_rec *r, json_int_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double size = (double)bytes;
    int unit = 0;

    for (; size >= 1000 && unit < 4; unit++)
        size /= 1000;
    return apr_psprintf(r->pool, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * condition.c - an expression of httpd's that may also ask for values in the request's body.
 *
 * Parsed for each condition of IdempotencyExcept, evaluated by request/except.c, which knows the body. httpd's parser
 * asks find_condition_function() for each function; what is not ours is httpd's own. The parts that form() and json()
 * name are parsed with the configuration, so that a wrong one stops the start.
 */
#include "condition.h"

#include <string.h>

#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(idempotency);

#define READING "idempotency-condition" /* of the pool that httpd's parser works in */

/* What is being parsed. */
typedef struct reading {
    cmd_parms *cmd;
    idem_condition *condition;
} reading;

/* What is being evaluated. */
typedef struct asking {
    idem_condition_value *value;
    void *baton;
} asking;

static const char *condition_value(ap_expr_eval_ctx_t *ctx, const void *part, const char *argument)
{
    const asking *a = ctx->data;
    const char *value = a->value(a->baton, part);

    (void)argument; /* part was made of it */
    return value ? value : "";
}

static const char *read_argument(reading *now, const ap_expr_lookup_parms *parms, idem_part **part)
{
    if (!parms->arg)
        return apr_pstrcat(parms->pool, parms->name, "() takes a name in quotes", NULL);
    *part = apr_palloc(now->cmd->pool, sizeof(**part));
    return idem_part_parse(now->cmd, apr_pstrcat(now->cmd->pool, parms->name, ":", parms->arg, NULL), IDEM_USE_KEY,
                           *part);
}

static int find_condition_function(ap_expr_lookup_parms *parms)
{
    idem_part *part = NULL;
    void *now = NULL;
    const char *wrong;

    if (parms->type != AP_EXPR_FUNC_STRING || (strcmp(parms->name, "form") != 0 && strcmp(parms->name, "json") != 0))
        return ap_expr_lookup_default(parms);
    apr_pool_userdata_get(&now, READING, parms->ptemp);
    wrong = read_argument(now, parms, &part);
    if (wrong) {
        *parms->err = wrong;
        return !OK;
    }
    ((reading *)now)->condition->in_body = 1;
    *parms->func = (const void *)condition_value;
    *parms->data = part;
    return OK;
}

/* An .htaccess file's may not read files, as in parts.c. */
const char *idem_condition_parse(cmd_parms *cmd, const char *text, idem_condition *condition)
{
    unsigned flags = AP_EXPR_FLAG_DONT_VARY | (cmd->pool == cmd->temp_pool ? AP_EXPR_FLAG_RESTRICTED : 0);
    reading now = {cmd, condition};
    const char *err = NULL;

    if (!*text)
        return "takes an expression after expr=, not \"\"";
    apr_pool_userdata_setn(&now, READING, NULL, cmd->temp_pool);
    condition->expr = ap_expr_parse_cmd(cmd, text, flags, &err, find_condition_function);
    apr_pool_userdata_setn(NULL, READING, NULL, cmd->temp_pool);
    return err ? apr_psprintf(cmd->pool, "cannot take the expression \"%s\": %s", text, err) : NULL;
}

int idem_condition_is_met(const idem_condition *condition, request_rec *r, idem_condition_value *value, void *baton)
{
    ap_regmatch_t matches[AP_MAX_REG_MATCH] = {{0, 0}};
    const char *source = NULL, *err = NULL;
    asking a = {value, baton};
    ap_expr_eval_ctx_t ctx = {.r = r,
                              .c = r->connection,
                              .s = r->server,
                              .p = r->pool,
                              .err = &err,
                              .info = condition->expr,
                              .re_pmatch = matches,
                              .re_nmatch = AP_MAX_REG_MATCH,
                              .re_source = &source,
                              .data = &a};

    return ap_expr_exec_ctx(&ctx) > 0 && !err;
}

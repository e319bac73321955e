/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.c - one request to a server's admin API and its JSON answer, by libcurl.
 *
 * Called by remote.c. What always holds: a password comes from a file or a prompt. It goes to the one URL that was
 * given, since no redirection is followed. An answer is bounded in time and size.
 */
#include "cli.h"

#include "remote.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#define ANSWER_MOST ((size_t)64 << 20)
#define WIRE_LINE_MOST 256
#define SILENCE_MOST 60L /* seconds without a byte */

typedef struct wire_text {
    char *bytes;
    size_t len;
} wire_text;

static size_t take_bytes(char *from, size_t size, size_t count, void *baton)
{
    wire_text *text = baton;
    size_t more = size * count;
    char *grown = text->len + more > ANSWER_MOST ? NULL : realloc(text->bytes, text->len + more + 1);

    if (!grown)
        return 0;
    memcpy(grown + text->len, from, more);
    text->bytes = grown;
    text->len += more;
    grown[text->len] = '\0';
    return more;
}

/* An answer that goes on to standard output as it comes. */
typedef struct wire_stream {
    idem_cli *cli;
    CURL *curl;
    wire_text refusal;
    char last[WIRE_LINE_MOST]; /* the line that has begun, or the last one that has ended */
    size_t len;
    int ended;
} wire_stream;

/* A line that is longer is no last one. */
static void note_line(wire_stream *s, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s->ended)
            s->len = 0;
        s->ended = from[i] == '\n';
        if (!s->ended && s->len < sizeof(s->last) - 1)
            s->last[s->len++] = from[i];
    }
    s->last[s->len] = '\0';
}

static size_t pass_to_stdout(char *from, size_t size, size_t count, void *baton)
{
    wire_stream *s = baton;
    long status = 0;

    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return take_bytes(from, size, count, &s->refusal);
    note_line(s, from, size * count);
    if (fwrite(from, size, count, stdout) != count)
        s->cli->closed = 1;
    return s->cli->closed ? 0 : size * count;
}

static const char *read_password(idem_cli *cli)
{
    char line[1024];
    FILE *file;

    if (!cli->password_file)
        return getpass(apr_psprintf(cli->pool, "Password of %s: ", cli->user));
    file = fopen(cli->password_file, "re");
    if (!file || !fgets(line, sizeof(line), file))
        line[0] = '\0';
    if (file)
        fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    return apr_pstrdup(cli->pool, line);
}

static struct curl_slist *set_fields(idem_cli *cli, CURL *curl, const char *body)
{
    struct curl_slist *fields = curl_slist_append(NULL, "Accept: application/json");

    if (body)
        fields = curl_slist_append(fields, "Content-Type: application/json");
    if (cli->token)
        fields = curl_slist_append(fields, apr_pstrcat(cli->pool, "Idempotency-Admin-Token: ", cli->token, NULL));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    return fields;
}

static void set_request(idem_cli *cli, CURL *curl, const char *method, const char *path, const char *body)
{
    apr_size_t len = strlen(cli->url);
    const char *slash = len && cli->url[len - 1] == '/' ? "" : "/";

    curl_easy_setopt(curl, CURLOPT_URL, apr_pstrcat(cli->pool, cli->url, slash, "v1/", path, NULL));
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)apr_time_as_msec(cli->timeout));
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    if (!cli->user)
        return;
    if (!cli->password)
        cli->password = read_password(cli);
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)(CURLAUTH_BASIC | CURLAUTH_DIGEST));
    curl_easy_setopt(curl, CURLOPT_USERNAME, cli->user);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, cli->password);
}

/* What the server's status means to the shell. */
static idem_exit exit_of_status(long status)
{
    switch (status) {
    case 200: return IDEM_EXIT_OK;
    case 400: return IDEM_EXIT_USAGE;
    case 404: return IDEM_EXIT_ABSENT;
    case 401:
    case 403:
    case 409:
    case 412: return IDEM_EXIT_REFUSED;
    case 501: return IDEM_EXIT_UNABLE;
    default: return IDEM_EXIT_FAILED;
    }
}

static idem_exit judge_answer(idem_cli *cli, long status, const wire_text *text, json_t **answer)
{
    json_error_t error;
    const char *detail;

    *answer = text->bytes ? json_loadb(text->bytes, text->len, 0, &error) : NULL;
    if (status == 200 && *answer)
        return IDEM_EXIT_OK;
    detail = json_string_value(json_object_get(*answer, "detail"));
    if (status == 200 || (status == 404 && !detail))
        idem_cli_fail(cli, IDEM_EXIT_FAILED, "%s: there is no admin API", cli->url);
    else
        idem_cli_fail(cli, IDEM_EXIT_FAILED, "%s: %s (%ld)", cli->url, detail ? detail : "the server refused", status);
    json_decref(*answer);
    *answer = NULL;
    return status == 200 || (status == 404 && !detail) ? IDEM_EXIT_FAILED : exit_of_status(status);
}

idem_exit idem_cli_ask(idem_cli *cli, const char *method, const char *path, const char *body, json_t **answer)
{
    CURL *curl = curl_easy_init();
    wire_text text = {NULL, 0};
    struct curl_slist *fields;
    idem_exit code;
    CURLcode rv;
    long status = 0;

    *answer = NULL;
    if (!curl)
        return idem_cli_fail(cli, IDEM_EXIT_FAILED, "libcurl cannot be used");
    set_request(cli, curl, method, path, body);
    fields = set_fields(cli, curl, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &text);
    rv = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (rv == CURLE_OK)
        code = judge_answer(cli, status, &text, answer);
    else
        code = idem_cli_fail(cli, IDEM_EXIT_FAILED, "%s: %s", cli->url, curl_easy_strerror(rv));
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    free(text.bytes);
    return code;
}

static idem_exit judge_stream(wire_stream *s, CURLcode rv, long status, json_t **last)
{
    idem_cli *cli = s->cli;
    json_error_t error;

    if (cli->closed)
        return IDEM_EXIT_OK;
    if (rv != CURLE_OK)
        return idem_cli_fail(cli, IDEM_EXIT_FAILED, "%s: %s", cli->url, curl_easy_strerror(rv));
    if (status != 200)
        return judge_answer(cli, status, &s->refusal, last);
    *last = s->ended ? json_loads(s->last, 0, &error) : NULL;
    if (json_is_true(json_object_get(*last, "end")))
        return IDEM_EXIT_OK;
    return idem_cli_fail(cli, IDEM_EXIT_FAILED, "%s: the answer broke off: something is missing", cli->url);
}

idem_exit idem_cli_pass_on(idem_cli *cli, const char *path, json_t **last)
{
    wire_stream s = {.cli = cli, .curl = curl_easy_init()};
    struct curl_slist *fields;
    idem_exit code;
    CURLcode rv;
    long status = 0;

    *last = NULL;
    if (!s.curl)
        return idem_cli_fail(cli, IDEM_EXIT_FAILED, "libcurl cannot be used");
    set_request(cli, s.curl, "GET", path, NULL);
    fields = set_fields(cli, s.curl, NULL);
    curl_easy_setopt(s.curl, CURLOPT_TIMEOUT_MS, 0L);
    curl_easy_setopt(s.curl, CURLOPT_CONNECTTIMEOUT_MS, (long)apr_time_as_msec(cli->timeout));
    curl_easy_setopt(s.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(s.curl, CURLOPT_LOW_SPEED_TIME, SILENCE_MOST);
    curl_easy_setopt(s.curl, CURLOPT_WRITEFUNCTION, pass_to_stdout);
    curl_easy_setopt(s.curl, CURLOPT_WRITEDATA, &s);
    rv = curl_easy_perform(s.curl);
    curl_easy_getinfo(s.curl, CURLINFO_RESPONSE_CODE, &status);
    code = judge_stream(&s, rv, status, last);
    curl_slist_free_all(fields);
    curl_easy_cleanup(s.curl);
    free(s.refusal.bytes);
    return code;
}

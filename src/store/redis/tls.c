/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.c - TLS to Redis: the context of a process, its sessions, and the handshake of one connection.
 *
 * Called where connections are made and used. hiredis speaks TLS from 1.0 on, Debian 12 has 0.14. So OpenSSL is used
 * here, over the driver's own socket and deadlines, and hiredis formats commands and parses replies as ever: one path
 * for all versions. What always holds: the certificate has to be signed by whom ca= has, or by whom the system trusts,
 * and has to name the host of the address, or servername=; nothing is sent before that; TLS 1.2 is the oldest version;
 * a context is made in the process that uses it. A session is used again with the same server only, and forgotten when
 * a handshake with it fails. Limits: no lists of revoked certificates; no renegotiation.
 */
#include "redis_private.h"

#include <apr_strings.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#define ENDED (-1) /* instead of an error number: the other side has closed it */

/* ---- the socket, as OpenSSL sees it ------------------------------------------------------------------------------ */

/* OpenSSL's own writes with write(), which raises a signal on a closed connection. */
static int tls_socket_write(BIO *bio, const char *data, int len)
{
    idem_redis_conn *conn = BIO_get_data(bio);
    ssize_t sent = send(conn->redis->fd, data, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);

    BIO_clear_retry_flags(bio);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_write(bio);
    else if (sent < 0)
        conn->broken = errno;
    return (int)sent;
}

static int tls_socket_read(BIO *bio, char *to, int room)
{
    idem_redis_conn *conn = BIO_get_data(bio);
    ssize_t got = recv(conn->redis->fd, to, (size_t)room, MSG_DONTWAIT);

    BIO_clear_retry_flags(bio);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_read(bio);
    else if (got <= 0)
        conn->broken = got < 0 ? errno : ENDED;
    return (int)got;
}

static long tls_socket_control(BIO *bio, int command, long number, void *data)
{
    (void)bio, (void)number, (void)data;
    return command == BIO_CTRL_FLUSH;
}

static int tls_socket_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *make_socket_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "Redis");

    if (method) {
        BIO_meth_set_write(method, tls_socket_write);
        BIO_meth_set_read(method, tls_socket_read);
        BIO_meth_set_ctrl(method, tls_socket_control);
        BIO_meth_set_create(method, tls_socket_create);
    }
    return method;
}

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

/* Where the server's session stands, or would stand. The lock is held. */
static idem_redis_session *session_of(idem_redis_tls *tls, const char *server)
{
    for (int i = 0; i < IDEM_REDIS_SESSIONS; i++)
        if (strcmp(tls->sessions[i].server, server) == 0)
            return &tls->sessions[i];
    return NULL;
}

/* OpenSSL gives us its hold on the session if 1 is returned. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    idem_redis_conn *conn = SSL_get_app_data(ssl);
    idem_redis_tls *tls = conn->tls;
    idem_redis_session *place;

    apr_thread_mutex_lock(tls->lock);
    place = session_of(tls, conn->server);
    if (!place) {
        place = &tls->sessions[tls->next_session++ % IDEM_REDIS_SESSIONS];
        apr_cpystrn(place->server, conn->server, sizeof(place->server));
        place->refused = 0;
    }
    if (!place->refused) {
        SSL_SESSION_free(place->session);
        place->session = session;
    }
    session = place->refused ? NULL : session;
    apr_thread_mutex_unlock(tls->lock);
    return session != NULL;
}

/* The one that stands, with a hold of its own on it; NULL for none. */
static SSL_SESSION *kept_session(idem_redis_tls *tls, const char *server)
{
    SSL_SESSION *session = NULL;
    idem_redis_session *place;

    apr_thread_mutex_lock(tls->lock);
    place = session_of(tls, server);
    if (place && place->session && SSL_SESSION_up_ref(place->session))
        session = place->session;
    apr_thread_mutex_unlock(tls->lock);
    return session;
}

/* A server that fails with the sessions it gave out itself gets none any more. */
void idem_redis_tls_forget_session(idem_redis_conn *conn)
{
    idem_redis_session *place;

    apr_thread_mutex_lock(conn->tls->lock);
    place = session_of(conn->tls, conn->server);
    if (place) {
        SSL_SESSION_free(place->session);
        place->session = NULL;
        place->refused = 1;
    }
    apr_thread_mutex_unlock(conn->tls->lock);
}

/* ---- the context of a process ------------------------------------------------------------------------------------ */

static const char *tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "no reason given";
}

static int use_certificate(const idem_redis_tls *tls)
{
    return SSL_CTX_use_certificate(tls->context, tls->leaf) && SSL_CTX_set1_chain(tls->context, tls->chain) &&
           SSL_CTX_use_PrivateKey(tls->context, tls->secret);
}

static const char *set_trust(const idem_redis_tls *tls, apr_pool_t *pool)
{
    if (!tls->trust)
        return SSL_CTX_set_default_verify_paths(tls->context)
                   ? NULL
                   : apr_psprintf(pool, "the system's trusted certificates cannot be read: %s", tls_reason());
    X509_STORE_up_ref(tls->trust);
    SSL_CTX_set_cert_store(tls->context, tls->trust);
    /* ca= may name the server's own certificate, too. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(tls->context), X509_V_FLAG_PARTIAL_CHAIN);
    return NULL;
}

static void set_rules(const idem_redis_tls *tls)
{
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls->context, keep_session);
}

apr_status_t idem_redis_tls_start(idem_redis_tls *tls, apr_pool_t *pool, const char **why)
{
    apr_status_t rv = APR_SUCCESS;

    if (!tls)
        return APR_SUCCESS;
    ERR_clear_error();
    memset(tls->sessions, 0, sizeof(tls->sessions));
    tls->context = SSL_CTX_new(TLS_client_method());
    tls->method = make_socket_method();
    if (!tls->context || !tls->method)
        *why = "no memory for TLS";
    else
        rv = apr_thread_mutex_create(&tls->lock, APR_THREAD_MUTEX_DEFAULT, pool);
    if (rv != APR_SUCCESS)
        *why = "no lock for the sessions of TLS";
    if (!*why) {
        set_rules(tls);
        *why = set_trust(tls, pool);
    }
    if (!*why && tls->leaf && !use_certificate(tls))
        *why = apr_psprintf(pool, "OpenSSL does not take cert=%s with key=%s: %s", tls->cert, tls->key, tls_reason());
    ERR_clear_error();
    if (!*why)
        return APR_SUCCESS;
    idem_redis_tls_stop(tls);
    return APR_EGENERAL;
}

void idem_redis_tls_stop(idem_redis_tls *tls)
{
    if (!tls)
        return;
    for (int i = 0; i < IDEM_REDIS_SESSIONS; i++) {
        SSL_SESSION_free(tls->sessions[i].session);
        tls->sessions[i].session = NULL;
    }
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    tls->context = NULL;
    tls->method = NULL;
}

/* ---- what went wrong --------------------------------------------------------------------------------------------- */

static int is_alert(unsigned long error, int alert)
{
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_AD_REASON_OFFSET + alert;
}

/* A server that wants a certificate says so after its part of the handshake (TLS 1.3), or only that it failed. */
static int wants_certificate(const idem_redis_tls *tls, unsigned long error)
{
    return !tls->leaf && (is_alert(error, SSL_AD_CERTIFICATE_REQUIRED) || is_alert(error, SSL_AD_HANDSHAKE_FAILURE));
}

static const char *reason_of_socket(const idem_redis_conn *conn)
{
    return conn->broken && conn->broken != ENDED ? strerror(conn->broken) : "Redis closed it";
}

/* Of what SSL_get_error() has called a failure; the thread's errors are taken. */
const char *idem_redis_tls_fault(const idem_redis_conn *conn, apr_pool_t *pool)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(error);

    ERR_clear_error();
    if (error && wants_certificate(conn->tls, error))
        return apr_psprintf(pool, "it wants a certificate of its clients, options cert= and key= (%s)", reason);
    if (!error || conn->broken || !reason)
        return reason_of_socket(conn);
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER)
        return "it does not speak TLS: name its tls-port, or write redis:// for its plain port";
    return reason;
}

static const char *name_wanted(const idem_redis_tls *tls, const idem_redis_address *address)
{
    return tls->servername ? tls->servername : address->host;
}

static const char *verdict_on(const idem_redis_conn *conn, const idem_redis_address *address, apr_pool_t *pool)
{
    long verdict = SSL_get_verify_result(conn->ssl);
    const idem_redis_tls *tls = conn->tls;

    switch (verdict) {
    case X509_V_OK: return NULL;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return apr_psprintf(pool, "its certificate is not for %s: name it as its certificate does, or say servername=",
                            name_wanted(tls, address));
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return apr_psprintf(pool, "its certificate is not valid today: %s", X509_verify_cert_error_string(verdict));
    default:
        return apr_psprintf(pool, "its certificate is not trusted by %s: %s",
                            tls->ca ? apr_pstrcat(pool, "ca=", tls->ca, NULL) : "this system (option ca= is not given)",
                            X509_verify_cert_error_string(verdict));
    }
}

static apr_status_t handshake_failed(const idem_redis_conn *conn, idem_call *call, const idem_redis_address *address)
{
    const char *fault = verdict_on(conn, address, call->pool);

    if (!fault)
        fault = idem_redis_tls_fault(conn, call->pool);
    ERR_clear_error();
    return idem_fail(call, APR_ECONNREFUSED, "the TLS handshake with Redis at %s:%u failed: %s", address->host,
                     address->port, fault);
}

/* ---- the handshake ----------------------------------------------------------------------------------------------- */

/* A number is looked for among the certificate's numbers, and is no name to be sent. */
static int expect_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(rules, name))
        return 1;
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(rules, name, 0) && SSL_set_tlsext_host_name(ssl, name);
}

static int make_ssl(idem_redis_conn *conn, const idem_redis_address *address)
{
    BIO *bio = BIO_new(conn->tls->method);
    SSL_SESSION *session = kept_session(conn->tls, conn->server);

    conn->ssl = SSL_new(conn->tls->context);
    if (!bio || !conn->ssl || !expect_name(conn->ssl, name_wanted(conn->tls, address))) {
        BIO_free(bio);
        SSL_SESSION_free(session);
        return 0;
    }
    BIO_set_data(bio, conn);
    SSL_set_bio(conn->ssl, bio, bio);
    SSL_set_app_data(conn->ssl, conn);
    conn->offered = session && SSL_set_session(conn->ssl, session);
    SSL_SESSION_free(session);
    return 1;
}

static void note_tls(idem_redis_conn *conn)
{
    apr_snprintf(conn->facts.tls, sizeof(conn->facts.tls), "%s%s", SSL_get_version(conn->ssl),
                 SSL_session_reused(conn->ssl) ? " resumed" : "");
}

apr_status_t idem_redis_tls_greet(idem_redis_conn *conn, idem_redis_tls *tls, idem_call *call,
                                  const idem_redis_address *address)
{
    apr_status_t rv = APR_SUCCESS;
    int done;

    conn->tls = tls;
    apr_snprintf(conn->server, sizeof(conn->server), "%s:%u", address->host, address->port);
    ERR_clear_error();
    if (!make_ssl(conn, address))
        return idem_fail(call, APR_ENOMEM, "no memory for TLS to Redis");
    while (rv == APR_SUCCESS && (done = SSL_connect(conn->ssl)) != 1) {
        int error = SSL_get_error(conn->ssl, done);

        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            return handshake_failed(conn, call, address);
        rv = idem_redis_wait(conn, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, call);
        ERR_clear_error();
    }
    if (rv == APR_TIMEUP)
        return idem_fail(call, rv,
                         "Redis at %s:%u did not answer in time: the TLS handshake was not finished (is it its "
                         "tls-port?)",
                         address->host, address->port);
    if (rv == APR_SUCCESS)
        note_tls(conn);
    return rv;
}

void idem_redis_tls_end(idem_redis_conn *conn)
{
    if (!conn->ssl)
        return;
    ERR_clear_error();
    if (!SSL_in_init(conn->ssl))
        SSL_shutdown(conn->ssl); /* says goodbye, and waits for nobody; else the session would count as broken */
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    ERR_clear_error();
}

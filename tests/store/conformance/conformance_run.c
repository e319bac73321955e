/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_run.c - runs cases one after another, each in a process, and says how they went.
 *
 * A case that crashes, hangs or exits by itself has failed like one whose check did. The process that runs this is
 * never attached to a store.
 */
#include "conformance_kit.h"

#include <apr_strings.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASE_TIME 300 /* seconds: a hang, not slowness under a checker */

static idem_conformance_effort effort;

#ifdef __SANITIZE_THREAD__
/* It does not know pthread_mutex_clocklock(), nor that a lock can be inherited from a dead owner. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "mutex:idem_filelock_release\n";
}
#endif

void idem_conformance_set_effort(const idem_conformance_effort *wanted)
{
    effort = *wanted;
}

void *kit_share(kit *k, apr_size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        kit_fail(k, __FILE__, __LINE__, "no shared memory: %s", strerror(errno));
    return p;
}

void kit_init(kit *k, apr_pool_t *pool)
{
    memset(k, 0, sizeof(*k));
    k->pool = pool;
    k->effort.rounds = effort.rounds ? effort.rounds : 10000;
    k->effort.kills = effort.kills ? effort.kills : 40;
    k->effort.seed = effort.seed ? effort.seed : 1;
    k->shared = kit_share(k, sizeof(*k->shared));
}

__attribute__((format(printf, 2, 0))) static void say(kit *k, const char *format, va_list args)
{
    vsnprintf(k->shared->failure, sizeof(k->shared->failure), format, args);
}

void kit_skip(kit *k, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(k, format, args);
    va_end(args);
    _exit(KIT_EXIT_SKIPPED);
}

/* The first failure is the one that is told. */
void kit_fail(kit *k, const char *file, int line, const char *format, ...)
{
    char text[900];
    va_list args;
    const char *base = strrchr(file, '/');

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (atomic_exchange(&k->shared->failed, 1) == 0)
        snprintf(k->shared->failure, sizeof(k->shared->failure), "%s:%d: %s", base ? base + 1 : file, line, text);
    _exit(1);
}

const char *kit_status(apr_status_t status)
{
    static const struct {
        apr_status_t status;
        const char *name;
    } names[] = {
        {APR_SUCCESS, "SUCCESS"},  {APR_EEXIST, "EEXIST"},      {APR_NOTFOUND, "NOTFOUND"}, {APR_TIMEUP, "TIMEUP"},
        {APR_EINVAL, "EINVAL"},    {APR_ENOTIMPL, "ENOTIMPL"},  {IDEM_ELOST, "ELOST"},      {IDEM_EFULL, "EFULL"},
        {IDEM_ETOOBIG, "ETOOBIG"}, {IDEM_EDAMAGED, "EDAMAGED"}, {IDEM_EALIVE, "EALIVE"},
    };
    static __thread char other[32];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].status == status)
            return names[i].name;
    }
    snprintf(other, sizeof(other), "status %d", status);
    return other;
}

void kit_expect(worker *w, const char *file, int line, const char *what, apr_status_t is, apr_status_t wanted)
{
    if (is != wanted)
        kit_fail(w->k, file, line, "%s gave %s, not %s%s%s", what, kit_status(is), kit_status(wanted),
                 w->call.why ? ": " : "", w->call.why ? w->call.why : "");
}

/* ---- one case ---------------------------------------------------------------------------------------------------- */

static void prepare_shared(kit *k)
{
    memset(k->shared, 0, sizeof(*k->shared));
    for (int i = 0; i < KIT_GATES; i++)
        sem_init(&k->shared->gate[i], 1, 0);
}

/* Whatever a server has set up is not for a process of ours. */
static void own_signals(void)
{
    static const int reset[] = {SIGTERM, SIGCHLD, SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGHUP, SIGUSR1, SIGPIPE, SIGINT};
    sigset_t none;

    for (size_t i = 0; i < sizeof(reset) / sizeof(reset[0]); i++)
        signal(reset[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int run_in_process(kit *k, const kit_case *c)
{
    int status = 0;
    pid_t parent = getpid(), pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        own_signals();
        alarm(CASE_TIME);
        c->run(k);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 ? status : -1;
}

static void run_case(kit *k, const kit_case *c, int number, kit_score *score)
{
    int status;
    const char *said = k->shared->failure;

    prepare_shared(k);
    if (k->store && (k->store->flags & c->excused)) {
        printf("ok %d - %s # skipped: this store does not promise it\n", number, c->name);
        score->skipped++;
        return;
    }
    status = run_in_process(k, c);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        printf("ok %d - %s\n", number, c->name);
        score->passed++;
    }
    else if (WIFEXITED(status) && WEXITSTATUS(status) == KIT_EXIT_SKIPPED) {
        printf("ok %d - %s # skipped: %s\n", number, c->name, said);
        score->skipped++;
    }
    else {
        const char *death = WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it ended without a word";
        printf("not ok %d - %s: %s\n", number, c->name, said[0] ? said : death);
        score->failed++;
    }
}

void kit_run_cases(kit *k, const kit_case *cases, const char *select, kit_score *score)
{
    for (; cases->name; cases++) {
        if (!select || (*select == '!' ? !strstr(cases->name, select + 1) : strstr(cases->name, select) != NULL))
            run_case(k, cases, score->passed + score->failed + score->skipped + 1, score);
        fflush(stdout);
    }
}

int kit_finish(const kit_score *score)
{
    printf("%d passed, %d failed, %d skipped\n", score->passed, score->failed, score->skipped);
    fflush(stdout);
    return score->failed;
}

/* ---- the suite --------------------------------------------------------------------------------------------------- */

idem_store *kit_open(kit *k, apr_pool_t *pool)
{
    idem_store *store = NULL;
    const char *why = NULL;
    apr_status_t status = k->driver->configure(&store, k->env, k->rest, k->options, pool, &why);

    if (status == APR_SUCCESS)
        status = k->driver->open(store, pool, &why);
    if (status == APR_SUCCESS)
        return store;
    fprintf(stderr, "cannot open %s:%s: %s (%s)\n", k->driver->scheme, k->rest, why ? why : "no reason given",
            kit_status(status));
    return NULL;
}

int idem_conformance_run(const idem_driver *driver, const idem_env *env, const char *rest, const char *const *options,
                         const char *select)
{
    static const kit_case *const all[] = {kit_cases_slot, kit_cases_value, kit_cases_time,
                                          kit_cases_race, kit_cases_owner, kit_cases_full};
    apr_pool_t *pool;
    kit_score score = {0, 0, 0};
    kit k;

    if (apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return 1;
    kit_init(&k, pool);
    k.driver = driver;
    k.env = env;
    k.rest = rest;
    k.options = options;
    k.store = kit_open(&k, pool);
    if (k.store) {
        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
            kit_run_cases(&k, all[i], select, &score);
    }
    else
        score.failed = 1;
    apr_pool_destroy(pool);
    munmap(k.shared, sizeof(*k.shared));
    return kit_finish(&score);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notifier.c - the process that runs IdempotencyNotify's program.
 *
 * Forked by the parent (notify.c), as the server's user, with one thread, no listening socket and no store. It reads
 * posts, puts posts of one kind and store together, and runs the program. One program runs at a time, for each kind and
 * store at most once in IdempotencyNotifyEvery. The notifier ends a program after that time, or after LONGEST. A store
 * counts as back when no process of the server leaves it out any more. Told to end, it runs the program for what is
 * left, waits for nothing, and ends.
 */
#include "notify_private.h"

#include "log.h"
#include "metrics.h"
#include "threads.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#define LONGEST apr_time_from_sec(30) /* that the program may run */
#define MERCY apr_time_from_sec(5)    /* between SIGTERM and SIGKILL */
#define LOOK apr_time_from_msec(100)  /* while it runs, or a store is down */
#define FORGET apr_time_from_sec(300) /* a store that nobody called full for so long has room again */
#define SUBJECTS 64                   /* kinds and stores; others are not told of */
#define SLOTS 8                       /* named in one run; all are counted */
#define KNOWN 256                     /* slots that were told of, and are not told of again */
#define STEP 5                        /* percent more, and a full store is told of once more */

static const char *const names[IDEM_TELLS] = {
    [IDEM_TELL_UNKNOWN] = "outcome-unknown", [IDEM_TELL_LOST] = "lease-lost",
    [IDEM_TELL_DOWN] = "store-down",         [IDEM_TELL_UP] = "store-up",
    [IDEM_TELL_FULL] = "store-nearly-full",
};

/* All that is known of one kind of notice about one store. Times are monotonic. */
typedef struct subject {
    idem_notice what;
    char store[IDEM_POST_STORE];
    int is_waiting; /* to be told */
    int is_down;    /* of IDEM_TELL_DOWN: posted, and not yet back */
    int percent, told_percent;
    unsigned count, slots;
    unsigned char slot[SLOTS][4];
    apr_interval_time_t not_before, heard;
} subject;

static struct {
    server_rec *server;
    const char *command;
    char **argv;
    int argc;
    apr_interval_time_t every;
    subject subjects[SUBJECTS];
    int subject_count;
    unsigned char known[IDEM_TELLS][KNOWN][4];
    unsigned known_count[IDEM_TELLS];
    pid_t program; /* that runs; 0: none */
    apr_interval_time_t ends;
    int is_asked; /* it was sent SIGTERM */
} self;

static volatile sig_atomic_t told_to_end;

static void on_end(int signal)
{
    (void)signal;
    told_to_end = 1;
}

/* ---- what is posted ---------------------------------------------------------------------------------------------- */

static subject *subject_of(idem_notice what, const char *store)
{
    subject *s;

    for (int i = 0; i < self.subject_count; i++)
        if (self.subjects[i].what == what && !strcmp(self.subjects[i].store, store))
            return &self.subjects[i];
    if (self.subject_count == SUBJECTS)
        return NULL;
    s = &self.subjects[self.subject_count++];
    s->what = what;
    apr_cpystrn(s->store, store, sizeof(s->store));
    return s;
}

/* A client that asks for ever is one case for the administrator. */
static int is_known_slot(idem_notice what, const unsigned char slot[4])
{
    unsigned count = self.known_count[what];

    for (unsigned i = 0; i < KNOWN && i < count; i++)
        if (!memcmp(self.known[what][i], slot, 4))
            return 1;
    memcpy(self.known[what][count % KNOWN], slot, 4);
    self.known_count[what]++;
    return 0;
}

static void take_slot(subject *s, const unsigned char slot[4])
{
    if (s->slots < SLOTS)
        memcpy(s->slot[s->slots++], slot, 4);
}

/* Is there more to say than was said? */
static int is_news(subject *s, const idem_post *post, apr_interval_time_t now)
{
    int is_new = 1;

    if (post->has_slot && is_known_slot(s->what, post->slot))
        return 0;
    if (s->what == IDEM_TELL_DOWN) {
        is_new = !s->is_down;
        s->is_down = 1;
    }
    if (s->what == IDEM_TELL_FULL) {
        is_new = now - s->heard > FORGET || post->percent >= s->told_percent + STEP || s->is_waiting;
        s->heard = now;
        s->percent = post->percent;
    }
    return is_new;
}

static void take_post(const idem_post *post)
{
    subject *s = NULL;

    if (post->size == sizeof(*post) && post->what >= 0 && post->what < IDEM_TELLS)
        s = subject_of((idem_notice)post->what, post->store);
    if (!s || !is_news(s, post, idem_monotonic()))
        return;
    s->is_waiting = 1;
    s->count++;
    if (post->has_slot)
        take_slot(s, post->slot);
}

static void read_posts(int pipe)
{
    idem_post post;

    while (read(pipe, &post, sizeof(post)) == (ssize_t)sizeof(post)) {
        post.store[sizeof(post.store) - 1] = '\0';
        take_post(&post);
    }
}

/* A store that nobody leaves out any more is back. Where its end comes before its beginning was told, neither is. */
static void look_for_stores(void)
{
    for (int i = 0; i < self.subject_count; i++) {
        subject *down = &self.subjects[i], *up;

        if (!down->is_down || idem_metrics_open_breakers(down->store))
            continue;
        down->is_down = 0;
        up = subject_of(IDEM_TELL_UP, down->store);
        if (!down->is_waiting && up) {
            up->is_waiting = 1;
            up->count = 1;
        }
        down->is_waiting = 0;
    }
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static const char *sentence_of(const subject *s, const char *slots, apr_pool_t *pool)
{
    switch (s->what) {
    case IDEM_TELL_UNKNOWN:
        return apr_psprintf(pool, "nobody knows what became of %u request(s), slots %s", s->count, slots);
    case IDEM_TELL_LOST:
        return apr_psprintf(pool, "%u request(s) lost their keys while they ran, slots %s", s->count, slots);
    case IDEM_TELL_DOWN: return apr_psprintf(pool, "store %s does not answer", s->store);
    case IDEM_TELL_UP: return apr_psprintf(pool, "store %s answers again", s->store);
    default: return apr_psprintf(pool, "store %s is %d %% full", s->store, s->percent);
    }
}

static const char *slots_of(const subject *s, apr_pool_t *pool)
{
    const char *slots = "";

    for (unsigned i = 0; i < s->slots; i++)
        slots = apr_psprintf(pool, "%s%s%02x%02x%02x%02x", slots, i ? " " : "", s->slot[i][0], s->slot[i][1],
                             s->slot[i][2], s->slot[i][3]);
    return slots;
}

/* Nothing of the server's environment, which may hold secrets, and of its descriptors what it writes its log to. */
static void become_program(char **argv, char **environment)
{
    static const int usual[] = {SIGTERM, SIGHUP, SIGUSR1, SIGINT, SIGPIPE, SIGCHLD, SIGWINCH};
    int null = open("/dev/null", O_RDWR);
    sigset_t none;

    setsid(); /* a group of its own, which can be ended as a whole */
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        signal(usual[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
        close(fd);
    if (chdir("/") == 0)
        execve(argv[0], argv, environment);
    _exit(127);
}

/* Behind the words of the directive: the event and the sentence, as mod_md does it. */
static void run_program(subject *s, apr_pool_t *pool)
{
    const char *slots = slots_of(s, pool), *sentence = sentence_of(s, slots, pool);
    char **argv = apr_pcalloc(pool, (apr_size_t)(self.argc + 3) * sizeof(*argv));
    char *environment[] = {
        apr_pstrdup(pool, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        apr_pstrcat(pool, "IDEMPOTENCY_EVENT=", names[s->what], NULL),
        apr_pstrcat(pool, "IDEMPOTENCY_STORE=", s->store, NULL),
        apr_pstrcat(pool, "IDEMPOTENCY_SLOTS=", slots, NULL),
        apr_psprintf(pool, "IDEMPOTENCY_COUNT=%u", s->count),
        apr_psprintf(pool, "IDEMPOTENCY_PERCENT=%d", s->percent),
        apr_pstrcat(pool, "IDEMPOTENCY_SERVER=", self.server->server_hostname ? self.server->server_hostname : "",
                    NULL),
        NULL,
    };

    memcpy(argv, self.argv, (apr_size_t)self.argc * sizeof(*argv));
    argv[self.argc] = apr_pstrdup(pool, names[s->what]);
    argv[self.argc + 1] = apr_pstrdup(pool, sentence);
    self.program = fork();
    if (!self.program)
        become_program(argv, environment);
    if (self.program < 0)
        self.program = 0;
    self.ends = idem_monotonic() + (self.every < LONGEST ? self.every : LONGEST);
    self.is_asked = 0;
    IDEM_SLOG(self.server, APLOG_INFO, 224, "IdempotencyNotify is told: %s: %s", names[s->what], sentence);
    s->told_percent = s->percent;
    s->is_waiting = 0;
    s->count = s->slots = 0;
    s->not_before = idem_monotonic() + self.every;
}

static void run_next(int even_if_early)
{
    apr_interval_time_t now = idem_monotonic();
    apr_pool_t *pool;

    for (int i = 0; i < self.subject_count && !self.program; i++) {
        subject *s = &self.subjects[i];

        if (!s->is_waiting || (now < s->not_before && !even_if_early))
            continue;
        apr_pool_create(&pool, NULL);
        run_program(s, pool);
        apr_pool_destroy(pool);
        if (even_if_early)
            self.program = 0; /* nobody waits for it any more */
    }
}

static void look_after_program(void)
{
    int status;

    if (!self.program)
        return;
    if (waitpid(self.program, &status, WNOHANG) == self.program) {
        self.program = 0;
        if (!WIFEXITED(status) || WEXITSTATUS(status))
            IDEM_SLOG(self.server, APLOG_WARNING, 222, "IdempotencyNotify: %s %s %d", self.command,
                      WIFEXITED(status) ? "failed with exit code" : "was ended by signal",
                      WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        return;
    }
    if (idem_monotonic() < self.ends)
        return;
    kill(-self.program, self.is_asked ? SIGKILL : SIGTERM);
    self.is_asked = 1;
    self.ends = idem_monotonic() + MERCY;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static int has_something_to_do(void)
{
    if (self.program)
        return 1;
    for (int i = 0; i < self.subject_count; i++)
        if (self.subjects[i].is_waiting || self.subjects[i].is_down)
            return 1;
    return 0;
}

/* Returns the revents of the pipe. Signals come here and nowhere else. */
static short wait_for_posts(int pipe, const sigset_t *usual)
{
    struct pollfd fd = {pipe, POLLIN, 0};
    struct timespec pause = {0, (long)LOOK * 1000};

    if (ppoll(&fd, 1, has_something_to_do() ? &pause : NULL, usual) < 0)
        return 0;
    return fd.revents;
}

static void set_signals(sigset_t *usual)
{
    struct sigaction action;
    sigset_t ours;

    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_end;
    sigaction(SIGTERM, &action, NULL);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGWINCH, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigprocmask(SIG_BLOCK, &ours, usual);
    sigdelset(usual, SIGTERM);
}

void idem_notifier_run(server_rec *s, int pipe, const char *command, apr_interval_time_t every, apr_pool_t *pool)
{
    sigset_t usual;
    short found = 0;

    self.server = s;
    self.command = command;
    self.every = every;
    set_signals(&usual);
    if (apr_tokenize_to_argv(command, &self.argv, pool) != APR_SUCCESS)
        _exit(1);
    while (self.argv[self.argc])
        self.argc++;
    while (!told_to_end && !(found & POLLHUP)) { /* POLLHUP: parent and children are gone */
        found = wait_for_posts(pipe, &usual);
        read_posts(pipe);
        look_after_program();
        look_for_stores();
        run_next(0);
    }
    read_posts(pipe);
    self.program = 0;
    run_next(1);
    _exit(0);
}

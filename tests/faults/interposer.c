/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interposer.c - a preloaded library that makes the n-th call of a class fail, within one request.
 *
 * Called by everything in httpd's process that calls the C library through its own symbol: httpd, APR, the module,
 * LMDB, hiredis, libcrypto. Calls count from the moment at which mod_idem_faults.c arms it until it is disarmed. They
 * count in the thread that serves the request or, if the order says so, in every thread of that process. The origin's
 * calls never count: its ledger is the judge's. Calls that the C library makes to itself cannot be seen here, except
 * for memory. tests/store/lmdb/durability_interposer.c is another thing: it follows one file for the life of one
 * process, to know what of it would survive.
 */
#include "interposer.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAMES 40
#define EXEMPT "mod_idem_origin" /* its calls are the ledger's */
#define POOLS "libapr-1.so"      /* memory is asked for by its allocator */

typedef struct range {
    const char *low, *high;
} range;

static fault_page *page;
static atomic_int armed_thread; /* its kernel number; 0: not armed */
static int own_process;
static range exempt, pools;
static __thread int own_number, inside; /* inside: this library's own calls */

/* ---- who calls --------------------------------------------------------------------------------------------------- */

static int is_in(const range *r, const void *caller)
{
    return (const char *)caller >= r->low && (const char *)caller < r->high;
}

static int find_ranges(struct dl_phdr_info *info, size_t size, void *unused)
{
    range *found = strstr(info->dlpi_name, EXEMPT) ? &exempt : strstr(info->dlpi_name, POOLS) ? &pools : NULL;

    (void)size;
    (void)unused;
    for (int i = 0; found && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];

        if (part->p_type == PT_LOAD && (part->p_flags & PF_X)) {
            found->low = (const char *)(info->dlpi_addr + part->p_vaddr);
            found->high = found->low + part->p_memsz;
        }
    }
    return 0;
}

static int own_thread(void)
{
    if (!own_number)
        own_number = (int)syscall(SYS_gettid);
    return own_number;
}

/* ---- what is told ------------------------------------------------------------------------------------------------ */

static void tell(const char *name)
{
    size_t used = strlen(page->text);
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES), pipe_ends[2];
    ssize_t got;

    used += (size_t)snprintf(page->text + used, FAULTS_TEXT - used, "%s\n", name);
    if (used >= FAULTS_TEXT - 1 || syscall(SYS_pipe2, pipe_ends, O_NONBLOCK) != 0)
        return;
    backtrace_symbols_fd(frames, count, pipe_ends[1]); /* the form that needs no memory */
    while (used < FAULTS_TEXT - 1 &&
           (got = syscall(SYS_read, pipe_ends[0], page->text + used, FAULTS_TEXT - 1 - used)) > 0)
        used += (size_t)got;
    page->text[used] = '\0';
    syscall(SYS_close, pipe_ends[0]);
    syscall(SYS_close, pipe_ends[1]);
}

/* A crash says where, and then happens as it would have. */
static void crashed(int signal)
{
    struct sigaction as_usual = {.sa_handler = SIG_DFL};

    inside = 1;
    if (page) {
        atomic_store(&page->crashed, signal);
        tell(strsignal(signal));
    }
    sigaction(signal, &as_usual, NULL);
    raise(signal);
}

/* ---- armed and disarmed ------------------------------------------------------------------------------------------ */

static void disarm(void)
{
    atomic_store(&armed_thread, 0);
    own_number = 0; /* of a forked child, too */
}

__attribute__((constructor)) static void map_page(void)
{
    const char *file = getenv(FAULTS_FILE);
    int fd = file ? (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC) : -1;
    void *frames[1];

    if (fd < 0)
        return;
    page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        page = NULL;
    syscall(SYS_close, fd);
    backtrace(frames, 1); /* loads what it needs */
    pthread_atfork(NULL, NULL, disarm);
}

void idem_faults_watch(void)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
    struct sigaction action = {.sa_handler = crashed};

    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        sigaction(deadly[i], &action, NULL);
}

void idem_faults_arm(void)
{
    if (!page)
        return;
    dl_iterate_phdr(find_ranges, NULL);
    own_process = getpid();
    atomic_store(&page->pid, own_process);
    atomic_store(&page->armed, 1);
    atomic_store(&armed_thread, own_thread());
}

/* An order for every thread outlasts its request: the test withdraws it. */
void idem_faults_disarm(void)
{
    if (!page || !atomic_load(&page->everywhere))
        atomic_store(&armed_thread, 0);
    if (page)
        atomic_store(&page->armed, 0);
}

/* ---- the verdict on a call --------------------------------------------------------------------------------------- */

static int is_ordered(fault_class what, const void *caller)
{
    int thread = atomic_load(&armed_thread);

    if (!thread || inside || (int)what != atomic_load(&page->what) || atomic_load(&page->pid) != own_process)
        return 0;
    if (!atomic_load(&page->everywhere) && thread != own_thread())
        return 0;
    return !is_in(&exempt, caller);
}

int idem_faults_strike(fault_class what, const char *name, const void *caller)
{
    int number, first, struck, before = errno;

    if (!is_ordered(what, caller))
        return 0;
    number = atomic_fetch_add(&page->seen, 1) + 1;
    first = atomic_load(&page->first);
    if (number < first || number - first >= atomic_load(&page->times))
        return 0;
    struck = atomic_fetch_add(&page->struck, 1);
    if (struck == 0) {
        inside = 1;
        tell(name);
        inside = 0;
    }
    errno = before;
    return 1;
}

int idem_faults_error(fault_class what, const char *name, const void *caller)
{
    int error;

    if (!idem_faults_strike(what, name, caller))
        return 0;
    error = atomic_load(&page->error);
    return error > 0 ? error : EIO;
}

int idem_faults_transfer(fault_class what, const char *name, const void *caller, size_t *len)
{
    int error;

    if (!idem_faults_strike(what, name, caller))
        return 0;
    error = atomic_load(&page->error);
    if (error == FAULT_END)
        *len = 0;
    else if (error == FAULT_SHORT)
        *len = *len > 1 ? *len / 2 : *len;
    return error > 0 ? error : 0;
}

int idem_faults_memory(const char *name, const void *caller)
{
    if (!atomic_load(&armed_thread))
        return 0;
    return idem_faults_strike(is_in(&pools, caller) ? FAULT_POOL : FAULT_MEMORY, name, caller);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - what a process does that is forked to look at something as the server's user.
 *
 * Called in the child of a fork, to find out what the server's children will be able to do. What always holds: the
 * process has exactly the rights that the children will have, supplementary groups included. If it cannot, it keeps all
 * of root's and tells the error.
 */
#include "probe.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

void idem_probe_alone(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS,  SIGABRT, SIGFPE, SIGILL, SIGTERM,
                                SIGPIPE, SIGALRM, SIGINT,  SIGHUP, SIGUSR1};
    struct rlimit none = {0, 0};
    sigset_t nothing;

    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        signal(fatal[i], SIG_DFL);
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    setrlimit(RLIMIT_CORE, &none);
}

int idem_probe_become(unsigned uid, unsigned gid)
{
    const struct passwd *user;

    if (geteuid() != 0 || uid == 0)
        return 0;
    user = getpwuid(uid);
    if (user ? initgroups(user->pw_name, gid) != 0 : setgroups(0, NULL) != 0)
        return errno;
    return setgid(gid) != 0 || setuid(uid) != 0 ? errno : 0;
}

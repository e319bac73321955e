/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flushed.c - notes how much of its files a program has flushed: a library to preload.
 *
 * FLUSHED_LOG names a file that gets a line "INODE SIZE" for each fsync() and fdatasync() that succeeds, SIZE being the
 * file's when it began. Used by tests/http/power.py: a loss of power may take the bytes behind the last line, in a file
 * that only grows. Limits: files that are written in place are not described by their size.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In one write to the end of the file, so that lines of two threads do not mix. */
static void note(const struct stat *before)
{
    const char *path = getenv("FLUSHED_LOG");
    int log = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;

    if (log >= 0) {
        dprintf(log, "%lu %ld\n", (unsigned long)before->st_ino, (long)before->st_size);
        close(log);
    }
}

static int flush(long call, int file)
{
    struct stat before;
    int known = fstat(file, &before) == 0;
    int result = (int)syscall(call, file);

    if (result == 0 && known)
        note(&before);
    return result;
}

__attribute__((visibility("default"))) int fsync(int file)
{
    return flush(SYS_fsync, file);
}

__attribute__((visibility("default"))) int fdatasync(int file)
{
    return flush(SYS_fdatasync, file);
}

/* A disk that takes its time, or fails: preloaded into a server (LD_PRELOAD) by the tests that kill it.
 *
 * TIDEGATE_DISK_SPEED names a file with "<sync> <write> <split>", microseconds at most: every fsync and fdatasync sleeps
 * for a random time up to <sync> before it is done; every write to an incremental file of an append-only file up to
 * <write>; and one such write in four is done in two halves up to <split> apart, as a kernel may when the process is
 * killed within it. The file is read every time, so that a running server can be slowed down.
 *
 * TIDEGATE_DISK_FAILS names a file that makes the next sync of an incremental file fail with EIO: it is removed then.
 *
 * TIDEGATE_DISK_SEEN names a file that gets one byte for each call that was slowed down: 's' or 'w', or 'e' for one that
 * failed. A program that does not call the C library would not be slow at all, and the tests have to notice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct speed {
    long sync, write, split;
};

static struct speed speed(void) {
    struct speed now = {0, 0, 0};
    const char *path = getenv("TIDEGATE_DISK_SPEED");
    char text[100];
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return now;
    ssize_t size = read(fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (size <= 0) return now;
    text[size] = 0;
    if (sscanf(text, "%ld %ld %ld", &now.sync, &now.write, &now.split) != 3) abort();
    return now;
}

static void note(char what) {
    const char *path = getenv("TIDEGATE_DISK_SEEN");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return;
    syscall(SYS_write, fd, &what, 1);
    syscall(SYS_close, fd);
}

static unsigned long lot(void) {
    static __thread unsigned long state;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    state = (state ^ (unsigned long)now.tv_nsec) * 6364136223846793005UL + 1442695040888963407UL;
    return state >> 33;
}

static void rest(long most, char what) {
    if (most <= 0) return;
    note(what);
    long us = (long)(lot() % (unsigned long)most);
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left) && errno == EINTR) {
    }
}

/* A file that a server appends commands to. Sockets and pipes are not looked at any further. */
static int is_log(int fd) {
    struct stat stat;
    char link[64], path[4096];
    if (fstat(fd, &stat) || !S_ISREG(stat.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return strstr(path, ".incr") != NULL;
}

static int sync_with(long call, int fd) {
    int kept = errno;
    const char *fails = getenv("TIDEGATE_DISK_FAILS");
    if (fails && is_log(fd) && unlink(fails) == 0) {
        note('e');
        errno = EIO;
        return -1;
    }
    rest(speed().sync, 's');
    errno = kept;
    return (int)syscall(call, fd);
}

int fdatasync(int fd) { return sync_with(SYS_fdatasync, fd); }

int fsync(int fd) { return sync_with(SYS_fsync, fd); }

/* Writes bytes to such a file: late, and sometimes in two pieces. */
static ssize_t append(struct speed now, int fd, const char *bytes, size_t size) {
    int kept = errno;
    rest(now.write, 'w');
    size_t first = now.split > 0 && size > 1 && lot() % 4 == 0 ? 1 + lot() % (size - 1) : 0;
    ssize_t written = 0;
    if (first > 0) {
        written = syscall(SYS_write, fd, bytes, first);
        if (written != (ssize_t)first) return written;
        rest(now.split, 'w');
    }
    errno = kept;
    ssize_t last = syscall(SYS_write, fd, bytes + written, size - (size_t)written);
    return last >= 0 ? written + last : written > 0 ? written : last;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    if (size == 0 || !is_log(fd)) return syscall(SYS_write, fd, bytes, size);
    return append(speed(), fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (count <= 0 || !is_log(fd)) return syscall(SYS_writev, fd, parts, count);
    size_t size = 0;
    for (int at = 0; at < count; at++) size += parts[at].iov_len;
    char *bytes = malloc(size + 1);
    if (!bytes) abort();
    size_t end = 0;
    for (int at = 0; at < count; at++) {
        memcpy(bytes + end, parts[at].iov_base, parts[at].iov_len);
        end += parts[at].iov_len;
    }
    ssize_t written = append(speed(), fd, bytes, size);
    free(bytes);
    return written;
}

/* Fails the Nth call of one kind on files below a folder, in whichever process it falls: LD_PRELOAD.
   FAULT_CALL (write fsync rename open, which is to write, read, which is to open a file to read, stat, which is of an
   entry of an open folder), FAULT_ERRNO,
   FAULT_AT (from 1), FAULT_ALWAYS (all from then on),
   FAULT_BELOW (the folder), FAULT_COUNT (a file of 8 bytes that all processes share). FAULT_KILL: SIGKILL to the
   process group instead of an error, before the call (1) or after it (2). FAULT_DIE: SIGKILL to the process itself
   where it opens a file for writing whose path holds these words. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static long *counter;

static long *shared(void) {
    if (!counter) {
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        int fd = real(getenv("FAULT_COUNT"), O_RDWR);
        counter = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    return counter;
}

static int is_below(const char *path) {
    const char *below = getenv("FAULT_BELOW");
    return path && below && !strncmp(path, below, strlen(below)) && !strstr(path, "run.lock");
}

static int is_below_fd(int fd) {
    if (!getenv("FAULT_CALL")) return 0;
    char name[40], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int is_due(const char *call) {
    const char *wanted = getenv("FAULT_CALL");
    if (!wanted || strcmp(wanted, call)) return 0;
    long now = __atomic_add_fetch(shared(), 1, __ATOMIC_SEQ_CST), at = atol(getenv("FAULT_AT"));
    return getenv("FAULT_ALWAYS") ? now >= at : now == at;
}

/* Returns 1 where the call must fail; never returns where it must kill before the call. */
static int fails(const char *call, int *kill_after) {
    *kill_after = 0;
    if (!is_due(call)) return 0;
    const char *how = getenv("FAULT_KILL");
    if (!how) {
        errno = atoi(getenv("FAULT_ERRNO"));
        return 1;
    }
    if (*how == '1') kill(0, SIGKILL);
    *kill_after = 1;
    return 0;
}

#define AROUND(kind, type, test, name, formal, actual)                      \
    type name formal {                                                      \
        static type(*real) formal;                                          \
        if (!real) real = dlsym(RTLD_NEXT, #name);                          \
        int after = 0, saved = errno;                                       \
        if ((test) && fails(kind, &after)) return -1;                       \
        errno = saved;                                                      \
        type answer = real actual;                                          \
        if (after) kill(0, SIGKILL);                                        \
        return answer;                                                      \
    }

AROUND("write", ssize_t, is_below_fd(fd), write, (int fd, const void *data, size_t size), (fd, data, size))
AROUND("write", ssize_t, is_below_fd(fd), pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
AROUND("write", ssize_t, is_below_fd(fd), pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
AROUND("fsync", int, is_below_fd(fd), fsync, (int fd), (fd))
AROUND("fsync", int, is_below_fd(fd), syncfs, (int fd), (fd))
AROUND("rename", int, is_below(to), rename, (const char *from, const char *to), (from, to))

#define OPENS(name)                                                         \
    int name(const char *path, int flags, ...) {                            \
        static int (*real)(const char *, int, ...);                         \
        if (!real) real = dlsym(RTLD_NEXT, #name);                          \
        va_list more;                                                       \
        va_start(more, flags);                                              \
        int mode = va_arg(more, int), after = 0, saved = errno;             \
        va_end(more);                                                       \
        const char *die = getenv("FAULT_DIE");                              \
        if (die && (flags & (O_WRONLY | O_RDWR)) && strstr(path, die)) kill(getpid(), SIGKILL); \
        const char *kind = flags & (O_WRONLY | O_RDWR) ? "open" : "read";   \
        if (is_below(path) && !(flags & O_DIRECTORY) && fails(kind, &after)) return -1; \
        errno = saved;                                                      \
        int answer = real(path, flags, mode);                               \
        if (after) kill(0, SIGKILL);                                        \
        return answer;                                                      \
    }
OPENS(open)
OPENS(open64)

/* Files of the source are opened from their folder. */
static int is_below_at(int fd, const char *name) {
    if (!getenv("FAULT_CALL")) return 0;
    char link[40], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || *name == '/') return 0;
    snprintf(path + length, sizeof path - length, "/%s", name);
    return is_below(path);
}

#define OPENS_AT(name)                                                      \
    int name(int folder, const char *path, int flags, ...) {                \
        static int (*real)(int, const char *, int, ...);                    \
        if (!real) real = dlsym(RTLD_NEXT, #name);                          \
        va_list more;                                                       \
        va_start(more, flags);                                              \
        int mode = va_arg(more, int), after = 0, saved = errno;             \
        va_end(more);                                                       \
        int reads = !(flags & (O_WRONLY | O_RDWR | O_DIRECTORY | O_PATH));  \
        if (reads && is_below_at(folder, path) && fails("read", &after)) return -1; \
        errno = saved;                                                      \
        int answer = real(folder, path, flags, mode);                       \
        if (after) kill(0, SIGKILL);                                        \
        return answer;                                                      \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

AROUND("stat", int, is_below_at(folder, path), fstatat, (int folder, const char *path, struct stat *to, int flags), (folder, path, to, flags))
AROUND("stat", int, is_below_at(folder, path), fstatat64, (int folder, const char *path, struct stat64 *to, int flags), (folder, path, to, flags))

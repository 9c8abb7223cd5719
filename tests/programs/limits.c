/* RLIMIT_AS and RLIMIT_DATA: how much memory there may be. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1L << 20)

static const char *result(void *at)
{
    return at == MAP_FAILED ? strerror(errno) : "mapped";
}

static void *map(long bytes, int prot, int flags)
{
    return mmap(NULL, bytes, prot, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void limit(int resource, rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    printf("setrlimit %d\n", setrlimit(resource, &limit));
}

int main(void)
{
    int rw = PROT_READ | PROT_WRITE;
    limit(RLIMIT_AS, 64 * MIB);
    printf("100M: %s\n", result(map(100 * MIB, PROT_NONE, MAP_PRIVATE)));
    char *some = map(16 * MIB, rw, MAP_PRIVATE);
    printf("16M: %s\n", result(some));
    printf("in its place: %s\n",
           result(mmap(some, 16 * MIB, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
    printf("grown: %s\n", result(mremap(some, 16 * MIB, 80 * MIB, MREMAP_MAYMOVE)));
    printf("shared 100M: %s\n", result(map(100 * MIB, rw, MAP_SHARED)));
    char *end = sbrk(0);
    printf("brk: %s\n", sbrk(100 * MIB) == (void *)-1 ? strerror(errno) : "moved");
    printf("stays: %d\n", sbrk(0) == end);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        printf("child: %s\n", result(map(100 * MIB, PROT_NONE, MAP_PRIVATE)));
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    limit(RLIMIT_AS, RLIM_INFINITY);

    limit(RLIMIT_DATA, 40 * MIB);
    printf("data 50M: %s\n", result(map(50 * MIB, rw, MAP_PRIVATE)));
    char *text = map(50 * MIB, PROT_READ, MAP_PRIVATE);
    printf("read-only 50M: %s\n", result(text));
    printf("shared 50M: %s\n", result(map(50 * MIB, rw, MAP_SHARED)));
    int changed = mprotect(text, 50 * MIB, rw);
    printf("to data: %d %s\n", changed, changed ? strerror(errno) : "");
    printf("a part: %d\n", mprotect(text, 4 * MIB, rw));
    printf("brk: %s\n", sbrk(50 * MIB) == (void *)-1 ? strerror(errno) : "moved");
    return 0;
}

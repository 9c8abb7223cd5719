/* A file that is larger than what the program leaves of a small machine's memory: on a disk where /mnt has one made for this test, otherwise below
   /tmp. Each page says where it is and how often it was written; all are read back by every way there is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define WORDS (PAGE / 8)
#define PAGES 1000L
#define BALLAST (10L << 20)

static uint64_t word(long page, int round, long i)
{
    return (uint64_t)page << 32 | (uint64_t)round << 16 | (uint64_t)i;
}

static void fill(uint64_t *to, long page, int round)
{
    for (long i = 0; i < WORDS; i++)
        to[i] = word(page, round, i);
}

static int is(const uint64_t *bytes, long page, int round)
{
    for (long i = 0; i < WORDS; i++)
        if (bytes[i] != word(page, round, i))
            return 0;
    return 1;
}

/* How often a page was written, after so many rounds of stores through a mapping. */
static int round_of(long page, int rounds)
{
    return rounds && page % 3 == 0 ? rounds : 0;
}

static long right(int fd, int rounds)
{
    static uint64_t buf[8 * WORDS];
    long count = 0;
    for (long page = 0; page < PAGES; page += 8) {
        if (pread(fd, buf, sizeof buf, page * PAGE) != (ssize_t)sizeof buf)
            perror("read");
        for (long i = 0; i < 8; i++)
            count += is(buf + i * WORDS, page + i, round_of(page + i, rounds));
    }
    return count;
}

int main(void)
{
    static uint64_t buf[WORDS];
    char place[] = "/tmp/big-XXXXXX";
    const char *base = access("/mnt/of-a-test", F_OK) ? mkdtemp(place) : "/mnt";
    if (!base || chdir(base)) {
        perror("no place");
        return 1;
    }
    char *ballast = mmap(NULL, BALLAST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ballast == MAP_FAILED) {
        perror("ballast");
        return 1;
    }
    memset(ballast, 1, BALLAST);
    int fd = open("big", O_RDWR | O_CREAT | O_EXCL, 0600);
    long written = 0;
    for (long page = 0; page < PAGES; page++) {
        fill(buf, page, 0);
        written += write(fd, buf, PAGE) == PAGE;
    }
    printf("written %ld\n", written);
    printf("right %ld\n", right(fd, 0));
    uint64_t *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    for (long page = 0; page < PAGES; page += 3)
        fill(map + page * WORDS, page, 1);
    long mapped = 0;
    for (long page = 0; page < PAGES; page++)
        mapped += is(map + page * WORDS, page, round_of(page, 1));
    printf("mapped %ld\n", mapped);
    printf("right %ld\n", right(fd, 1));
    /* Two programs at once, one with private copies. */
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        /* Less than the memory, which it could have in copies. */
        long some = PAGES / 4;
        uint64_t *own = mmap(NULL, some * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        if (own == MAP_FAILED)
            _exit(1);
        for (long page = 0; page < some; page += 20)
            fill(own + page * WORDS, page, 9);
        long copies = 0;
        for (long page = 0; page < some; page += 5)
            copies += is(own + page * WORDS, page, page % 20 ? round_of(page, 1) : 9);
        printf("copies %ld\n", copies);
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    printf("child %d\n", status);
    printf("fsync %d\n", fsync(fd));
    printf("munmap %d\n", munmap(map, PAGES * PAGE));
    printf("right %ld\n", right(fd, 1));
    printf("cut %d\n", ftruncate(fd, PAGE));
    printf("read %ld\n", (long)pread(fd, buf, PAGE, PAGE));
    close(fd);
    unlink("big");
    return base == place && (chdir("/") || rmdir(place));
}

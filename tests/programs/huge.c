/* Memory that may come in huge pages: what it contains after everything that makes single pages of a
   part of it. Nobody can tell what came as what. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define PAGE 4096L
#define HUGE (512 * PAGE)
#define LEN (4 * HUGE)

static void say(const char *what, long value)
{
    printf("%s: %ld\n", what, value);
    fflush(stdout);
}

/* An area that begins at a boundary of 2 MiB. */
static char *map(long len)
{
    char *at = mmap(NULL, len + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        exit(2);
    char *start = (char *)(((uintptr_t)at + HUGE - 1) & ~(HUGE - 1));
    if (start > at)
        munmap(at, start - at);
    munmap(start + len, at + HUGE - start);
    return start;
}

static uint64_t word(long page, int round)
{
    return (uint64_t)page * 0x9e3779b97f4a7c15 + round;
}

static void fill(char *area, long from, long to, int round)
{
    for (long page = from; page < to; page++)
        ((uint64_t *)(area + page * PAGE))[page % 512] = word(page, round);
}

static long wrong(char *area, long from, long to, int round)
{
    long count = 0;
    for (long page = from; page < to; page++)
        count += ((uint64_t *)(area + page * PAGE))[page % 512] != word(page, round);
    return count;
}

static long nonzero(const char *area, long len)
{
    long count = 0;
    for (long at = 0; at < len; at += 8)
        count += *(const uint64_t *)(area + at) != 0;
    return count;
}

static void forks(char *area)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        say("child", wrong(area, 0, 2048, 1));
        fill(area, 100, 101, 2);
        fill(area, 700, 1100, 2);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            fill(area, 0, 2048, 3);
            munmap(area + 600 * PAGE, 1000 * PAGE);
            exit(wrong(area, 0, 600, 3) + wrong(area, 1600, 2048, 3) != 0);
        }
        waitpid(grandchild, &status, 0);
        say("grandchild", WEXITSTATUS(status));
        exit(wrong(area, 0, 100, 1) + wrong(area, 100, 101, 2) + wrong(area, 700, 1100, 2) != 0);
    }
    fill(area, 512, 513, 4);
    waitpid(child, &status, 0);
    say("child exited", WEXITSTATUS(status));
    say("parent", wrong(area, 0, 512, 1) + wrong(area, 512, 513, 4) + wrong(area, 513, 2048, 1));
    fill(area, 0, 2048, 1);
    say("parent alone", wrong(area, 0, 2048, 1));
}

int main(void)
{
    char *area = map(LEN);
    say("advice", madvise(area, LEN, MADV_HUGEPAGE));
    for (int huge = 0; huge < 4; huge++)
        area[huge * HUGE + 12345] = 0x11;
    for (int huge = 0; huge < 4; huge++)
        area[huge * HUGE + 12345] = 0;
    say("zeros", nonzero(area, LEN));
    fill(area, 0, 2048, 1);
    say("filled", wrong(area, 0, 2048, 1));
    forks(area);

    say("read-only", mprotect(area, HUGE, PROT_READ));
    say("content", wrong(area, 0, 512, 1));
    say("part read-only", mprotect(area + HUGE + 7 * PAGE, 9 * PAGE, PROT_READ));
    say("none", mprotect(area + 2 * HUGE, HUGE, PROT_NONE));
    say("all again", mprotect(area, LEN, PROT_READ | PROT_WRITE));
    say("content", wrong(area, 0, 2048, 1));
    fill(area, 0, 2048, 5);

    say("out", madvise(area + 50 * PAGE, 20 * PAGE, MADV_PAGEOUT));
    say("content", wrong(area, 0, 2048, 5));
    char *other = map(HUGE);
    char *moved = mremap(area + 3 * HUGE, 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
    say("moved", moved == other);
    long count = 0;
    for (long page = 1536; page < 1636; page++)
        count += ((uint64_t *)(moved + (page - 1536) * PAGE))[page % 512] != word(page, 5);
    say("content there", count);
    say("content here", wrong(area, 0, 1536, 5) + wrong(area, 1636, 2048, 5));
    say("given up", madvise(area + 10 * PAGE, 10 * PAGE, MADV_DONTNEED));
    say("zeros", nonzero(area + 10 * PAGE, 10 * PAGE));
    say("unmapped", munmap(area + HUGE + 3 * PAGE, 100 * PAGE));
    say("content", wrong(area, 0, 10, 5) + wrong(area, 20, 515, 5) + wrong(area, 615, 1536, 5));

    /* System calls into and out of them, and no more of them. */
    int ends[2];
    if (pipe(ends) != 0)
        return 2;
    char *last = map(HUGE);
    say("advice", madvise(last, HUGE, MADV_HUGEPAGE));
    memset(last, 'x', HUGE);
    say("written", write(ends[1], last + HUGE / 2 - 100, 200));
    say("read", read(ends[0], last + HUGE - 200, 200));
    say("no more", madvise(last, HUGE, MADV_NOHUGEPAGE));
    say("same", memcmp(last, last + HUGE - 200, 200));
    say("unmapped", munmap(last, HUGE));
    return 0;
}

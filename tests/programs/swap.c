/* Pages that are to go to swap (MADV_PAGEOUT) and all that can meet them there: loads, stores, system
   calls, fork and stores by both, mremap, mprotect, mincore, mlock, and pages that are given up. Where
   there is no swap they stay, and nobody can tell. */
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
#define WORDS (PAGE / 8)
#define PAGES 300L

static uint64_t word(long page, long at, uint64_t round)
{
    return (uint64_t)page * 0x9e3779b97f4a7c15 ^ (uint64_t)at << 20 ^ round << 50;
}

static void fill(uint64_t *page, long number, uint64_t round)
{
    for (long at = 0; at < WORDS; at++)
        page[at] = word(number, at, round);
}

static long wrong(const uint64_t *page, long number, uint64_t round)
{
    long count = 0;
    for (long at = 0; at < WORDS; at++)
        count += page[at] != word(number, at, round);
    return count;
}

/* Words that are wrong in all pages: even ones are of one round, odd ones of another. */
static long all_wrong(const uint64_t *area, uint64_t even, uint64_t odd)
{
    long count = 0;
    for (long page = 0; page < PAGES; page++)
        count += wrong(area + page * WORDS, page, page % 2 ? odd : even);
    return count;
}

static void out(void *area, long pages)
{
    if (madvise(area, pages * PAGE, MADV_PAGEOUT) != 0)
        printf("pageout: errno %d\n", errno);
}

static void say(const char *what, long value)
{
    printf("%s: %ld\n", what, value);
    fflush(stdout);
}

static uint64_t *map(long pages)
{
    void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        exit(2);
    return at;
}

static long in_core(void *area, long pages)
{
    static unsigned char vec[PAGES];
    long count = 0;
    if (mincore(area, pages * PAGE, vec) != 0)
        return -errno;
    for (long page = 0; page < pages; page++)
        count += vec[page] & 1;
    return count;
}

static void wait_for(const char *what, pid_t child)
{
    int status = -1;
    waitpid(child, &status, 0);
    say(what, WIFEXITED(status) ? WEXITSTATUS(status) : -status);
}

static void forks(uint64_t *area)
{
    out(area, PAGES);
    pid_t child = fork();
    if (child == 0) {
        /* The child stores to the odd pages, and pages out what it has. */
        for (long page = 1; page < PAGES; page += 2)
            fill(area + page * WORDS, page, 5);
        out(area, PAGES);
        say("child's words wrong", all_wrong(area, 2, 5));
        pid_t grandchild = fork();
        if (grandchild == 0) {
            out(area, PAGES);
            for (long page = 0; page < PAGES; page += 2)
                fill(area + page * WORDS, page, 6);
            say("grandchild's words wrong", all_wrong(area, 6, 5));
            exit(7);
        }
        wait_for("grandchild", grandchild);
        exit(all_wrong(area, 2, 5) != 0);
    }
    /* The parent stores to the even pages meanwhile, to every second of which the child will not. */
    for (long page = 0; page < PAGES; page += 4)
        area[page * WORDS] ^= 1;
    out(area, PAGES);
    wait_for("child", child);
    for (long page = 0; page < PAGES; page += 4)
        area[page * WORDS] ^= 1;
    say("parent's words wrong", all_wrong(area, 2, 1));
}

static void calls(uint64_t *area)
{
    int ends[2];
    if (pipe(ends) != 0)
        exit(2);
    out(area, PAGES);
    /* Out of pages in swap and into others. */
    say("written", write(ends[1], area, 5 * PAGE));
    say("read", read(ends[0], area + 100 * WORDS, 5 * PAGE));
    long count = 0;
    for (long page = 0; page < 5; page++)
        count += wrong(area + (100 + page) * WORDS, page, page % 2 ? 1 : 2);
    say("words wrong after read", count);
    for (long page = 100; page < 105; page++)
        fill(area + page * WORDS, page, page % 2 ? 1 : 2);
    close(ends[0]);
    close(ends[1]);
}

static void rights(uint64_t *area)
{
    out(area, PAGES);
    say("no rights", mprotect(area, 20 * PAGE, PROT_NONE));
    say("to read", mprotect(area + 20 * WORDS, 20 * PAGE, PROT_READ));
    long count = 0;
    for (long page = 20; page < 40; page++)
        count += wrong(area + page * WORDS, page, page % 2 ? 1 : 2);
    say("read-only words wrong", count);
    out(area, 40);
    say("all rights", mprotect(area, 40 * PAGE, PROT_READ | PROT_WRITE));
    say("words wrong after mprotect", all_wrong(area, 2, 1));
}

int main(void)
{
    uint64_t *area = map(PAGES);
    for (long page = 0; page < PAGES; page++)
        fill(area + page * WORDS, page, 1);
    out(area, PAGES);
    say("words wrong", all_wrong(area, 1, 1));
    say("in core", in_core(area, PAGES));
    out(area, PAGES);
    for (long page = 0; page < PAGES; page += 2)
        fill(area + page * WORDS, page, 2);
    out(area, PAGES);
    out(area, PAGES);
    say("words wrong after stores", all_wrong(area, 2, 1));
    forks(area);
    calls(area);
    rights(area);

    out(area, PAGES);
    uint64_t *moved = mremap(area, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE);
    say("words wrong after mremap", all_wrong(moved, 2, 1));
    out(moved, 2 * PAGES);
    uint64_t *other = map(PAGES);
    area = mremap(moved, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
    say("moved", area == other);
    say("words wrong after a move", all_wrong(area, 2, 1));
    say("the rest", munmap(moved + PAGES * WORDS, PAGES * PAGE));

    out(area, PAGES);
    say("ahead", madvise(area, 50 * PAGE, MADV_WILLNEED));
    say("words wrong after that", all_wrong(area, 2, 1));
    out(area, PAGES);
    say("locked", mlock(area, 8 * PAGE));
    say("in core when locked", in_core(area, 8));
    say("advice on locked pages", madvise(area, PAGE, MADV_PAGEOUT) == 0 ? 0 : errno);
    say("unlocked", munlock(area, 8 * PAGE));
    out(area, PAGES);
    say("given up", madvise(area, 100 * PAGE, MADV_DONTNEED));
    long count = 0;
    for (long at = 0; at < 100 * WORDS; at++)
        count += area[at] != 0;
    say("words that are left", count);
    out(area + 200 * WORDS, 100);
    say("unmapped", munmap(area + 200 * WORDS, 50 * PAGE));
    count = 0;
    for (long page = 250; page < PAGES; page++)
        count += wrong(area + page * WORDS, page, page % 2 ? 1 : 2);
    say("words wrong behind that", count);
    out(area + 250 * WORDS, 50);
    return 0;
}

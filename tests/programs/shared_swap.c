/* Shared memory goes to swap where there is any: a memfd and a mapping without a name, used by parent
   and child, by mappings and by system calls, made shorter and given holes while it is away. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define PAGES 200L

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static void fill(unsigned char *at, int round)
{
    for (long page = 0; page < PAGES; page++)
        memset(at + page * PAGE, (int)(page * 7 + round) & 255, PAGE);
}

static long wrong(const unsigned char *at, long pages, int round)
{
    long count = 0;
    for (long byte = 0; byte < pages * PAGE; byte++)
        count += at[byte] != ((byte / PAGE * 7 + round) & 255);
    return count;
}

static void away(void *at, const char *when)
{
    int result = madvise(at, PAGES * PAGE, MADV_PAGEOUT);
    printf("%s: pageout %d\n", when, result);
}

static void blocks(int fd, const char *when)
{
    struct stat stat;
    fstat(fd, &stat);
    printf("%s: %ld bytes in %ld blocks\n", when, (long)stat.st_size, (long)stat.st_blocks);
}

int main(void)
{
    int fd = memfd_create("shared", 0);
    ftruncate(fd, PAGES * PAGE);
    unsigned char *file = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    unsigned char *nameless =
        mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fill(file, 1);
    fill(nameless, 2);
    away(file, "memfd");
    away(nameless, "nameless");
    blocks(fd, "away");

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        printf("child: wrong %ld and %ld\n", wrong(file, PAGES, 1), wrong(nameless, PAGES, 2));
        fill(nameless, 3);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    away(nameless, "after the child");
    printf("parent: wrong %ld\n", wrong(nameless, PAGES, 3));

    away(file, "memfd again");
    unsigned char *copy = malloc(PAGES * PAGE);
    long got = pread(fd, copy, PAGES * PAGE, 0);
    printf("pread %ld, wrong %ld\n", got, wrong(copy, PAGES, 1));
    away(file, "memfd once more");
    printf("pwrite %ld\n", (long)pwrite(fd, "xyz", 3, 5 * PAGE - 1));
    printf("%d %c %c %c %d\n", file[5 * PAGE - 2], file[5 * PAGE - 1], file[5 * PAGE],
           file[5 * PAGE + 1], file[5 * PAGE + 2]);
    pwrite(fd, copy + 4 * PAGE, 2 * PAGE, 4 * PAGE);

    away(file, "before it gets shorter");
    printf("ftruncate %d\n", ftruncate(fd, 100 * PAGE + 10));
    printf("wrong %ld, then %d %d\n", wrong(file, 100, 1), file[100 * PAGE + 9],
           file[100 * PAGE + 10]);
    blocks(fd, "shorter");
    away(file, "before the hole");
    int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    printf("fallocate %d\n", fallocate(fd, hole, 10 * PAGE, 20 * PAGE + 100));
    printf("%d %d %d %d %d\n", file[10 * PAGE - 1], file[10 * PAGE], file[30 * PAGE - 1],
           file[30 * PAGE + 99], file[30 * PAGE + 100]);
    blocks(fd, "with a hole");
    away(file, "at the end");
    munmap(file, PAGES * PAGE);
    printf("pread %ld: %d\n", (long)pread(fd, copy, 1, 50 * PAGE), copy[0]);
    close(fd);
    return 0;
}

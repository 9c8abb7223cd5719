/* One operation that can fail half-way, by the name of the first argument, done twice: what a failure of the
   first one left behind shows in the second one, or in the kernel's books. A failure is told and survived. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define PAGES 24L

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static void told(const char *what, long result)
{
    printf("%s: %s\n", what, result < 0 ? strerror(errno) : "done");
    fflush(stdout);
}

static unsigned char *map(long pages, int flags, int fd)
{
    void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at == MAP_FAILED) {
        told("mmap", -1);
        exit(3);
    }
    return at;
}

static void fill(unsigned char *at, long pages, int seed)
{
    for (long page = 0; page < pages; page++)
        memset(at + page * PAGE, (int)(page * 11 + seed) & 255, PAGE);
}

static void verify(const char *what, const unsigned char *at, long pages, int seed)
{
    long wrong = 0;
    for (long page = 0; page < pages; page++)
        for (long byte = 0; byte < PAGE; byte += 61)
            wrong += at[page * PAGE + byte] != ((page * 11 + seed) & 255);
    printf("%s: %ld wrong\n", what, wrong);
    fflush(stdout);
    if (wrong > 0)
        exit(4);
}

/* A child that stores to what its parent has as well. */
static void copies(void)
{
    unsigned char *at = map(PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    fill(at, PAGES, 1);
    pid_t child = fork();
    if (child == 0) {
        fill(at, PAGES, 2);
        verify("child", at, PAGES, 2);
        _exit(0);
    }
    /* What a child says comes first, also where both run at once. */
    if (child > 0) {
        int status;
        waitpid(child, &status, 0);
    }
    told("fork", child);
    verify("parent", at, PAGES, 1);
}

/* Stores to private pages of a file, far enough apart that each needs a table of its own. */
static void private_file(void)
{
    char name[] = "/tmp/undo-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    unsigned char byte = 5;
    for (long page = 0; page < 4; page++)
        pwrite(fd, &byte, 1, page * (PAGE << 9));
    unsigned char *at = map(4 << 9, MAP_PRIVATE, fd);
    for (long page = 0; page < 4; page++)
        at[page * (PAGE << 9)] = 6;
    for (long page = 0; page < 4; page++)
        pread(fd, &byte, 1, page * (PAGE << 9));
    printf("the file has %d\n", byte);
    munmap(at, (4 << 9) * PAGE);
    close(fd);
}

/* Out to swap and back. */
static void swap(void)
{
    unsigned char *at = map(PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    unsigned char *other = map(PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    fill(at, PAGES, 3);
    told("pageout", madvise(at, PAGES * PAGE, MADV_PAGEOUT));
    unsigned char *copy = malloc(PAGE);
    int pipes[2];
    pipe(pipes);
    /* A page that does not come back is EFAULT to a system call. */
    for (long page = 0; page < PAGES; page++)
        if (write(pipes[1], at + page * PAGE, 64) == 64)
            read(pipes[0], copy, 64);
        else
            told("write", -1);
    fill(other, PAGES, 4);
    madvise(other, PAGES * PAGE, MADV_PAGEOUT);
    verify("other", other, PAGES, 4);
}

/* The rights of the middle of an area. */
static void rights(void)
{
    unsigned char *at = map(PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    fill(at, PAGES, 7);
    told("mprotect", mprotect(at + 8 * PAGE, 8 * PAGE, PROT_READ));
    verify("rights", at, PAGES, 7);
    told("mprotect", mprotect(at, PAGES * PAGE, PROT_READ | PROT_WRITE));
    fill(at, PAGES, 8);
}

/* The rights of two areas at once, of each a part. */
static void areas(void)
{
    unsigned char *at = map(PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    fill(at, PAGES, 10);
    if (mprotect(at + 16 * PAGE, 8 * PAGE, PROT_READ) < 0)
        told("mprotect", -1);
    told("mprotect", mprotect(at + 8 * PAGE, 12 * PAGE, PROT_NONE));
    told("mprotect", mprotect(at, PAGES * PAGE, PROT_READ | PROT_WRITE));
    verify("areas", at, PAGES, 10);
}

/* Stores to a hole of a file on the disk, through a mapping. */
static void hole(void)
{
    int fd = open("/mnt/hole", O_RDWR | O_CREAT, 0600);
    told("open", fd);
    if (fd < 0 || ftruncate(fd, PAGES * PAGE) < 0)
        exit(3);
    unsigned char *at = map(PAGES, MAP_SHARED, fd);
    fill(at, PAGES, 9);
    told("fsync", fsync(fd));
    munmap(at, PAGES * PAGE);
    close(fd);
}

/* A program in place of this one, which does nothing but end. */
static void program(void)
{
    for (int round = 0; round < 2; round++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", "undo", "nothing", (char *)NULL);
            _exit(errno == ENOMEM ? 5 : 6);
        }
        int status = 0;
        if (child > 0)
            waitpid(child, &status, 0);
        printf("child: %#x\n", (unsigned)status);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "copies";
    if (strcmp(what, "copies") == 0)
        copies(), copies();
    else if (strcmp(what, "private-file") == 0)
        private_file(), private_file();
    else if (strcmp(what, "swap") == 0)
        swap(), swap();
    else if (strcmp(what, "rights") == 0)
        rights(), rights();
    else if (strcmp(what, "areas") == 0)
        areas(), areas();
    else if (strcmp(what, "hole") == 0)
        hole(), hole();
    else if (strcmp(what, "program") == 0)
        program();
    return 0;
}

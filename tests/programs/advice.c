/* What a program says about how it will use a file: readahead, posix_fadvise and madvise, on a disk where
   /mnt has one made for this test, otherwise below /tmp. Nothing of it changes what is in the file. With a
   name of advice as argument it follows that alone, so that what the disk had to do can be counted. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE 4096L
#define PAGES 160L

static void say(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, result);
}

/* posix_fadvise returns the error. */
static void advise(const char *what, int fd, off_t at, off_t len, int advice)
{
    int error = posix_fadvise(fd, at, len, advice);
    printf("%s: %s\n", what, error ? strerror(error) : "0");
}

static unsigned char byte(long page)
{
    return (unsigned char)(page * 5 + 1);
}

static void make(const char *name)
{
    static unsigned char buf[PAGE];
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (long page = 0; page < PAGES; page++) {
        memset(buf, byte(page), PAGE);
        if (write(fd, buf, PAGE) != PAGE)
            perror("write");
    }
    if (fsync(fd))
        perror("fsync");
    close(fd);
}

/* Pages that are as they should be, read one by one with this step. */
static long right(int fd, long step)
{
    unsigned char bytes[2];
    long count = 0;
    for (long i = 0; i < PAGES; i++) {
        long page = i * step % PAGES;
        if (pread(fd, bytes, 2, page * PAGE + 77) == 2)
            count += bytes[0] == byte(page) && bytes[1] == byte(page);
    }
    return count;
}

static long right_in(const unsigned char *map)
{
    long count = 0;
    for (long page = 0; page < PAGES; page++)
        count += map[page * PAGE + 9] == byte(page);
    return count;
}

static void errors(int fd)
{
    int ends[2], nothing = open("file", O_PATH), write_only = open("file", O_WRONLY);
    say("pipe", pipe(ends));
    advise("of a pipe", ends[0], 0, 0, POSIX_FADV_NORMAL);
    advise("no descriptor", 99, 0, 0, POSIX_FADV_NORMAL);
    advise("only a name", nothing, 0, 0, POSIX_FADV_NORMAL);
    advise("unknown", fd, 0, 0, 6);
    advise("negative length", fd, 0, -1, POSIX_FADV_NORMAL);
    advise("behind the end", fd, PAGES * PAGE * 9, 1 << 20, POSIX_FADV_WILLNEED);
    advise("to the end of all", fd, 3, (off_t)(~0UL >> 1), POSIX_FADV_DONTNEED);
    say("readahead of a pipe", readahead(ends[0], 0, 10));
    say("readahead without the right", readahead(write_only, 0, 10));
    say("readahead of no descriptor", readahead(99, 0, 10));
    say("readahead", readahead(fd, 5, 100));
    say("readahead of all", readahead(fd, 0, 1 << 30));
}

static void follow(int fd, const char *name)
{
    static const struct {
        const char *name;
        int advice;
        long step;
    } ways[] = {
        { "normal", POSIX_FADV_NORMAL, 1 },         { "sequential", POSIX_FADV_SEQUENTIAL, 1 },
        { "random", POSIX_FADV_RANDOM, 1 },         { "noreuse", POSIX_FADV_NOREUSE, 1 },
        { "willneed", POSIX_FADV_WILLNEED, 1 },     { "dontneed", POSIX_FADV_DONTNEED, 1 },
        { "jumping", POSIX_FADV_NORMAL, 47 },
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (name && strcmp(name, ways[i].name))
            continue;
        advise(ways[i].name, fd, 0, 0, ways[i].advice);
        say("right", right(fd, ways[i].step));
        if (name && ways[i].advice == POSIX_FADV_DONTNEED) {
            advise("dropped", fd, 0, PAGES * PAGE, ways[i].advice);
            say("right", right(fd, 1));
        }
    }
}

static void map(int fd, const char *name)
{
    static const struct {
        const char *name;
        int advice;
    } ways[] = {
        { "map-normal", MADV_NORMAL },
        { "map-sequential", MADV_SEQUENTIAL },
        { "map-random", MADV_RANDOM },
        { "map-willneed", MADV_WILLNEED },
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (name && strcmp(name, ways[i].name))
            continue;
        unsigned char *map = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
        say(ways[i].name, madvise(map, PAGES * PAGE, ways[i].advice));
        say("right", right_in(map));
        say("munmap", munmap(map, PAGES * PAGE));
    }
}

int main(int argc, char **argv)
{
    char place[] = "/tmp/advice-XXXXXX";
    const char *base = access("/mnt/of-a-test", F_OK) ? mkdtemp(place) : "/mnt";
    if (!base || chdir(base)) {
        perror("no place");
        return 1;
    }
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name)
        make("file");
    int fd = open("file", O_RDWR);
    if (!name)
        errors(fd);
    follow(fd, name);
    map(fd, name);
    if (name) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        say("major faults", usage.ru_majflt);
        return 0;
    }
    /* What is dirty is not lost. */
    say("change", pwrite(fd, "\0\0", 2, 30 * PAGE));
    advise("not needed", fd, 0, 0, POSIX_FADV_DONTNEED);
    unsigned char bytes[3];
    say("read", pread(fd, bytes, 3, 30 * PAGE));
    printf("%d %d %d\n", bytes[0], bytes[1], bytes[2] == byte(30));
    unlink("file");
    return base == place && (chdir("/") || rmdir(place));
}

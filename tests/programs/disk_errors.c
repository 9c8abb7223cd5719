/* Writes a file on the disk while the disk fails, and says what it is told: which of two descriptors
   hears of an error of writing, how often, and what is in the file then. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096L
#define PAGES 16

static const char *result(long value)
{
    static char text[32];
    if (value < 0)
        return errno == EIO ? "EIO" : errno == ENOSPC ? "ENOSPC" : strerror(errno);
    snprintf(text, sizeof text, "%ld", value);
    return text;
}

static sigjmp_buf back;

static void bus(int number)
{
    siglongjmp(back, number);
}

int main(int argc, char **argv)
{
    static char buf[PAGES * PAGE];
    int reads = argc > 1 && !strcmp(argv[1], "read");
    signal(SIGBUS, bus);
    if (reads) {
        int fd = open("/mnt/content", O_RDONLY);
        long done = 0, failed = 0;
        for (int page = 0; page < PAGES; page++) {
            if (pread(fd, buf, PAGE, page * PAGE) == PAGE)
                done += buf[0] == 'a' + page;
            else
                failed += errno == EIO;
        }
        printf("read %ld failed %ld\n", done, failed);
        char *map = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
        volatile long right = 0, caught = 0;
        for (volatile int page = 0; page < PAGES; page++) {
            if (sigsetjmp(back, 1) == 0)
                right += map[page * PAGE] == 'a' + page;
            else
                caught++;
        }
        printf("mapped %ld caught %ld\n", right, caught);
        return 0;
    }
    int first = open("/mnt/file", O_RDWR | O_CREAT, 0600);
    int second = open("/mnt/file", O_RDWR);
    for (int page = 0; page < PAGES; page++)
        memset(buf + page * PAGE, 'a' + page, PAGE);
    printf("write %s\n", result(write(first, buf, sizeof buf)));
    printf("fsync %s\n", result(fsync(first)));
    printf("fsync %s\n", result(fsync(first)));
    printf("second %s\n", result(fsync(second)));
    printf("second %s\n", result(fsync(second)));
    int third = open("/mnt/file", O_RDWR);
    printf("third %s\n", result(fsync(third)));
    memset(buf, 0, sizeof buf);
    printf("read %s\n", result(pread(third, buf, sizeof buf, 0)));
    long right = 0;
    for (int page = 0; page < PAGES; page++)
        right += buf[page * PAGE] == 'a' + page;
    printf("right %ld\n", right);
    return 0;
}

/* A disk that gets full, where /mnt has one made for this test, and the directory that is named otherwise:
   who writes is told at once, by ENOSPC, and who stores through a mapping, by SIGBUS; what was written
   before stays, and room that is given back can be used. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096L
#define HOLE 64L

static char buf[4 * PAGE];
static sigjmp_buf back;
static void *volatile where;

static void bus(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    where = info->si_addr;
    siglongjmp(back, info->si_code);
}

static const char *told(long result)
{
    static char text[16];
    if (result < 0)
        return errno == ENOSPC ? "ENOSPC" : strerror(errno);
    snprintf(text, sizeof text, "%ld", result);
    return text;
}

/* Fills the disk, and says how many pages that took. */
static long fill(int fd)
{
    long pages = 0;
    for (;;) {
        memset(buf, (int)(pages % 251), PAGE);
        ssize_t done = pwrite(fd, buf, PAGE, pages * PAGE);
        if (done == PAGE)
            pages++;
        else {
            printf("full: %s\n", told(done));
            return pages;
        }
    }
}

static long right(int fd, long pages)
{
    long count = 0;
    for (long page = 0; page < pages; page++)
        if (pread(fd, buf, PAGE, page * PAGE) == PAGE)
            count += buf[0] == (char)(page % 251) && buf[PAGE - 1] == buf[0];
    return count;
}

int main(int argc, char **argv)
{
    const char *base = access("/mnt/of-a-test", F_OK) && argc > 1 ? argv[1] : "/mnt";
    struct sigaction act = { .sa_sigaction = bus, .sa_flags = SA_SIGINFO };
    sigaction(SIGBUS, &act, NULL);
    if (chdir(base)) {
        perror(base);
        return 1;
    }
    int hole = open("hole", O_RDWR | O_CREAT | O_EXCL, 0600);
    printf("hole: %s\n", told(ftruncate(hole, HOLE * PAGE)));
    char *map = mmap(NULL, HOLE * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, hole, 0);
    map[0] = 1;
    int fd = open("filler", O_RDWR | O_CREAT | O_EXCL, 0600);
    long pages = fill(fd);
    printf("many: %d\n", pages > 100);
    printf("again: %s\n", told(pwrite(fd, buf, 1, pages * PAGE)));
    struct stat st;
    fstat(fd, &st);
    printf("size: %d\n", st.st_size == pages * PAGE);
    printf("over what is there: %s\n", told(pwrite(fd, "\0", 1, 0)));
    /* A page of the hole can be read, and has no room. */
    printf("read: %d\n", map[20 * PAGE]);
    volatile int code = sigsetjmp(back, 1);
    if (code == 0) {
        map[20 * PAGE + 5] = 7;
        printf("stored\n");
    } else
        printf("SIGBUS: adrerr %d, right %d\n", code == BUS_ADRERR,
               where == map + 20 * PAGE + 5);
    map[100] = 2;
    printf("where there is room: %d\n", map[100]);
    printf("new name: %d\n", open("new", O_RDWR | O_CREAT, 0600) >= 0);
    printf("msync: %s\n", told(msync(map, HOLE * PAGE, MS_SYNC)));
    printf("fsync: %s\n", told(fsync(fd)));
    printf("right: %d\n", right(fd, pages) == pages);
    printf("shorter: %s\n", told(ftruncate(fd, PAGE)));
    code = sigsetjmp(back, 1);
    if (code == 0) {
        map[20 * PAGE + 5] = 7;
        printf("stored: %d\n", map[20 * PAGE + 5]);
    }
    printf("write: %s\n", told(pwrite(hole, buf, sizeof buf, 40 * PAGE)));
    printf("fsync: %s\n", told(fsync(hole)));
    unlink("hole");
    unlink("filler");
    unlink("new");
    return 0;
}

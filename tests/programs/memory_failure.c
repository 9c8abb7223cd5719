/* Waits while the memory of some of its pages breaks, and says what it finds then: which pages are as they
   were, which are SIGBUS (code, whether the address is the one it used, si_addr_lsb), and what system calls
   and fsync say of it. Where nothing breaks, as on Linux, all is as it was. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L

static char *const ANON = (char *)0x30000000;
static char *const DISK = (char *)0x40000000;
static char *const SHARED = (char *)0x50000000;

static sigjmp_buf back;
static siginfo_t last;

static void bus(int number, siginfo_t *info, void *context)
{
    (void)context;
    last = *info;
    siglongjmp(back, number);
}

static void look(const char *name, char *at)
{
    if (sigsetjmp(back, 1) == 0) {
        volatile char *byte = at + 5;
        printf("%s: %d\n", name, *byte);
    } else {
        printf("%s: SIGBUS code %d, %s, lsb %d\n", name, last.si_code,
               (char *)last.si_addr == at + 5 ? "its address" : "elsewhere", last.si_addr_lsb);
    }
}

static void said(const char *name, long result)
{
    if (result < 0)
        printf("%s: errno %d\n", name, errno);
    else
        printf("%s: %ld\n", name, result);
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = bus, .sa_flags = SA_SIGINFO };
    sigaction(SIGBUS, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);

    int fixed = MAP_FIXED;
    mmap(ANON, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
    mmap(SHARED, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | fixed, -1, 0);
    int fd = open("/mnt/content", O_RDWR);
    mmap(DISK, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, fd, 0);
    for (int page = 0; page < 4; page++)
        ANON[page * PAGE + 5] = 1 + page;
    memset(SHARED, 7, 2 * PAGE);
    volatile char sum = DISK[5];
    DISK[PAGE + 5] = 'x';
    DISK[2 * PAGE + 5] = 'y';

    /* Here it breaks. */
    for (int call = 0; call < 400; call++)
        syscall(SYS_getppid);
    usleep(1);

    look("anonymous, whole", ANON);
    look("anonymous", ANON + PAGE);
    look("file, clean", DISK);
    look("file, dirty", DISK + PAGE);
    look("file, dirty, whole", DISK + 2 * PAGE);
    look("shared, whole", SHARED);
    look("shared", SHARED + PAGE);
    char byte;
    int pipes[2];
    said("pipe", pipe(pipes));
    said("write of it", write(pipes[1], ANON + PAGE, 1));
    if (fork() == 0) {
        look("in a child", ANON + PAGE);
        _exit(0);
    }
    wait(NULL);
    said("first fsync", fsync(fd));
    said("second fsync", fsync(fd));
    said("pread", pread(fd, &byte, 1, 5));
    madvise(ANON + PAGE, PAGE, MADV_DONTNEED);
    look("given up", ANON + PAGE);
    ANON[PAGE + 5] = 9;
    look("written again", ANON + PAGE);
    ANON[5] = 8;
    look("stored", ANON);
    return sum == 'a' ? 0 : 1;
}

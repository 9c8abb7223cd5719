/* Wrong accesses: signal, code and address as the handler gets them, and the way back. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile char *base;

static void handler(int signo, siginfo_t *info, void *context)
{
    (void)context;
    long offset = (char *)info->si_addr - (char *)base;
    printf("  signal %d code %d ", signo, info->si_code);
    if (info->si_addr == NULL)
        printf("address null\n");
    else
        printf("offset %ld\n", offset);
    siglongjmp(back, 1);
}

static void load(const char *what, volatile char *at)
{
    printf("load %s\n", what);
    if (sigsetjmp(back, 1) == 0)
        printf("  got %d\n", *at);
}

static void store(const char *what, volatile char *at)
{
    printf("store %s\n", what);
    if (sigsetjmp(back, 1) == 0) {
        *at = 7;
        printf("  stored %d\n", *at);
    }
}

static void jump(const char *what, volatile char *at)
{
    printf("jump %s\n", what);
    if (sigsetjmp(back, 1) == 0) {
        ((void (*)(void))at)();
        printf("  returned\n");
    }
}

int main(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);

    base = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    load("fresh", base);
    store("fresh", base + 1);
    load("stored", base + 1);
    printf("mprotect %d\n", mprotect((void *)(base + 4096), 4096, PROT_READ));
    load("read-only", base + 4096);
    store("read-only", base + 4096 + 17);
    printf("mprotect %d\n", mprotect((void *)(base + 8192), 4096, PROT_NONE));
    load("none", base + 8192 + 5);
    store("none", base + 8192 + 6);
    printf("munmap %d\n", munmap((void *)(base + 12288), 4096));
    load("unmapped", base + 12288 + 9);
    store("unmapped", base + 12288 + 10);
    jump("data", base + 2);
    load("null", NULL);
    *(base + 3) = (char)0xc3;
    printf("mprotect %d\n", mprotect((void *)base, 4096, PROT_READ | PROT_EXEC));
    jump("code", base + 3);
    store("code", base + 3);
    printf("mprotect %d\n", mprotect((void *)(base + 4096), 4096, PROT_READ | PROT_WRITE));
    store("writable again", base + 4096);
    return 0;
}

/* The counters that a program can read by an instruction: here time is a count of events. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <x86intrin.h>

static sigjmp_buf back;

static void handler(int signal)
{
    siglongjmp(back, signal);
}

int main(void)
{
    getppid();
    unsigned long first = __rdtsc(), second = __rdtsc();
    getppid();
    unsigned long third = __rdtsc();
    printf("%lu, then %lu and %lu more\n", first, second - first, third - second);
    /* A loop that waits for a time ends. */
    while (__rdtsc() - third < 1000000)
        ;
    signal(SIGSEGV, handler);
    signal(SIGILL, handler);
    unsigned low, high;
    int caught = sigsetjmp(back, 1);
    if (!caught)
        __asm__ volatile("rdtscp" : "=a"(low), "=d"(high) : : "rcx");
    printf("rdtscp: signal %d\n", caught);
    caught = sigsetjmp(back, 1);
    if (!caught)
        __asm__ volatile("rdpmc" : "=a"(low), "=d"(high) : "c"(0));
    printf("rdpmc: signal %d\n", caught);
    return 0;
}

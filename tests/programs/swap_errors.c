/* Pages in swap that may not come back: each access to such a page is a SIGBUS at its address, or EFAULT
   for a system call, and never wrong data; tried again, it succeeds once the device does. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define PAGE 4096L
#define PAGES 200L

static volatile char *volatile expected;
static long signals, strange, failed_calls;

static void handler(int signo, siginfo_t *info, void *context)
{
    (void)context;
    signals++;
    strange += signo != SIGBUS || info->si_code != BUS_ADRERR || info->si_addr != (void *)expected;
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGBUS, &action, NULL);
    char *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int ends[2];
    if (area == MAP_FAILED || pipe(ends) != 0)
        return 2;
    long wrong = 0, strange_calls = 0;
    for (long round = 1; round <= 3; round++) {
        for (long page = 0; page < PAGES; page++) {
            /* A store that faults is made again when the handler returns. */
            expected = area + page * PAGE + 77;
            *expected = (char)(page * round);
        }
        madvise(area, PAGES * PAGE, MADV_PAGEOUT);
        for (long page = 0; page < PAGES; page += 3) {
            char byte;
            while (write(ends[1], area + page * PAGE + 77, 1) != 1) {
                failed_calls++;
                strange_calls += errno != EFAULT;
            }
            if (read(ends[0], &byte, 1) != 1)
                return 2;
            wrong += byte != (char)(page * round);
        }
        for (long page = 0; page < PAGES; page++) {
            expected = area + page * PAGE + 77;
            wrong += *expected != (char)(page * round);
        }
        madvise(area, PAGES * PAGE, MADV_PAGEOUT);
    }
    printf("wrong bytes: %ld\n", wrong);
    printf("other signals: %ld\n", strange);
    printf("other errors: %ld\n", strange_calls);
    if (argc > 1 && strcmp(argv[1], "count") == 0)
        printf("signals %ld errors %ld\n", signals, failed_calls);
    return 0;
}

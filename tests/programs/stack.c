/* The stack grows as it is used, and ends at its limit; a handler on another stack sees that. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char other[65536];

static void handler(int signo, siginfo_t *info, void *context)
{
    (void)context;
    char here;
    int on_other = &here >= other && &here < other + sizeof other;
    printf("signal %d code %d, on the other stack: %d\n", signo, info->si_code, on_other);
    fflush(stdout);
    _exit(9);
}

static long deep(long depth)
{
    volatile char frame[1024];
    frame[0] = (char)depth;
    if (depth == 0)
        return 0;
    return deep(depth - 1) + frame[0];
}

static long endless(long depth)
{
    volatile char frame[4000];
    frame[depth % 4000] = 1;
    return endless(depth + 1) + frame[0];
}

int main(void)
{
    printf("deep %ld\n", deep(4000));
    stack_t stack = { .ss_sp = other, .ss_size = sizeof other };
    printf("sigaltstack %d\n", sigaltstack(&stack, NULL));
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, NULL);
    fflush(stdout);
    printf("%ld\n", endless(0));
    return 0;
}

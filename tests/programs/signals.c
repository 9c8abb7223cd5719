/* Handlers, masks, pending signals, nesting, restarting, and what a child's end does. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t seen[65];
static volatile sig_atomic_t order[16], count;

static void handler(int signo)
{
    seen[signo]++;
    if (count < 16)
        order[count++] = signo;
}

static void nested(int signo)
{
    order[count++] = signo;
    raise(SIGUSR2);
    order[count++] = signo;
}

static void with_info(int signo, siginfo_t *info, void *context)
{
    (void)context;
    printf("info signo %d code %d self %d\n", signo, info->si_code, info->si_pid == getpid());
}

static void show(const char *what)
{
    printf("%s:", what);
    for (int i = 0; i < count; i++)
        printf(" %d", (int)order[i]);
    printf("\n");
    count = 0;
}

int main(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR2);
    show("at once");

    sigset_t set, old, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR2);
    raise(SIGUSR1);
    raise(SIGUSR1);
    show("blocked");
    sigpending(&pending);
    printf("pending %d %d %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2), sigismember(&pending, SIGTERM));
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("delivered %d %d\n", (int)seen[SIGUSR1], (int)seen[SIGUSR2]);
    count = 0;

    action.sa_handler = nested;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    show("nested");
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    show("masked while it runs");

    memset(&action, 0, sizeof action);
    action.sa_sigaction = with_info;
    action.sa_flags = SA_SIGINFO | SA_RESETHAND;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &action);
    printf("reset %d\n", action.sa_handler == SIG_DFL);
    printf("no such signal %d", kill(getpid(), 65));
    printf(" errno %d\n", errno);
    printf("cannot catch %d", sigaction(SIGKILL, &action, NULL));
    printf(" errno %d\n", errno);

    fflush(stdout);
    int status, gate[2];
    pipe(gate);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        read(gate[0], &byte, 1);
        _exit(4);
    }
    kill(child, SIGTERM);
    while (waitpid(child, &status, 0) < 0)
        ;
    printf("killed %d by %d\n", WIFSIGNALED(status), WTERMSIG(status));
    printf("child signal %d\n", (int)seen[SIGCHLD]);
    return 0;
}

/* alarm and setitimer: once, again and again, cancelled, inherited. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t count;

static void handler(int signal)
{
    (void)signal;
    count++;
}

static void show(const char *what, struct itimerval *timer)
{
    printf("%s: value %d interval %ld.%06ld\n", what,
           timer->it_value.tv_sec > 0 || timer->it_value.tv_usec > 0,
           (long)timer->it_interval.tv_sec, (long)timer->it_interval.tv_usec);
}

int main(void)
{
    struct itimerval timer = { { 0, 20000 }, { 0, 30000 } }, old, off = { 0 };
    struct sigaction action = { .sa_handler = handler };
    sigset_t none;
    sigemptyset(&none);
    setvbuf(stdout, NULL, _IONBF, 0);
    sigaction(SIGALRM, &action, NULL);
    printf("first alarm %u\n", alarm(100));
    printf("replaced %d\n", alarm(50) >= 99);
    getitimer(ITIMER_REAL, &old);
    show("alarm is a timer", &old);
    printf("off %d\n", alarm(0) >= 49);
    printf("none %u\n", alarm(0));

    printf("set %d\n", setitimer(ITIMER_REAL, &timer, &old));
    show("before", &old);
    for (int i = 0; i < 3; i++)
        printf("pause %d %d\n", pause(), errno);
    printf("three %d\n", count >= 3);
    getitimer(ITIMER_REAL, &old);
    show("runs", &old);
    setitimer(ITIMER_REAL, &off, NULL);
    getitimer(ITIMER_REAL, &old);
    show("off", &old);
    count = 0;
    alarm(1);
    printf("sleep %d\n", sleep(5) >= 3);
    printf("once %d\n", count);

    timer.it_value.tv_usec = 1000000;
    printf("bad value %d", setitimer(ITIMER_REAL, &timer, NULL));
    printf(" %d\n", errno);
    printf("bad which %d", setitimer(17, &off, NULL));
    printf(" %d\n", errno);
    printf("bad pointer %d", setitimer(ITIMER_REAL, (struct itimerval *)8, NULL));
    printf(" %d\n", errno);
    printf("bad pointer %d", getitimer(ITIMER_REAL, (struct itimerval *)8));
    printf(" %d\n", errno);

    alarm(100);
    if (fork() == 0)
        _exit(alarm(0) != 0);
    int status;
    wait(&status);
    printf("inherited %d\n", WEXITSTATUS(status));
    if (fork() == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(1);
        for (;;)
            pause();
    }
    while (wait(&status) < 0)
        ;
    printf("killed by %d\n", WTERMSIG(status));
    return 0;
}

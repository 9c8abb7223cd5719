/* Timers of a process's own time, and the clocks that show it: it goes on while the process works, and
 * stands while it sleeps. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t fired[65];

static void handler(int signal)
{
    fired[signal]++;
}

static long nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* Works until a signal has come so often; 0 if it never does. */
static int work(int signal, int times)
{
    for (int i = 0; i < 2000000 && fired[signal] < times; i++) {
        for (volatile int j = 0; j < 3000; j++)
            ;
        getppid();
    }
    return fired[signal] >= times;
}

static void timer(const char *name, int which, int signal)
{
    struct itimerval set = { .it_value = { 0, 3000 }, .it_interval = { 0, 2000 } }, now, old;
    sigaction(signal, &(struct sigaction){ .sa_handler = handler, .sa_flags = SA_RESTART }, NULL);
    int result = setitimer(which, &set, NULL);
    printf("%s: set %d, fired %d", name, result, work(signal, 3));
    result = getitimer(which, &now);
    printf(", get %d %d interval %ld", result, now.it_value.tv_sec == 0 && now.it_value.tv_usec > 0,
           (long)now.it_interval.tv_usec);
    memset(&set, 0, sizeof set);
    set.it_value.tv_sec = 5;
    result = setitimer(which, &set, &old);
    printf(", old %d interval %ld", result, (long)old.it_interval.tv_usec);
    usleep(1200000);
    getitimer(which, &now);
    printf(", a sleep is not counted %d", now.it_value.tv_sec >= 4);
    fflush(stdout);
    int status;
    if (fork() == 0) {
        getitimer(which, &now);
        _exit(now.it_value.tv_sec || now.it_value.tv_usec);
    }
    wait(&status);
    printf(", a child has none %d", status == 0);
    memset(&set, 0, sizeof set);
    result = setitimer(which, &set, NULL);
    getitimer(which, &now);
    printf(", off %d %d\n", result, now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
}

int main(void)
{
    timer("ITIMER_VIRTUAL", ITIMER_VIRTUAL, SIGVTALRM);
    timer("ITIMER_PROF", ITIMER_PROF, SIGPROF);

    struct itimerval wrong = { .it_value = { 0, 1000000 } };
    errno = 0;
    int result = setitimer(ITIMER_PROF, &wrong, NULL);
    printf("no such time: %d errno %d\n", result, errno);
    wrong.it_value.tv_usec = 0;
    errno = 0;
    result = setitimer(7, &wrong, NULL);
    printf("no such timer: %d errno %d\n", result, errno);
    errno = 0;
    result = getitimer(7, &wrong);
    printf("nor that: %d errno %d\n", result, errno);

    long before = nanoseconds(CLOCK_PROCESS_CPUTIME_ID), thread = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    long real = nanoseconds(CLOCK_MONOTONIC);
    usleep(700000);
    long slept = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - before;
    printf("slept: own time %d, thread's %d, real %d\n", slept < 300000000,
           nanoseconds(CLOCK_THREAD_CPUTIME_ID) - thread < 300000000,
           nanoseconds(CLOCK_MONOTONIC) - real >= 700000000);
    before = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < 20000000 && nanoseconds(CLOCK_PROCESS_CPUTIME_ID) == before; i++)
        getppid();
    printf("worked: %d\n", nanoseconds(CLOCK_PROCESS_CPUTIME_ID) > before);
    struct tms used;
    clock_t ticks = times(&used);
    printf("times: %d %d\n", ticks > 0, used.tms_utime >= 0 && used.tms_cutime == 0);
    return 0;
}

/* What the kernel keeps of a process and tells again: what it has used, its nice value, CPUs and what prctl
 * remembers, and the locks of one that dies. */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L

static long answer(long value)
{
    return value < 0 ? -errno : value;
}
#define CALL(number, ...) answer(syscall(SYS_##number, __VA_ARGS__))

static void touch(long pages)
{
    volatile char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise((void *)memory, pages * PAGE, MADV_NOHUGEPAGE);
    for (long page = 0; page < pages; page++)
        memory[page * PAGE] = 1;
    munmap((void *)memory, pages * PAGE);
}

static long faults(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return usage.ru_minflt;
}

/* Kilobytes of pages that were touched; Linux before 6.2 counts them in lots of 64. */
static long resident(long pages)
{
    return (pages - 64) * (PAGE >> 10);
}

static void usage(void)
{
    struct rusage own, child, all;
    getrusage(RUSAGE_SELF, &own);
    long before = own.ru_minflt;
    touch(200);
    printf("faults %d", faults(RUSAGE_SELF) - before >= 200);
    getrusage(RUSAGE_SELF, &own);
    /* It has gone, but was there. */
    printf(" resident %d", own.ru_maxrss >= resident(200));
    printf(" children %ld\n", faults(RUSAGE_CHILDREN));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            touch(300);
            _exit(0);
        }
        wait(NULL);
        touch(50);
        _exit(0);
    }
    int status;
    wait4(pid, &status, 0, &child);
    getrusage(RUSAGE_CHILDREN, &all);
    printf("wait4 %d %d", child.ru_minflt >= 350, child.ru_maxrss >= resident(300));
    printf(" same %d\n", child.ru_minflt == all.ru_minflt && child.ru_maxrss == all.ru_maxrss);
    pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    struct rusage once;
    printf("waitid %ld", CALL(waitid, P_PID, pid, &info, WEXITED | WNOWAIT, &once));
    printf(" %d", once.ru_minflt > 0);
    memset(&once, 7, sizeof once);
    printf(" %ld", CALL(waitid, P_PID, pid, &info, WEXITED, &once));
    printf(" %d none %ld\n", once.ru_minflt > 0 && once.ru_minflt < 1000, CALL(waitid, P_ALL, 0, &info, WEXITED, &once));
}

static void cpu_time(void)
{
    struct rusage first, second;
    getrusage(RUSAGE_SELF, &first);
    /* What sleeps uses nothing; what calls does. */
    struct timespec soon = { 0, 30000000 };
    nanosleep(&soon, NULL);
    getrusage(RUSAGE_SELF, &second);
    long slept = second.ru_utime.tv_usec + second.ru_stime.tv_usec - first.ru_utime.tv_usec - first.ru_stime.tv_usec;
    printf("asleep %d", (second.ru_utime.tv_sec == first.ru_utime.tv_sec ? slept : 0) < 25000);
    struct timespec now;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while (now.tv_sec == 0 && now.tv_nsec < 4000000);
    getrusage(RUSAGE_SELF, &second);
    long used = (second.ru_utime.tv_sec + second.ru_stime.tv_sec) * 1000000 + second.ru_utime.tv_usec +
                second.ru_stime.tv_usec;
    printf(" used %d\n", used >= 3000);
}

static void nice_values(void)
{
    printf("nice %ld", CALL(getpriority, PRIO_PROCESS, 0));
    printf(" set %ld is %ld", CALL(setpriority, PRIO_PROCESS, 0, 7), CALL(getpriority, PRIO_PROCESS, 0));
    printf(" clamped %ld is %ld", CALL(setpriority, PRIO_PROCESS, 0, 100), CALL(getpriority, PRIO_PROCESS, 0));
    printf(" nobody %ld %ld what %ld %ld\n", CALL(getpriority, PRIO_PROCESS, 1 << 22), CALL(setpriority, PRIO_PROCESS, 1 << 22, 1),
           CALL(getpriority, 3, 0), CALL(setpriority, 9, 0, 0));
    fflush(stdout);
    if (fork() == 0) {
        printf("child %ld", CALL(getpriority, PRIO_PROCESS, 0));
        setpgid(0, 0);
        CALL(setpriority, PRIO_PGRP, 0, 3);
        printf(" group %ld parent %ld\n", CALL(getpriority, PRIO_PGRP, 0), CALL(getpriority, PRIO_PROCESS, getppid()));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    char line[400] = "";
    long nice = 0, priority = 0;
    FILE *stat = fopen("/proc/self/stat", "r");
    if (stat && fgets(line, sizeof line, stat))
        sscanf(strrchr(line, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %ld %ld", &priority, &nice);
    printf("stat %ld %ld\n", priority, nice);
}

static void cpus(void)
{
    unsigned long set[128] = { 0 }, none[128] = { 0 };
    long size = CALL(sched_getaffinity, 0, sizeof set, set);
    printf("affinity %d", size >= 8);
    printf(" first %ld", CALL(sched_setaffinity, 0, sizeof set, set));
    printf(" none %ld", CALL(sched_setaffinity, 0, sizeof none, none));
    printf(" short %ld %ld", CALL(sched_setaffinity, 0, 0, none), CALL(sched_getaffinity, 0, 4, none));
    printf(" nobody %ld %ld", CALL(sched_getaffinity, 1 << 22, sizeof none, none), CALL(sched_setaffinity, 1 << 22, sizeof set, set));
    printf(" wild %ld %ld\n", CALL(sched_getaffinity, 0, sizeof set, 8), CALL(sched_setaffinity, 0, 8, 8));
}

static void remembered(void)
{
    int flag = 9;
    printf("dumpable %ld", CALL(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
    printf(" %ld", CALL(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0));
    printf(" %ld bad %ld\n", CALL(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0), CALL(prctl, PR_SET_DUMPABLE, 2, 0, 0, 0));
    printf("keepcaps %ld %ld", CALL(prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0), CALL(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
    printf(" %ld bad %ld\n", CALL(prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0), CALL(prctl, PR_SET_KEEPCAPS, 2, 0, 0, 0));
    printf("no_new_privs %ld bad %ld %ld %ld", CALL(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
           CALL(prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), CALL(prctl, PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0),
           CALL(prctl, PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
    printf(" set %ld", CALL(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    printf(" %ld\n", CALL(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    printf("signal %ld bad %ld", CALL(prctl, PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0), CALL(prctl, PR_SET_PDEATHSIG, 65, 0, 0, 0));
    printf(" %ld", CALL(prctl, PR_GET_PDEATHSIG, &flag, 0, 0, 0));
    printf(" %d wild %ld\n", flag, CALL(prctl, PR_GET_PDEATHSIG, 8, 0, 0, 0));
    printf("subreaper %ld", CALL(prctl, PR_GET_CHILD_SUBREAPER, &flag, 0, 0, 0));
    printf(" %d\n", flag);
    printf("slack %ld", CALL(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0));
    printf(" %ld", CALL(prctl, PR_SET_TIMERSLACK, 7777, 0, 0, 0));
    printf(" %ld", CALL(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0));
    printf(" %ld", CALL(prctl, PR_SET_TIMERSLACK, 0, 0, 0, 0));
    printf(" %ld\n", CALL(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0));
    printf("unknown %ld\n", CALL(prctl, 9999, 0, 0, 0, 0));
}

/* A lock, and the list that has it. */
struct lock {
    uint64_t next;
    uint32_t word;
};

static void robust(void)
{
    struct lock *locks = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        static struct { uint64_t first; int64_t offset; uint64_t pending; } head;
        head.offset = offsetof(struct lock, word);
        head.first = (uintptr_t)&locks[0];
        locks[0].next = (uintptr_t)&locks[1];
        locks[1].next = (uintptr_t)&head;
        head.pending = (uintptr_t)&locks[2];
        locks[0].word = getpid() | FUTEX_WAITERS;
        locks[1].word = 12345;
        locks[2].word = getpid();
        long size = CALL(set_robust_list, &head, 23);
        printf("too short %ld", size);
        printf(" set %ld", CALL(set_robust_list, &head, sizeof head));
        uint64_t at, len;
        printf(" get %ld", CALL(get_robust_list, 0, &at, &len));
        printf(" %d %lu nobody %ld\n", at == (uintptr_t)&head, (long)len, CALL(get_robust_list, 1 << 22, &at, &len));
        fflush(stdout);
        /* Until the other one waits. */
        struct timespec soon = { 0, 20000000 };
        nanosleep(&soon, NULL);
        raise(SIGKILL);
    }
    struct timespec limit = { 60, 0 };
    while (!__atomic_load_n(&locks[2].word, __ATOMIC_ACQUIRE))
        sched_yield();
    long waited = CALL(futex, &locks[0].word, FUTEX_WAIT, pid | FUTEX_WAITERS, &limit, 0, 0);
    wait(NULL);
    printf("woken %ld died %d %d other's %u\n", waited == -EAGAIN ? 0 : waited, locks[0].word == (FUTEX_OWNER_DIED | FUTEX_WAITERS),
           locks[2].word == FUTEX_OWNER_DIED, locks[1].word);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    usage();
    cpu_time();
    cpus();
    remembered();
    robust();
    nice_values();
    return 0;
}

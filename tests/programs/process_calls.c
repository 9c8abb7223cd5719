/* Calls about processes, signals and clocks that C libraries make by themselves. */
#include <errno.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long call(long number, long a, long b, long c, long d, long e)
{
    long value = syscall(number, a, b, c, d, e);
    return value < 0 ? -errno : value;
}
#define CALL5(n, a, b, c, d, e, ...) call(SYS_##n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define CALL(...) CALL5(__VA_ARGS__, 0, 0, 0, 0, 0)

static volatile int handled;
static void handler(int signal)
{
    handled = handled * 100 + signal;
}

static void clones(void)
{
    int status, tid = 0;
    long pid = CALL(clone, CLONE_PARENT_SETTID | SIGCHLD, 0, &tid, 0, 0);
    if (pid == 0)
        CALL(exit_group, 5);
    long waited = CALL(wait4, pid, &status, 0, 0);
    printf("clone %d %d %x\n", waited == pid, tid == pid, status);
    volatile int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *word = 77;
    pid = CALL(clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, word);
    if (pid == 0)
        CALL(exit_group, *word == getpid() ? 0 : 1);
    CALL(wait4, pid, &status, 0, 0);
    /* The memory is not the parent's, so nobody waits for the word. */
    printf("child's word %x %d\n", status, *word == pid);
    struct clone_args args = { .flags = CLONE_PARENT_SETTID, .parent_tid = (uintptr_t)&tid, .exit_signal = SIGCHLD };
    pid = CALL(clone3, &args, sizeof args);
    if (pid == 0)
        CALL(exit_group, 6);
    waited = CALL(wait4, pid, &status, 0, 0);
    printf("clone3 %d %d %x\n", waited == pid, tid == pid, status);
    printf("clone3 too small %ld\n", CALL(clone3, &args, 8));
    args.exit_signal = 200;
    printf("clone3 signal %ld\n", CALL(clone3, &args, sizeof args));
    printf("sighand without vm %ld\n", CALL(clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0));
    printf("thread without sighand %ld\n", CALL(clone, CLONE_THREAD | CLONE_VM, 0, 0, 0));
    printf("nobody to wait for %ld, options %ld\n", CALL(wait4, -1, &status, 0, 0), CALL(wait4, -1, &status, 0x1000));
}

static void signals(void)
{
    struct sigaction action = { .sa_handler = handler };
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    pid_t me = getpid();
    printf("tgkill %ld", CALL(tgkill, me, me, SIGUSR1));
    printf(" tkill %ld", CALL(tkill, me, SIGUSR2));
    printf(" handled %d\n", handled);
    printf("no such group %ld, no such task %ld, no such signal %ld\n", CALL(tgkill, 1 << 22, me, 0),
           CALL(tkill, 1 << 22, 0), CALL(tkill, me, 65));
    uint64_t both = 1UL << (SIGUSR1 - 1) | 1UL << (SIGUSR2 - 1), none = 0, one = 1UL << (SIGUSR1 - 1), pending;
    CALL(rt_sigprocmask, SIG_BLOCK, &both, 0, 8);
    CALL(tkill, me, SIGUSR2);
    CALL(tkill, me, SIGUSR1);
    printf("pending %ld", CALL(rt_sigpending, &pending, 8));
    printf(" %lx\n", (long)pending);
    siginfo_t info;
    struct timespec soon = { 0, 1000000 };
    printf("waited %ld", CALL(rt_sigtimedwait, &one, &info, &soon, 8));
    printf(" %d, again %ld\n", info.si_signo, CALL(rt_sigtimedwait, &one, &info, &soon, 8));
    handled = 0;
    printf("suspend %ld", CALL(rt_sigsuspend, &none, 8));
    printf(" handled %d\n", handled);
    printf("suspend size %ld\n", CALL(rt_sigsuspend, &none, 4));
    CALL(rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
}

static void sessions(void)
{
    int status;
    fflush(stdout);
    if (fork() == 0) {
        pid_t me = getpid();
        printf("setpgid %ld", CALL(setpgid, 0, 0));
        printf(" %d", getpgid(0) == me);
        printf(" setsid of a leader %ld\n", CALL(setsid));
        fflush(stdout);
        if (fork() == 0) {
            me = getpid();
            printf("setsid %d", CALL(setsid) == me);
            printf(" %d %d", getsid(0) == me, getpgrp() == me);
            printf(" setpgid of a session %ld\n", CALL(setpgid, 0, 0));
            printf("getpgid of nobody %ld, getsid %ld, setpgid %ld\n", CALL(getpgid, 1 << 22), CALL(getsid, 1 << 22),
                   CALL(setpgid, 1 << 22, 0));
            fflush(stdout);
            _exit(0);
        }
        wait(&status);
        _exit(status >> 8);
    }
    wait(&status);
    printf("sessions %x\n", status);
}

static void clocks(void)
{
    struct timespec resolution, before, after, shown = { 0, 2000000 };
    struct timeval day;
    printf("getres %ld", CALL(clock_getres, CLOCK_MONOTONIC, &resolution));
    printf(" %ld.%09ld", (long)resolution.tv_sec, resolution.tv_nsec);
    printf(" none %ld\n", CALL(clock_getres, 99, &resolution));
    clock_gettime(CLOCK_MONOTONIC, &before);
    printf("sleep %ld", CALL(clock_nanosleep, CLOCK_MONOTONIC, 0, &shown, 0));
    clock_gettime(CLOCK_MONOTONIC, &after);
    long passed = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
    printf(" enough %d", passed >= 2000000);
    after.tv_nsec = 0;
    printf(" until then %ld", CALL(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &after, 0));
    shown.tv_nsec = -1;
    printf(" wrong %ld", CALL(clock_nanosleep, CLOCK_MONOTONIC, 0, &shown, 0));
    printf(" no clock %ld\n", CALL(clock_nanosleep, 99, 0, &after, 0));
    printf("gettimeofday %ld", CALL(gettimeofday, &day, 0));
    printf(" %d\n", day.tv_sec > 1700000000 && day.tv_usec < 1000000);
}

static void identity(void)
{
    unsigned a = 9, b = 9, c = 9;
    printf("ids %ld %ld %ld %ld", CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid));
    printf(" res %ld", CALL(getresuid, &a, &b, &c));
    printf(" %u %u %u", a, b, c);
    printf(" %ld", CALL(getresgid, &a, &b, &c));
    printf(" %u %u %u\n", a, b, c);
    printf("set %ld %ld %ld %ld %ld %ld %ld %ld\n", CALL(setuid, 0), CALL(setgid, 0), CALL(setreuid, -1, 0),
           CALL(setregid, 0, -1), CALL(setresuid, 0, 0, -1), CALL(setresgid, -1, -1, -1), CALL(setfsuid, 0),
           CALL(setfsgid, 0));
    printf("groups %d\n", CALL(getgroups, 0, 0) >= 0);
}

static void rest(void)
{
    unsigned long base = 0, set = 0;
    printf("arch_prctl %ld", CALL(arch_prctl, 0x1003, &base));
    printf(" %d", base != 0);
    printf(" %ld", CALL(arch_prctl, 0x1001, 0x123456));
    printf(" %ld", CALL(arch_prctl, 0x1004, &set));
    printf(" %lx", set);
    printf(" kernel's %ld", CALL(arch_prctl, 0x1001, -4096L));
    printf(" other %ld\n", CALL(arch_prctl, 0x9999, 0));
    int word;
    printf("set_tid_address %d\n", CALL(set_tid_address, &word) == getpid());
    printf("robust list %ld\n", CALL(set_robust_list, &word, 7));
    unsigned char cpus[128];
    printf("affinity %d", CALL(sched_getaffinity, 0, sizeof cpus, cpus) >= 8);
    printf(" any %d too small %ld\n", cpus[0] != 0, CALL(sched_getaffinity, 0, 1, cpus));
    unsigned cpu = 99, node = 99;
    printf("getcpu %ld", CALL(getcpu, &cpu, &node, 0));
    printf(" %d %u\n", cpu < 99, node);
    printf("yield %ld\n", CALL(sched_yield));
    struct rlimit limit;
    printf("prlimit %ld", call(SYS_prlimit64, 0, RLIMIT_CORE, 0, (long)&limit, 0));
    limit.rlim_cur = 0;
    printf(" setrlimit %ld", CALL(setrlimit, RLIMIT_CORE, &limit));
    limit.rlim_cur = limit.rlim_max = 5;
    limit.rlim_cur = 6;
    printf(" above %ld none %ld\n", CALL(setrlimit, RLIMIT_CORE, &limit), CALL(setrlimit, 99, &limit));
    printf("membarrier %d", CALL(membarrier, MEMBARRIER_CMD_QUERY, 0) > 0);
    printf(" global %ld", CALL(membarrier, MEMBARRIER_CMD_GLOBAL, 0));
    printf(" register %ld", CALL(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0));
    printf(" expedited %ld", CALL(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0));
    printf(" flags %ld none %ld\n", CALL(membarrier, MEMBARRIER_CMD_GLOBAL, 1), CALL(membarrier, 1 << 20, 0));
    char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char in_core[2] = { 0, 0 };
    printf("mlock2 %ld", CALL(mlock2, memory, 4096, 0));
    CALL(mincore, memory, 8192, in_core);
    printf(" %d%d", in_core[0] & 1, in_core[1] & 1);
    printf(" flags %ld nothing %ld\n", CALL(mlock2, memory, 4096, 2), CALL(mlock2, 4096, 4096, 0));
    printf("mlockall %ld", CALL(mlockall, 1));
    CALL(mincore, memory, 8192, in_core);
    printf(" %d%d", in_core[0] & 1, in_core[1] & 1);
    printf(" none %ld flags %ld munlockall %ld\n", CALL(mlockall, 0), CALL(mlockall, 9), CALL(munlockall));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    clones();
    signals();
    sessions();
    clocks();
    identity();
    rest();
    fflush(stdout);
    CALL(exit_group, 0x1234);
    return 1;
}

/* Every system call, by number, with wild pointers in every argument: each ends in an errno or in
 * the caller's own end. Not to be run outside: some of these calls do much to a real machine. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST 470

static const long pointers[] = {
    8, 0x7ffffffff000 - 4, 0x800000000000, -4096, (long)0xffffffff80100000, (long)0xffff888000000000,
};

/* These take no pointer, and wait for ever, go on twice, or end this process. */
static int takes_none(long number)
{
    return number == SYS_pause || number == SYS_fork || number == SYS_vfork || number == SYS_kill ||
           number == SYS_tkill || number == SYS_tgkill;
}

/* Tries all from *next on; which it is at, the parent sees. */
static void try_from(volatile long *next, volatile long *odd)
{
    for (; *next < LAST; ++*next) {
        long number = *next;
        if (takes_none(number))
            continue;
        for (unsigned i = 0; i < sizeof pointers / sizeof *pointers; i++) {
            long p = pointers[i];
            long all = syscall(number, p, p, p, p, p, p);
            int errors = all < 0 && errno > 133;
            long some = syscall(number, 1, p, 1, p, 0, 0);
            errors += some < 0 && errno > 133;
            long few = syscall(number, 0, 1, p, p, p, p);
            errors += few < 0 && errno > 133;
            *odd += errors;
        }
        alarm(0);
    }
    _exit(0);
}

int main(void)
{
    volatile long *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ended = 0, status;
    while (shared[0] < LAST) {
        pid_t pid = fork();
        if (pid == 0)
            try_from(&shared[0], &shared[1]);
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return 2;
        while (waitpid(-1, &status, WNOHANG) > 0)
            ;
        if (shared[0] < LAST) {
            /* What it was at has ended it. */
            shared[0]++;
            ended++;
        }
    }
    printf("tried %ld, odd %ld, ended %d\n", shared[0], shared[1], ended > 0);
    return 0;
}

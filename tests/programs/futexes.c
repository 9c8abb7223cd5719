/* Futexes between processes: a word in shared memory is one word, wherever it is mapped; a private one is
 * each process's own. */
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long futex(int *word, int operation, int value, void *timeout, int *other, int value3)
{
    long result = syscall(SYS_futex, word, operation, value, timeout, other, value3);
    return result < 0 ? -errno : result;
}

/* Wakes until somebody has been woken, for a while. */
static long wake(int *word, int operation, int count, int bits)
{
    for (int i = 0; i < 300; i++) {
        long woken = futex(word, operation, count, NULL, NULL, bits);
        if (woken)
            return woken;
        usleep(10000);
    }
    return 0;
}

static pid_t waiter(int *word, int operation, int bits, int seconds)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct timespec limit = { .tv_sec = seconds };
        long result = operation == FUTEX_WAIT_BITSET
                          ? futex(word, operation, 0, NULL, NULL, bits)
                          : futex(word, operation, 0, &limit, NULL, 0);
        _exit(result == -ETIMEDOUT ? 7 : result ? 9 : 0);
    }
    return pid;
}

static int status(pid_t pid)
{
    int status;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

int main(void)
{
    int fd = memfd_create("words", 0);
    if (ftruncate(fd, 8192))
        return 1;
    int *one = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
    int *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int *anonymous = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    pid_t pid = waiter(one + 5, FUTEX_WAIT, 0, 60);
    printf("at another address: %ld", wake(two + 1024 + 5, FUTEX_WAKE, 1, 0));
    printf(" status %d\n", status(pid));
    pid = waiter(anonymous, FUTEX_WAIT, 0, 60);
    printf("anonymous: %ld", wake(anonymous, FUTEX_WAKE, 1, 0));
    printf(" status %d\n", status(pid));

    pid = waiter(private, FUTEX_WAIT, 0, 1);
    usleep(100000);
    printf("private: %ld", futex(private, FUTEX_WAKE, 9, NULL, NULL, 0));
    printf(" status %d\n", status(pid));
    pid = waiter(anonymous, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, 1);
    usleep(100000);
    printf("said to be private: %ld", futex(anonymous, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    printf(" status %d\n", status(pid));

    pid = waiter(one, FUTEX_WAIT_BITSET, 6, 0);
    usleep(100000);
    printf("other bits: %ld\n", futex(one, FUTEX_WAKE_BITSET, 9, NULL, NULL, 9));
    printf("one bit: %ld", wake(one, FUTEX_WAKE_BITSET, 9, 2));
    printf(" status %d\n", status(pid));

    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        pids[i] = waiter(one, FUTEX_WAIT, 0, 60);
    usleep(300000);
    printf("wrong value: %ld\n", futex(one, FUTEX_CMP_REQUEUE, 1, (void *)9, one + 8, 5));
    printf("requeued: %ld\n", futex(one, FUTEX_CMP_REQUEUE, 1, (void *)9, one + 8, 0));
    printf("none left: %ld\n", futex(one, FUTEX_WAKE, 9, NULL, NULL, 0));
    printf("at the new one: %ld\n", futex(one + 8, FUTEX_WAKE, 9, NULL, NULL, 0));
    for (int i = 0; i < 3; i++)
        printf("status %d\n", status(pids[i]));

    printf("no bits: %ld\n", futex(one, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    printf("not aligned: %ld\n", futex((int *)((char *)one + 2), FUTEX_WAKE, 1, NULL, NULL, 0));
    printf("nowhere: %ld\n", futex((int *)4096, FUTEX_WAIT, 1, NULL, NULL, 0));
    printf("another value: %ld\n", futex(one, FUTEX_WAIT, 1, NULL, NULL, 0));
    return 0;
}

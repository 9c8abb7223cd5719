/* fork: who sees whose stores, for private and shared memory, over two generations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 64

static int global = 1;

static void say(const char *who, char *private, char *shared)
{
    long sum = 0;
    for (int i = 0; i < PAGES; i++)
        sum += private[i * 4096];
    printf("%s: global %d private %ld shared %d\n", who, global, sum, shared[0]);
    fflush(stdout);
}

int main(void)
{
    char *private = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int local = 5, status;
    for (int i = 0; i < PAGES; i++)
        private[i * 4096] = 1;
    shared[0] = 1;
    say("before", private, shared);
    pid_t child = fork();
    if (child == 0) {
        global = 2;
        local = 6;
        for (int i = 0; i < PAGES; i += 2)
            private[i * 4096] = 3;
        shared[0] = 2;
        say("child", private, shared);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            memset(private, 0, PAGES * 4096);
            shared[0] = 3;
            say("grandchild", private, shared);
            exit(local + 1);
        }
        printf("pid is new: %d\n", waitpid(grandchild, &status, 0) == grandchild);
        printf("grandchild exited %d\n", WEXITSTATUS(status));
        say("child after", private, shared);
        exit(local);
    }
    printf("waited: %d\n", wait(&status) == child);
    printf("child exited %d\n", WEXITSTATUS(status));
    printf("local %d\n", local);
    say("parent after", private, shared);
    printf("no more children: %d\n", wait(&status));
    return 0;
}

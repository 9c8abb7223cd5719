/* Processes that wait for each other for ever: what for is the argument. */
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int ends[2], word = 1;
    puts("begins");
    fflush(stdout);
    if (strcmp(what, "pipe") == 0) {
        char byte;
        if (pipe(ends))
            return 2;
        if (fork() == 0)
            return (int)read(ends[0], &byte, 1);
        wait(NULL);
    } else if (strcmp(what, "futex") == 0) {
        syscall(SYS_futex, &word, FUTEX_WAIT, 1, NULL, NULL, 0);
    } else if (strcmp(what, "stop") == 0) {
        if (fork() == 0) {
            raise(SIGSTOP);
            return 0;
        }
        wait(NULL);
    } else {
        pause();
    }
    puts("never here");
    return 1;
}

/* execve: of itself with other arguments, of what is no program, and what survives it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void handler(int signal)
{
    (void)signal;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "again") == 0) {
        printf("again: %d arguments, last <%s>, env <%s>\n", argc, argv[argc - 1], environ[0]);
        printf("kept fd: %d\n", fcntl(40, F_GETFD));
        printf("closed fd: %d", fcntl(41, F_GETFD));
        printf(" errno %d\n", errno);
        struct sigaction action;
        sigaction(SIGUSR1, NULL, &action);
        printf("handler %d\n", action.sa_handler == SIG_DFL);
        sigaction(SIGUSR2, NULL, &action);
        printf("ignored %d\n", action.sa_handler == SIG_IGN);
        return 6;
    }
    char *volatile wild = (char *)8;
    char *bad[] = { "x", NULL };
    char path[] = "/tmp/no-program-XXXXXX";
    int fd = mkstemp(path);
    fchmod(fd, 0700);
    write(fd, "\177ELF not really, but long enough to be looked at as a header of some kind", 72);
    close(fd);
    execv("/tmp/pagelab-missing", bad);
    printf("missing: errno %d\n", errno);
    execv(path, bad);
    printf("no program: errno %d\n", errno);
    execv("/tmp", bad);
    printf("directory: errno %d\n", errno);
    execv(wild, bad);
    printf("bad pointer: errno %d\n", errno);
    unlink(path);
    fflush(stdout);

    dup2(1, 40);
    dup2(1, 41);
    fcntl(41, F_SETFD, FD_CLOEXEC);
    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    if (fork() == 0) {
        char *args[] = { argv[0], "again", "two words", "", "end", NULL };
        char *env[] = { "ONLY=this", NULL };
        execve(argv[0], args, env);
        printf("exec: errno %d\n", errno);
        _exit(1);
    }
    int status;
    wait(&status);
    printf("status %d\n", WEXITSTATUS(status));
    return 0;
}

/* Pipes between processes: order, end of file, a full pipe, a broken one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int to[2], from[2], status;
    char buffer[100];
    printf("pipe %d %d\n", pipe(to), pipe(from));
    fflush(stdout);
    if (fork() == 0) {
        close(to[1]);
        close(from[0]);
        ssize_t n;
        while ((n = read(to[0], buffer, sizeof buffer)) > 0) {
            for (ssize_t i = 0; i < n; i++)
                buffer[i] ^= 32;
            write(from[1], buffer, n);
        }
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    write(to[1], "hello", 5);
    ssize_t n = read(from[0], buffer, sizeof buffer);
    printf("%zd %.*s\n", n, (int)n, buffer);
    write(to[1], "again", 5);
    n = read(from[0], buffer, sizeof buffer);
    printf("%zd %.*s\n", n, (int)n, buffer);
    close(to[1]);
    printf("end %zd\n", read(from[0], buffer, sizeof buffer));
    wait(&status);
    printf("child %d\n", status);

    int full[2];
    printf("pipe2 %d\n", pipe2(full, O_NONBLOCK));
    long total = 0;
    char chunk[4096];
    memset(chunk, 'x', sizeof chunk);
    while ((n = write(full[1], chunk, sizeof chunk)) > 0)
        total += n;
    printf("full after %ld, errno %d\n", total, errno);
    printf("read %zd\n", read(full[0], chunk, sizeof chunk));
    printf("room again %zd\n", write(full[1], chunk, 10));
    signal(SIGPIPE, SIG_IGN);
    close(full[0]);
    printf("broken %zd", write(full[1], "x", 1));
    printf(" errno %d\n", errno);
    printf("empty: %zd", read(full[1], chunk, 1));
    printf(" errno %d\n", errno);
    return 0;
}

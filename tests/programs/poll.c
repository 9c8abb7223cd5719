/* poll, ppoll, select and pselect: what is ready, what is not open, how long, and signals. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void handler(int signal) { printf("signal %d\n", signal); }

static void show(const char *what, int answer, struct pollfd *fds, int count)
{
    printf("%s: %d errno %d:", what, answer, answer < 0 ? errno : 0);
    for (int i = 0; i < count; i++)
        printf(" %x", fds[i].revents);
    printf("\n");
}

static void show_sets(const char *what, int answer, fd_set *in, fd_set *out, int last)
{
    printf("%s: %d errno %d:", what, answer, answer < 0 ? errno : 0);
    for (int i = 3; i <= last; i++)
        printf(" %d%d", in ? FD_ISSET(i, in) : 0, out ? FD_ISSET(i, out) : 0);
    printf("\n");
}

int main(void)
{
    int p[2], status;
    char buffer[4096] = { 0 };
    setvbuf(stdout, NULL, _IONBF, 0);
    if (pipe(p))
        return 1;
    int file = open("/tmp", O_RDONLY | O_DIRECTORY), name = open("/tmp", O_PATH);
    struct pollfd fds[6] = {
        { p[0], POLLIN | POLLOUT, 9 }, { p[1], POLLIN | POLLOUT, 9 }, { file, POLLIN, 9 },
        { 77, POLLIN, 9 }, { -5, POLLIN, 9 }, { name, POLLIN, 9 },
    };
    show("empty", poll(fds, 6, 0), fds, 6);
    show("none", poll(NULL, 0, 1), fds, 0);
    show("bad pointer", poll((struct pollfd *)8, 1, 0), fds, 0);
    show("too many", poll(fds, 1 << 30, 0), fds, 0);
    show("not yet", poll(fds, 1, 20), fds, 1);
    write(p[1], "x", 1);
    show("byte", poll(fds, 2, -1), fds, 2);
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    while (write(p[1], buffer, sizeof buffer) > 0)
        ;
    show("full", poll(fds, 2, 100), fds, 2);
    read(p[0], buffer, sizeof buffer);
    read(p[0], buffer, sizeof buffer);
    show("room", poll(fds, 2, 100), fds, 2);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    while (read(p[0], buffer, sizeof buffer) > 0)
        ;

    /* Woken by another process: by bytes, and by its end. */
    pid_t pid = fork();
    if (pid == 0) {
        struct timespec a_while = { 0, 50000000 };
        nanosleep(&a_while, NULL);
        write(p[1], "y", 1);
        _exit(0);
    }
    show("woken", poll(fds, 1, -1), fds, 1);
    waitpid(pid, &status, 0);
    read(p[0], buffer, 1);
    close(p[1]);
    show("closed", poll(fds, 1, -1), fds, 1);
    close(p[0]);
    if (pipe(p))
        return 1;
    close(p[0]);
    fds[1].fd = p[1];
    show("broken", poll(fds + 1, 1, -1), fds + 1, 1);
    close(p[1]);

    if (pipe(p))
        return 1;
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p[0], &in);
    FD_SET(p[1], &out);
    FD_SET(p[1], &in);
    int last = p[1] > p[0] ? p[1] : p[0];
    struct timeval none = { 0, 0 }, some = { 0, 10000 }, bad = { -1, 0 };
    show_sets("select", select(last + 1, &in, &out, NULL, &none), &in, &out, last);
    FD_SET(p[0], &in);
    show_sets("time", select(last + 1, &in, NULL, NULL, &some), &in, NULL, last);
    printf("left %ld %ld\n", (long)some.tv_sec, (long)some.tv_usec);
    FD_SET(p[0], &in);
    show_sets("bad time", select(last + 1, &in, NULL, NULL, &bad), &in, NULL, last);
    FD_SET(60, &in);
    show_sets("not open", select(61, &in, NULL, NULL, &none), &in, NULL, last);
    FD_CLR(60, &in);
    printf("negative %d %d\n", select(-1, &in, NULL, NULL, &none), errno);
    write(p[1], "z", 1);
    some.tv_sec = 100;
    show_sets("ready", select(last + 1, &in, NULL, NULL, &some), &in, NULL, last);
    printf("most is left %d\n", some.tv_sec >= 99);
    read(p[0], buffer, 1);

    /* A signal that is blocked but for the wait. */
    struct sigaction action = { .sa_handler = handler };
    sigaction(SIGUSR1, &action, NULL);
    sigset_t blocked, before, open_set;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigemptyset(&open_set);
    raise(SIGUSR1);
    struct timespec long_time = { 100, 0 }, no_time = { 0, 0 }, bad_time = { 0, -1 };
    fds[0].fd = p[0];
    show("ppoll", ppoll(fds, 1, &long_time, &open_set), fds, 0);
    sigprocmask(SIG_SETMASK, NULL, &open_set);
    printf("blocked again %d\n", sigismember(&open_set, SIGUSR1));
    sigemptyset(&open_set);
    raise(SIGUSR1);
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    printf("pselect %d", pselect(last + 1, &in, NULL, NULL, NULL, &open_set));
    printf(" %d\n", errno);
    show("no time", ppoll(fds, 1, &no_time, NULL), fds, 1);
    show("bad time", ppoll(fds, 1, &bad_time, NULL), fds, 0);
    show("bad set", syscall(SYS_ppoll, fds, 1, &no_time, &open_set, 4), fds, 0);
    show("bad set", syscall(SYS_ppoll, fds, 1, &no_time, 8, 8), fds, 0);
    return 0;
}

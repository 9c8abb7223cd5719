/* FIFOs: made by mknod, opened from both ends, with and without waiting. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void alarmed(int signal)
{
    (void)signal;
}

static int result(int value)
{
    return value < 0 ? -errno : value;
}

static void try(const char *what, mode_t mode, dev_t device)
{
    printf("%s: %d\n", what, result(mknod("node", mode, device)));
    struct stat stat;
    if (lstat("node", &stat) == 0)
        printf("  mode %o rdev %d,%d size %ld\n", stat.st_mode, major(stat.st_rdev), minor(stat.st_rdev),
               (long)stat.st_size);
    unlink("node");
}

int main(void)
{
    char directory[] = "/tmp/fifos-XXXXXX", text[64];
    setvbuf(stdout, NULL, _IONBF, 0);
    if (!mkdtemp(directory) || chdir(directory))
        return 2;
    umask(022);
    try("fifo", S_IFIFO | 0666, 0);
    try("file", S_IFREG | 0640, 0);
    try("no type", 0600, 0);
    try("null", S_IFCHR | 0666, makedev(1, 3));
    try("directory", S_IFDIR | 0755, 0);
    try("no such type", 0170000, 0);
    printf("mkfifo %d, again %d, below nothing %d\n", result(mkfifo("f", 0600)),
           result(mkfifo("f", 0600)), result(mkfifo("no/f", 0600)));

    printf("write at once: %d\n", result(open("f", O_WRONLY | O_NONBLOCK)));
    int reader = open("f", O_RDONLY | O_NONBLOCK);
    printf("read without a writer: %d\n", result(read(reader, text, sizeof text)));
    int writer = open("f", O_WRONLY | O_NONBLOCK);
    printf("read nothing: %d\n", result(read(reader, text, sizeof text)));
    printf("write %d\n", result(write(writer, "hello", 5)));
    struct pollfd polled = { .fd = reader, .events = POLLIN };
    printf("poll %d %x\n", poll(&polled, 1, 0), polled.revents);
    printf("read %d %.2s\n", result(read(reader, text, 2)), text);
    close(writer);
    printf("poll %d %x\n", poll(&polled, 1, 0), polled.revents);
    printf("read the rest %d %.3s\n", result(read(reader, text, sizeof text)), text);
    printf("read the end %d\n", result(read(reader, text, sizeof text)));
    close(reader);

    int both = open("f", O_RDWR);
    printf("both: write %d", result(write(both, "xyz", 3)));
    printf(" read %d\n", result(read(both, text, sizeof text)));
    printf("seek %d\n", result(lseek(both, 0, SEEK_SET)));
    write(both, "gone", 4);
    close(both);
    reader = open("f", O_RDONLY | O_NONBLOCK);
    printf("what was left is gone: %d\n", result(read(reader, text, sizeof text)));
    close(reader);

    /* A reader waits for a writer, that is gone when the reader runs. */
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open("f", O_RDONLY);
        int size = read(fd, text, sizeof text);
        int end = read(fd, text + size, 1);
        _exit(size == 4 && end == 0 && memcmp(text, "four", 4) == 0 ? 0 : 1);
    }
    writer = open("f", O_WRONLY);
    write(writer, "four", 4);
    close(writer);
    int status;
    waitpid(pid, &status, 0);
    printf("child %x\n", status);

    /* A writer waits for a reader. */
    pid = fork();
    if (pid == 0) {
        int fd = open("f", O_WRONLY);
        _exit(write(fd, "from the child", 14) == 14 ? 0 : 1);
    }
    reader = open("f", O_RDONLY);
    int size = 0, part;
    while ((part = read(reader, text + size, sizeof text - size)) > 0)
        size += part;
    printf("%.*s\n", size, text);
    waitpid(pid, &status, 0);
    printf("child %x\n", status);
    close(reader);

    /* A signal ends a wait, and the end is not open afterwards. */
    struct sigaction action = { .sa_handler = alarmed };
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    printf("interrupted: %d\n", result(open("f", O_RDONLY)));
    printf("nobody reads: %d\n", result(open("f", O_WRONLY | O_NONBLOCK)));

    signal(SIGPIPE, SIG_IGN);
    reader = open("f", O_RDONLY | O_NONBLOCK);
    writer = open("f", O_WRONLY);
    close(reader);
    printf("no reader: %d\n", result(write(writer, "x", 1)));
    close(writer);
    unlink("f");
    if (chdir("/") || rmdir(directory))
        perror(directory);
    return 0;
}

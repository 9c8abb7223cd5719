/* Locks on files: flock's, a process's records and an open file's; what is in the way of what, when they
 * end, and who would wait for itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/locks-XXXXXX";

static int result(int value)
{
    return value < 0 ? -errno : value;
}

static int record(int fd, int command, short type, long start, long len)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
    return result(fcntl(fd, command, &lock));
}

/* What another process finds in the way of an exclusive lock. */
static void others(int fd, const char *what, long start, long len)
{
    pid_t parent = getpid();
    fflush(stdout);
    if (fork() == 0) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
        int got = result(fcntl(fd, F_GETLK, &lock));
        printf("%s: %d", what, got);
        if (lock.l_type == F_UNLCK)
            puts(" free");
        else
            printf(" %s %ld+%ld %s\n", lock.l_type == F_RDLCK ? "shared" : "exclusive", (long)lock.l_start,
                   (long)lock.l_len, lock.l_pid == parent ? "parent's" : lock.l_pid == -1 ? "a file's" : "?");
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

static int in_child(int (*function)(int), int fd)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(-function(fd) & 0xff);
    int status;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static int try_exclusive(int fd) { return record(fd, F_SETLK, F_WRLCK, 0, 0); }
static int try_flock(int fd) { (void)fd; return result(flock(open(path, O_RDWR), LOCK_EX | LOCK_NB)); }
static int try_flock_here(int fd) { return result(flock(fd, LOCK_EX | LOCK_NB)); }

int main(void)
{
    int fd = mkstemp(path), other = open(path, O_RDWR), reads = open(path, O_RDONLY);
    write(fd, "0123456789", 10);

    puts("-- flock");
    printf("%d", result(flock(fd, LOCK_SH)));
    printf(" %d", result(flock(other, LOCK_SH | LOCK_NB)));
    printf(" %d", result(flock(other, LOCK_EX | LOCK_NB)));
    printf(" %d", result(flock(fd, LOCK_EX | LOCK_NB)));
    printf(" %d", result(flock(fd, LOCK_UN)));
    printf(" %d", result(flock(reads, LOCK_EX | LOCK_NB)));
    printf(" %d", result(flock(fd, LOCK_SH | LOCK_NB)));
    printf(" %d", result(flock(fd, 77)));
    printf(" %d\n", result(flock(99, LOCK_SH)));
    printf("a child's own %d, the same file %d\n", in_child(try_flock, fd), in_child(try_flock_here, reads));
    close(reads);
    printf("closed: %d\n", result(flock(fd, LOCK_EX | LOCK_NB)));
    int copy = dup(fd);
    close(copy);
    printf("a copy closed: %d\n", in_child(try_flock, fd));
    flock(fd, LOCK_UN);

    puts("-- records");
    reads = open(path, O_RDONLY);
    printf("%d", record(fd, F_SETLK, F_WRLCK, 2, 4));
    printf(" %d", record(reads, F_SETLK, F_WRLCK, 2, 4));
    printf(" %d", record(fd, F_SETLK, 9, 2, 4));
    printf(" %d", record(fd, F_SETLK, F_WRLCK, -2, 4));
    printf(" %d", record(fd, F_SETLK, F_WRLCK, 2, -4));
    printf(" %d", record(fd, F_GETLK, F_UNLCK, 2, 1));
    printf(" %d\n", record(99, F_SETLK, F_WRLCK, 0, 0));
    others(fd, "all", 0, 0);
    others(fd, "before", 0, 2);
    others(fd, "behind", 6, 0);
    record(fd, F_SETLK, F_WRLCK, 6, 2);
    others(fd, "joined", 7, 1);
    record(fd, F_SETLK, F_UNLCK, 4, 1);
    others(fd, "left", 2, 2);
    others(fd, "middle", 4, 1);
    others(fd, "right", 5, 100);
    record(fd, F_SETLK, F_RDLCK, 2, 6);
    others(fd, "shared now", 0, 0);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = 0, .l_len = -3 };
    printf("from the end %d\n", result(fcntl(fd, F_SETLK, &lock)));
    others(fd, "the last three", 8, 1);
    printf("a child's %d\n", in_child(try_exclusive, fd));
    /* Any descriptor of the file. */
    close(other);
    others(fd, "one closed", 0, 0);

    puts("-- an open file's");
    other = open(path, O_RDWR);
    printf("%d", record(fd, F_OFD_SETLK, F_WRLCK, 0, 4));
    printf(" %d", record(other, F_OFD_SETLK, F_WRLCK, 3, 1));
    printf(" %d", record(other, F_OFD_SETLK, F_WRLCK, 4, 1));
    printf(" %d\n", record(other, F_SETLK, F_WRLCK, 0, 1));
    others(other, "an open file's", 0, 2);
    lock = (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_pid = 1 };
    printf("with a process %d\n", result(fcntl(fd, F_OFD_SETLK, &lock)));
    copy = dup(fd);
    close(fd);
    others(other, "a copy is left", 0, 2);
    close(copy);
    others(other, "closed", 0, 2);
    record(other, F_OFD_SETLK, F_UNLCK, 0, 0);

    puts("-- waiting");
    fd = other;
    int ready[2], go[2];
    char byte = 0;
    if (pipe(ready) || pipe(go))
        return 2;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        record(fd, F_SETLK, F_WRLCK, 0, 1);
        write(ready[1], &byte, 1);
        /* The parent has the other one, and does not want this one yet. */
        int got = record(fd, F_SETLKW, F_WRLCK, 1, 1);
        _exit(got == 0 ? 0 : 1);
    }
    read(ready[0], &byte, 1);
    record(fd, F_SETLK, F_WRLCK, 1, 1);
    usleep(200000);
    /* Either the child waits for this one by now, or it will be refused itself. */
    record(fd, F_SETLK, F_UNLCK, 1, 1);
    int status;
    waitpid(pid, &status, 0);
    printf("got what was waited for: %x\n", status);

    record(fd, F_SETLK, F_WRLCK, 1, 1);
    pid = fork();
    if (pid == 0) {
        record(fd, F_SETLK, F_WRLCK, 0, 1);
        write(ready[1], &byte, 1);
        _exit(record(fd, F_SETLKW, F_WRLCK, 1, 1) == 0 ? 0 : 1);
    }
    read(ready[0], &byte, 1);
    usleep(300000);
    printf("a circle: %d\n", record(fd, F_SETLKW, F_WRLCK, 0, 1));
    record(fd, F_SETLK, F_UNLCK, 0, 0);
    waitpid(pid, &status, 0);
    printf("the other one: %x\n", status);

    flock(fd, LOCK_EX);
    pid = fork();
    if (pid == 0) {
        int mine = open(path, O_RDWR);
        write(ready[1], &byte, 1);
        _exit(-result(flock(mine, LOCK_EX)));
    }
    read(ready[0], &byte, 1);
    usleep(100000);
    flock(fd, LOCK_UN);
    waitpid(pid, &status, 0);
    printf("flock waited: %x\n", status);
    unlink(path);
    return 0;
}

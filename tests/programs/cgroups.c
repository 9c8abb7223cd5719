/* Groups in /sys/fs/cgroup: made, filled, limited and removed. Runs in the guest alone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOP "/sys/fs/cgroup"
#define PAGE 4096L

static const char *get(const char *path)
{
    static char text[1024];
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return strerror(errno);
    long len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len < 0 ? 0 : len] = 0;
    if (len > 0 && text[len - 1] == '\n')
        text[len - 1] = 0;
    return len < 0 ? strerror(errno) : text;
}

static const char *put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0)
        return strerror(errno);
    long len = write(fd, text, strlen(text));
    int error = errno;
    close(fd);
    return len < 0 ? strerror(error) : "ok";
}

static const char *made(int result)
{
    return result ? strerror(errno) : "ok";
}

static long number(const char *path)
{
    return strtol(get(path), NULL, 10);
}

/* Writes so many pages, and says whether all are as they were. */
static int whole(long pages)
{
    unsigned char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long page = 0; page < pages; page++)
        at[page * PAGE] = (unsigned char)(page * 7 + 1);
    for (long page = 0; page < pages; page++)
        if (at[page * PAGE] != (unsigned char)(page * 7 + 1))
            return 0;
    return 1;
}

/* Runs `whole` in a child in a group. */
static void child(const char *procs, long pages)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        printf("join: %s\n", put(procs, "0"));
        fflush(stdout);
        printf("whole: %d\n", whole(pages));
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        printf("killed by %d\n", WTERMSIG(status));
}

int main(void)
{
    printf("mkdir a: %s\n", made(mkdir(TOP "/a", 0755)));
    printf("again: %s\n", made(mkdir(TOP "/a", 0755)));
    printf("mkdir a/b: %s\n", made(mkdir(TOP "/a/b", 0755)));
    printf("enable: %s\n", put(TOP "/a/cgroup.subtree_control", "+memory\n"));
    printf("max of a: %s", get(TOP "/a/memory.max"));
    printf(", then %s", put(TOP "/a/memory.max", "1M"));
    printf(", then %s\n", get(TOP "/a/memory.max"));
    printf("nonsense: %s, %s\n", put(TOP "/a/memory.max", "much"), put(TOP "/a/cgroup.procs", "999"));
    printf("a file: %s\n", open(TOP "/a/file", O_CREAT | O_RDWR, 0644) < 0 ? strerror(errno) : "made");
    printf("unlink: %s\n", made(unlink(TOP "/a/memory.max")));
    printf("rename: %s\n", made(rename(TOP "/a", TOP "/c")));

    child(TOP "/a/b/cgroup.procs", 600);
    long peak = number(TOP "/a/memory.peak");
    printf("a had up to 1M: %d, and b no more: %d\n", peak == 1 << 20,
           number(TOP "/a/b/memory.peak") <= peak);
    printf("swapped: %d\n", number(TOP "/a/memory.swap.peak") > 300 * PAGE);
    printf("stat has pgsteal: %d\n", strstr(get(TOP "/a/memory.stat"), "pgsteal ") != NULL);

    printf("no swap: %s\n", put(TOP "/a/b/memory.swap.max", "0"));
    child(TOP "/a/b/cgroup.procs", 600);
    printf("killed once: %d\n", strstr(get(TOP "/a/memory.events"), "oom_kill 1") != NULL);

    printf("join: %s\n", put(TOP "/a/b/cgroup.procs", "0"));
    printf("in it: %d\n", number(TOP "/a/b/cgroup.procs") == getpid());
    printf("rmdir: %s, %s\n", made(rmdir(TOP "/a")), made(rmdir(TOP "/a/b")));
    printf("leave: %s\n", put(TOP "/cgroup.procs", "0"));
    printf("rmdir: %s", made(rmdir(TOP "/a/b")));
    printf(", %s\n", made(rmdir(TOP "/a")));
    int entries = 0;
    DIR *top = opendir(TOP);
    while (top && readdir(top))
        entries++;
    printf("left: %d\n", entries);
    printf("swappiness %s", get("/proc/sys/vm/swappiness"));
    printf(", %s", put("/proc/sys/vm/swappiness", "100\n"));
    printf(", %s", get("/proc/sys/vm/swappiness"));
    printf(", %s\n", put("/proc/sys/vm/swappiness", "201"));
    return 0;
}

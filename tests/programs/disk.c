/* Files on a disk: where /mnt has one made for this test, on that, otherwise in a directory below /tmp. What
   is written is read back by every way there is, and names come, go and change. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L

static void say(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, result);
}

static unsigned char byte(long at)
{
    return (unsigned char)(at * 7 + at / 251);
}

static void fill(unsigned char *to, long at, long len)
{
    for (long i = 0; i < len; i++)
        to[i] = byte(at + i);
}

static long wrong(const unsigned char *bytes, long at, long len)
{
    long count = 0;
    for (long i = 0; i < len; i++)
        count += bytes[i] != byte(at + i);
    return count;
}

static void show(const char *path)
{
    struct stat st;
    if (lstat(path, &st)) {
        printf("%s: %s\n", path, strerror(errno));
        return;
    }
    /* A directory's size is its file system's own affair. */
    long size = S_ISDIR(st.st_mode) ? 0 : (long)st.st_size;
    printf("%s: mode %o links %ld size %ld\n", path, st.st_mode, (long)st.st_nlink, size);
}

static void content(void)
{
    static unsigned char buf[40 * PAGE];
    int fd = open("content", O_RDWR | O_CREAT | O_EXCL, 0640);
    say("again", open("content", O_RDWR | O_CREAT | O_EXCL, 0640));
    fill(buf, 0, sizeof buf);
    say("write", write(fd, buf, sizeof buf));
    say("fsync", fsync(fd));
    memset(buf, 0, sizeof buf);
    say("pread", pread(fd, buf, sizeof buf, 0));
    say("wrong", wrong(buf, 0, sizeof buf));
    say("pread across the end", pread(fd, buf, 300, sizeof buf - 100));
    say("in the middle", pwrite(fd, "middle", 6, 5 * PAGE - 3));
    say("far behind", pwrite(fd, "far", 3, 2000 * PAGE + 5));
    memset(buf, 1, 16);
    say("in the hole", pread(fd, buf, 16, 1000 * PAGE));
    say("zeros", !memcmp(buf, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16));
    say("fdatasync", fdatasync(fd));
    show("content");
    say("shorter", ftruncate(fd, 5 * PAGE + 1));
    say("longer", ftruncate(fd, 9 * PAGE));
    say("read", pread(fd, buf, 9 * PAGE, 0));
    say("wrong", wrong(buf, 0, 5 * PAGE - 3));
    printf("%.6s\n", buf + 5 * PAGE - 3);
    long zeros = 0;
    for (long i = 5 * PAGE + 3; i < 9 * PAGE; i++)
        zeros += buf[i] == 0;
    say("zeros", zeros == 4 * PAGE - 3);
    say("close", close(fd));
}

static void mappings(void)
{
    int fd = open("content", O_RDWR);
    char *shared = mmap(NULL, 9 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 9 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char buf[8] = "";
    say("mapped", shared != MAP_FAILED && private != MAP_FAILED);
    memcpy(shared + 3 * PAGE, "shared", 6);
    say("read", pread(fd, buf, 6, 3 * PAGE));
    printf("%s, %.6s\n", buf, private + 3 * PAGE);
    memcpy(private + 3 * PAGE, "mine!!", 6);
    say("read", pread(fd, buf, 6, 3 * PAGE));
    printf("%s\n", buf);
    for (int round = 0; round < 4; round++) {
        shared[round * PAGE] = 'a' + round;
        say("msync", msync(shared, 9 * PAGE, round % 2 ? MS_SYNC : MS_ASYNC));
        shared[round * PAGE + 1] = 'A' + round;
    }
    pid_t child = fork();
    if (child == 0) {
        shared[7 * PAGE] = 'c';
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    say("unmapped", munmap(shared, 9 * PAGE));
    for (int round = 0; round < 4; round++) {
        say("read", pread(fd, buf, 2, round * PAGE));
        printf("%.2s\n", buf);
    }
    say("read", pread(fd, buf, 1, 7 * PAGE));
    printf("%.1s, %.6s\n", buf, private + 3 * PAGE);
    munmap(private, 9 * PAGE);
    close(fd);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path)
{
    char *names[600];
    int count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, "lost+found") && count < 600)
            names[count++] = strdup(entry->d_name);
    if (dir)
        closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    printf("%s: %d names, from %s to %s\n", path, count, count ? names[0] : "", count ? names[count - 1] : "");
    for (int i = 0; i < count; i++)
        free(names[i]);
}

static void names(void)
{
    char name[300], target[200] = "";
    say("mkdir", mkdir("dir", 0755));
    say("mkdir again", mkdir("dir", 0755));
    for (int i = 0; i < 120; i++) {
        snprintf(name, sizeof name, "dir/%0*d", 20 + i % 60, i);
        int fd = open(name, O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || write(fd, name, strlen(name)) != (long)strlen(name))
            say(name, -1);
        close(fd);
    }
    list("dir");
    for (int i = 0; i < 120; i += 2) {
        snprintf(name, sizeof name, "dir/%0*d", 20 + i % 60, i);
        if (unlink(name))
            say(name, -1);
    }
    list("dir");
    snprintf(name, sizeof name, "dir/%0*d", 20 + 119 % 60, 119);
    say("rename", rename(name, "moved"));
    show("moved");
    say("link", link("moved", "dir/second"));
    say("rename onto", rename("dir/second", "content"));
    show("content");
    show("moved");
    say("symlink", symlink("moved", "soft"));
    say("readlink", readlink("soft", target, sizeof target));
    memset(name, 'x', 90);
    name[90] = 0;
    say("long symlink", symlink(name, "softer"));
    say("readlink", readlink("softer", target, sizeof target));
    show("softer");
    say("rmdir", rmdir("dir"));
    say("mkdir", mkdir("other", 0700));
    say("rename of a directory", rename("dir", "other/dir"));
    show("other");
    list("other/dir/..");
    say("into itself", rename("other", "other/dir/other"));
    say("chmod", chmod("moved", 04711));
    show("moved");
    say("unlink of a directory", unlink("other"));
}

static void without_a_name(void)
{
    char buf[10] = "";
    int fd = open("nameless", O_RDWR | O_CREAT, 0600);
    say("write", write(fd, "nameless", 8));
    say("unlink", unlink("nameless"));
    show("nameless");
    say("read", pread(fd, buf, 8, 0));
    printf("%s\n", buf);
    struct stat st;
    fstat(fd, &st);
    say("links", st.st_nlink);
    say("fsync", fsync(fd));
    close(fd);
    fd = open("synced", O_WRONLY | O_CREAT | O_SYNC | O_APPEND, 0600);
    for (int i = 0; i < 3; i++)
        say("append", write(fd, "0123456789", 10));
    close(fd);
    show("synced");
    sync();
    say("to another disk", rename("synced", "/dev/synced") < 0 && errno == EXDEV ? 1 : 0);
}

int main(void)
{
    char place[] = "/tmp/disk-XXXXXX";
    const char *base = access("/mnt/of-a-test", F_OK) ? mkdtemp(place) : "/mnt";
    if (!base || chdir(base)) {
        perror("no place");
        return 1;
    }
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    umask(022);
    content();
    mappings();
    names();
    without_a_name();
    if (base == place) {
        char command[64];
        snprintf(command, sizeof command, "rm -rf %s", place);
        return system(command) != 0;
    }
    return 0;
}

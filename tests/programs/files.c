/* Files in /tmp: content, holes, seeking, appending, truncation, names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void result(const char *what, long value)
{
    if (value < 0)
        printf("%s: errno %d\n", what, errno);
    else
        printf("%s: %ld\n", what, value);
}

int main(void)
{
    char buffer[64];
    struct stat about;
    char directory[] = "/tmp/files-XXXXXX";
    result("mkdtemp", mkdtemp(directory) ? 0 : -1);
    printf("chdir %d\n", chdir(directory));
    result("open missing", open("missing", O_RDONLY));
    int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0640);
    result("create", fd > 2 ? 0 : -1);
    result("create again", open("file", O_RDWR | O_CREAT | O_EXCL, 0640));
    result("write", write(fd, "hello, file\n", 12));
    result("pwrite far", pwrite(fd, "far", 3, 10000));
    result("seek", lseek(fd, 7, SEEK_SET));
    result("read", read(fd, buffer, 4));
    printf("%.4s\n", buffer);
    result("hole", pread(fd, buffer, 8, 5000));
    printf("%d%d%d\n", buffer[0], buffer[3], buffer[7]);
    result("past the end", pread(fd, buffer, 8, 20000));
    result("fstat", fstat(fd, &about));
    printf("size %ld mode %o links %lu\n", (long)about.st_size, about.st_mode, (unsigned long)about.st_nlink);
    result("seek end", lseek(fd, -3, SEEK_END));
    result("seek before the start", lseek(fd, -1, SEEK_SET));
    result("truncate", ftruncate(fd, 5));
    result("read all", pread(fd, buffer, 64, 0));
    result("grow", ftruncate(fd, 9));
    result("read all", pread(fd, buffer, 64, 0));
    printf("%d\n", memcmp(buffer, "hello\0\0\0\0", 9));
    int append = open("file", O_WRONLY | O_APPEND);
    struct iovec parts[2] = { { "one", 3 }, { "two", 3 } };
    result("writev", writev(append, parts, 2));
    result("read append only", read(append, buffer, 1));
    result("read all", pread(fd, buffer, 64, 0));
    result("dup", dup2(fd, 50));
    result("seek", lseek(50, 2, SEEK_SET));
    result("shared offset", lseek(fd, 0, SEEK_CUR));
    result("close", close(50));
    result("close again", close(50));
    result("rename", rename("file", "other"));
    result("stat old", stat("file", &about));
    result("stat new", stat("other", &about));
    result("unlink", unlink("other"));
    result("fstat unlinked", fstat(fd, &about));
    printf("links %lu\n", (unsigned long)about.st_nlink);
    result("still there", pread(fd, buffer, 64, 0));
    result("mkdir", mkdir("d", 0700));
    result("mkdir again", mkdir("d", 0700));
    result("rmdir file", rmdir("d/x"));
    close(open("b", O_CREAT | O_WRONLY, 0600));
    close(open("a", O_CREAT | O_WRONLY, 0600));
    DIR *dir = opendir(".");
    int count = 0, known = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        count++;
        known += strchr("abd.", entry->d_name[0]) != NULL;
    }
    closedir(dir);
    printf("entries %d known %d\n", count, known);
    printf("cwd %d\n", strcmp(getcwd(buffer, sizeof buffer), directory));
    unlink("a");
    unlink("b");
    rmdir("d");
    chdir("/");
    result("rmdir", rmdir(directory));
    return 0;
}

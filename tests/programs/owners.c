/* chown and its kin, and statfs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static void show(const char *what, int answer, const char *name)
{
    struct stat about = { 0 };
    int saved = errno;
    lstat(name, &about);
    printf("%s: %d errno %d, owner %u:%u mode %o\n", what, answer, answer < 0 ? saved : 0,
           (unsigned)about.st_uid, (unsigned)about.st_gid, (unsigned)about.st_mode);
}

int main(void)
{
    struct statfs system;
    char directory[] = "/tmp/owners-XXXXXX";
    if (!mkdtemp(directory) || chmod(directory, 0755) || chdir(directory))
        return 1;
    int fd = open("file", O_CREAT | O_RDWR, 0755);
    chmod("file", 06755);
    show("root may", chown("file", 1000, 1001), "file");
    chmod("file", 06745);
    show("one of both", fchown(fd, -1, 7), "file");
    if (symlink("file", "link"))
        return 1;
    show("through a link", chown("link", 5, 6), "file");
    show("the link", lchown("link", 8, 9), "link");
    show("no further", 0, "file");
    show("at", fchownat(AT_FDCWD, "link", 1, 2, AT_SYMLINK_NOFOLLOW), "link");
    show("empty path", fchownat(fd, "", 3, 4, AT_EMPTY_PATH), "file");
    show("empty path", fchownat(fd, "", 3, 4, 0), "file");
    show("flags", fchownat(fd, "file", 3, 4, 1), "file");
    show("missing", chown("missing", 1, 1), "file");
    show("bad path", chown((char *)8, 1, 1), "file");
    show("not open", fchown(77, 1, 1), "file");
    show("directory", chown(".", 11, 12), ".");
    printf("statfs %d", statfs(".", &system));
    printf(" names %ld free %d\n", (long)system.f_namelen, system.f_bfree <= system.f_blocks);
    printf("fstatfs %d\n", fstatfs(fd, &system));
    printf("proc %d", statfs("/proc/self/maps", &system));
    printf(" type %lx\n", (long)system.f_type);
    printf("missing %d", statfs("missing", &system));
    printf(" %d\n", errno);
    printf("bad pointer %ld", syscall(SYS_statfs, ".", 8));
    printf(" %d\n", errno);
    printf("not open %d", fstatfs(77, &system));
    printf(" %d\n", errno);
    unlink("link");
    unlink("file");
    chdir("/");
    return rmdir(directory);
}

/* Calls on names relative to a directory, and what else there is to do with files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kernel's, which not every C library has. */
#define BASIC_STATS 0x7ff
struct about_more {
    unsigned mask, blksize;
    unsigned long attributes;
    unsigned nlink, uid, gid;
    unsigned short mode, pad;
    unsigned long ino, size, rest[26];
};

static void told(const char *what, long value)
{
    if (value < 0)
        printf("%s: errno %d\n", what, errno);
    else
        printf("%s: %ld\n", what, value);
}

int main(void)
{
    char directory[] = "/tmp/names-at-XXXXXX", text[64];
    struct stat about;
    setvbuf(stdout, NULL, _IONBF, 0);
    umask(022);
    if (!mkdtemp(directory))
        return 2;
    int top = open(directory, O_RDONLY | O_DIRECTORY);
    told("mkdirat", mkdirat(top, "sub", 0777));
    told("mkdirat again", mkdirat(top, "sub", 0777));
    told("mkdirat of nothing", mkdirat(77, "sub", 0777));
    int sub = openat(top, "sub", O_RDONLY);
    told("fchdir", fchdir(sub));
    told("mknodat", mknodat(top, "file", S_IFREG | 0666, 0));
    int fd = creat("other", 0600);
    told("creat", fd < 0 ? -1 : 0);
    told("read what is to be written", read(fd, text, 1));
    told("write", write(fd, "0123456789", 10));
    told("linkat", linkat(sub, "other", top, "linked", 0));
    told("linkat flags", linkat(sub, "other", top, "x", 0x40));
    told("symlinkat", symlinkat("sub/other", top, "symbolic"));
    memset(text, 0, sizeof text);
    told("readlinkat", readlinkat(top, "symbolic", text, sizeof text));
    puts(text);
    told("readlinkat of a file", readlinkat(top, "file", text, sizeof text));
    told("linkat follows", linkat(top, "symbolic", top, "third", AT_SYMLINK_FOLLOW));
    told("fstatat", fstatat(top, "symbolic", &about, 0));
    printf("%o %lu %ld\n", about.st_mode, (unsigned long)about.st_nlink, (long)about.st_size);
    told("fstatat itself", fstatat(top, "symbolic", &about, AT_SYMLINK_NOFOLLOW));
    printf("%o %ld\n", about.st_mode, (long)about.st_size);
    struct about_more more;
    told("statx", syscall(SYS_statx, top, "linked", 0, BASIC_STATS, &more));
    printf("%o %u %lu %d\n", more.mode, more.nlink, more.size,
           (more.mask & BASIC_STATS) == BASIC_STATS);
    told("statx flags", syscall(SYS_statx, top, "linked", 1, BASIC_STATS, &more));
    told("faccessat", faccessat(top, "file", R_OK | W_OK, 0));
    told("faccessat to execute", faccessat(top, "file", X_OK, 0));
    told("faccessat of nothing", faccessat(top, "none", F_OK, 0));
    told("faccessat2", syscall(SYS_faccessat2, top, "symbolic", W_OK, AT_SYMLINK_NOFOLLOW));
    told("fchmodat", fchmodat(top, "file", 0751, 0));
    fstatat(top, "file", &about, 0);
    printf("%o\n", about.st_mode);
    struct timespec times[2] = { { 1000, 5 }, { 2000, 6 } };
    told("utimensat", utimensat(top, "file", times, 0));
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = 3000;
    told("one of both", utimensat(top, "file", times, 0));
    fstatat(top, "file", &about, 0);
    printf("%ld.%ld %ld.%ld\n", (long)about.st_atim.tv_sec, about.st_atim.tv_nsec, (long)about.st_mtim.tv_sec,
           about.st_mtim.tv_nsec);
    times[0].tv_nsec = 1000000000;
    told("no such time", utimensat(top, "file", times, 0));
    told("futimens", syscall(SYS_utimensat, fd, NULL, NULL, 0));
    told("renameat", renameat(top, "third", sub, "fourth"));
    told("renameat2 over", syscall(SYS_renameat2, sub, "fourth", top, "file", 1));
    told("rename", rename("fourth", "../file"));
    told("renameat of nothing", renameat(sub, "none", top, "x"));
    told("unlinkat", unlinkat(top, "linked", 0));
    told("unlinkat of a directory", unlinkat(top, "sub", 0));
    told("unlinkat not empty", unlinkat(top, "sub", AT_REMOVEDIR));
    told("unlinkat flags", unlinkat(top, "sub", 1));

    int reads = open("other", O_RDONLY), to = openat(top, "to", O_CREAT | O_RDWR, 0600);
    off_t at = 4;
    told("sendfile", sendfile(to, reads, &at, 3));
    told("its offset", at);
    told("sendfile all", sendfile(to, reads, NULL, 100));
    told("sendfile to a reader", sendfile(reads, to, NULL, 1));
    char one[3] = "", two[8] = "";
    struct iovec parts[] = { { one, 2 }, { two, 7 } };
    told("preadv", preadv(to, parts, 2, 1));
    printf("%s %s\n", one, two);
    told("preadv before all", preadv(to, parts, 2, -1));
    told("pwritev", pwritev(to, parts, 2, 20));
    told("its end", lseek(to, 0, SEEK_END));
    told("fadvise", posix_fadvise(to, 0, 0, POSIX_FADV_WILLNEED));
    told("syncfs", syncfs(to));
    told("syncfs of nothing", syncfs(77));

    told("dup3", dup3(to, 50, O_CLOEXEC));
    told("close on exec", fcntl(50, F_GETFD));
    told("dup3 of itself", dup3(to, to, 0));
    told("dup3 flags", dup3(to, 51, 1));
    dup2(to, 52);
    told("close_range on exec", syscall(SYS_close_range, 51, 60, CLOSE_RANGE_CLOEXEC));
    told("on exec", fcntl(52, F_GETFD));
    told("close_range", syscall(SYS_close_range, 50, ~0U, 0));
    told("closed", fcntl(52, F_GETFD));
    told("close_range backwards", syscall(SYS_close_range, 9, 8, 0));

    unlink("other");
    for (const char *const *name = (const char *const[]){ "file", "symbolic", "to", NULL }; *name; name++)
        unlinkat(top, *name, 0);
    told("rmdir", unlinkat(top, "sub", AT_REMOVEDIR));
    told("getcwd of nothing", getcwd(text, sizeof text) ? 0 : -1);
    told("mkdir in nothing", mkdir("x", 0700));
    return rmdir(directory);
}

/* Seals of memfd_create: what each forbids, and when it can be had. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC 0x10U
#endif

static int result(long value)
{
    return value < 0 ? -errno : (int)value;
}

static int map(int fd, int prot, int flags, int protect)
{
    char *at = mmap(NULL, 4096, prot, flags, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    int changed = protect ? result(mprotect(at, 4096, protect)) : 0;
    munmap(at, 4096);
    return changed;
}

/* Everything that a seal could forbid. */
static void all(const char *what, int fd)
{
    char bytes[16] = "sixteen letters";
    printf("%s: seals %d", what, result(fcntl(fd, F_GET_SEALS)));
    printf(", write %d", result(pwrite(fd, bytes, 16, 0)));
    printf(", longer %d", result(pwrite(fd, bytes, 16, 8190)));
    printf(", at the end %d", result(pwrite(fd, bytes, 16, 8192)));
    printf(", nothing %d", result(pwrite(fd, bytes, 0, 0)));
    printf(", shrink %d", result(ftruncate(fd, 8000)));
    printf(", grow %d", result(ftruncate(fd, 9000)));
    printf(", back %d", result(ftruncate(fd, 8192)));
    printf(", allocate %d", result(fallocate(fd, 0, 0, 12288)));
    printf(", inside %d", result(fallocate(fd, 0, 0, 4096)));
    printf(", punch %d", result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)));
    printf(", map %d", map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, 0));
    printf(", map to read %d", map(fd, PROT_READ, MAP_SHARED, 0));
    printf(", then write %d", map(fd, PROT_READ, MAP_SHARED, PROT_READ | PROT_WRITE));
    printf(", private %d", map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0));
    printf(", mode %d\n", result(fchmod(fd, 0700)));
}

static int fresh(unsigned flags)
{
    int fd = memfd_create("sealed", flags);
    if (fd >= 0 && ftruncate(fd, 8192))
        return -1;
    return fd;
}

/* Files that may never be executed, or always; Linux has that since 6.3. */
static int execution(void)
{
    int fd = fresh(MFD_NOEXEC_SEAL);
    if (fd < 0) {
        printf("not known\n");
        return 0;
    }
    struct stat stat;
    fstat(fd, &stat);
    printf("not to be executed: %o %d\n", stat.st_mode, result(fcntl(fd, F_GET_SEALS)));
    printf("%d %d\n", result(fchmod(fd, 0600)), result(fchmod(fd, 0700)));
    close(fd);
    fd = fresh(MFD_ALLOW_SEALING | MFD_EXEC);
    printf("executed for ever: %d", result(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC)));
    printf(" %d\n", result(fcntl(fd, F_GET_SEALS)));
    close(fd);
    printf("both %d\n", result(memfd_create("x", MFD_EXEC | MFD_NOEXEC_SEAL)));
    return 0;
}

int main(int argc, char **argv)
{
    (void)argv;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1)
        return execution();
    int fd = fresh(0);
    printf("not allowed: %d %d\n", result(fcntl(fd, F_GET_SEALS)), result(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW)));
    close(fd);
    static const struct {
        const char *name;
        int seals;
    } tries[] = {
        { "none", 0 },
        { "shrink", F_SEAL_SHRINK },
        { "grow", F_SEAL_GROW },
        { "write", F_SEAL_WRITE },
        { "future write", F_SEAL_FUTURE_WRITE },
        { "no more", F_SEAL_SEAL },
        { "shrink, grow, write", F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE },
    };
    for (unsigned i = 0; i < sizeof tries / sizeof *tries; i++) {
        fd = fresh(MFD_ALLOW_SEALING);
        printf("add %d\n", result(fcntl(fd, F_ADD_SEALS, tries[i].seals)));
        all(tries[i].name, fd);
        printf("add more %d\n", result(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL)));
        close(fd);
    }
    fd = fresh(MFD_ALLOW_SEALING);
    printf("unknown %d\n", result(fcntl(fd, F_ADD_SEALS, 0x1000)));
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("mapped %d", result(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)));
    printf(" for the future %d", result(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)));
    strcpy(shared, "still");
    munmap(shared, 4096);
    printf(" unmapped %d\n", result(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)));
    char text[8];
    printf("read %d %s\n", result(pread(fd, text, 6, 0)), text);
    close(fd);

    int ends[2];
    if (pipe(ends))
        return 2;
    printf("a pipe %d %d\n", result(fcntl(ends[1], F_GET_SEALS)), result(fcntl(ends[1], F_ADD_SEALS, 0)));
    return 0;
}

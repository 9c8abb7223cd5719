/* What execve says of files that are no programs. Each is this program with something wrong. With the
 * argument "odd" those that Linux gets further with, for a time: it runs dynamic programs, and maps
 * what it can of bad segments before it gives up. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *image;
static size_t size;
static char path[] = "/tmp/bad-program-XXXXXX";

/* Writes the first bytes of the program, as changed, and tries it. Behind the headers come zeros, unless
 * the program shall run. */
static void try(const char *what, const char *bytes, size_t len, int mode)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    size_t written = len < 4096 || bytes == image ? len : 4096;
    if (fd < 0 || write(fd, bytes, written) != (ssize_t)written || ftruncate(fd, len))
        perror(path);
    fchmod(fd, mode);
    close(fd);
    int status;
    if (fork() == 0) {
        char *argv[] = { "x", "ran", NULL };
        execv(path, argv);
        printf("%s: errno %d\n", what, errno);
        _exit(3);
    }
    wait(&status);
    if (status != 3 << 8)
        printf("%s: status %x\n", what, status);
    fd = open(path, O_WRONLY);
    fchmod(fd, 0755);
    close(fd);
}

static char *copy(void)
{
    char *bytes = malloc(size);
    return memcpy(bytes, image, size);
}
#define HEADER(bytes) ((Elf64_Ehdr *)(bytes))

static Elf64_Phdr *segment(char *bytes, unsigned type, int which)
{
    Elf64_Phdr *headers = (Elf64_Phdr *)(bytes + HEADER(bytes)->e_phoff);
    for (int i = 0; i < HEADER(bytes)->e_phnum; i++)
        if (headers[i].p_type == type && which-- == 0)
            return &headers[i];
    abort();
}

/* With one field changed. */
#define WITH(what, place, value)      \
    do {                              \
        char *b = copy();             \
        (place) = (value);            \
        try(what, b, size, 0755);     \
        free(b);                      \
    } while (0)

static void odd(void)
{
    WITH("missing interpreter", segment(b, PT_GNU_STACK, 0)->p_type, PT_INTERP);
    WITH("segment outside the file", segment(b, PT_LOAD, 1)->p_filesz, size * 2);
    WITH("segment's place overflows", segment(b, PT_LOAD, 1)->p_offset, -4096UL | segment(b, PT_LOAD, 1)->p_offset);
    WITH("more in the file than in memory", segment(b, PT_LOAD, 1)->p_memsz, 1);
    WITH("segment of the kernel's", segment(b, PT_LOAD, 1)->p_vaddr, 0xffff888000000000UL | segment(b, PT_LOAD, 1)->p_offset);
    WITH("segment around the end", segment(b, PT_LOAD, 1)->p_memsz, -4096UL);
    WITH("segments on each other", segment(b, PT_LOAD, 1)->p_vaddr, segment(b, PT_LOAD, 0)->p_vaddr);
    WITH("not a page's offset", segment(b, PT_LOAD, 1)->p_vaddr, segment(b, PT_LOAD, 1)->p_vaddr + 8);
    WITH("entry of the kernel's", HEADER(b)->e_entry, 0xffffffff80100000UL);
    WITH("program headers far away", HEADER(b)->e_phoff, -64UL);
    char *b = copy();
    for (int i = 0; i < HEADER(b)->e_phnum; i++)
        ((Elf64_Phdr *)(b + HEADER(b)->e_phoff))[i].p_type = PT_NOTE;
    try("no segment", b, size, 0755);
    free(b);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1 && strcmp(argv[1], "ran") == 0) {
        puts("it ran");
        return 0;
    }
    int fd = open("/proc/self/exe", O_RDONLY);
    struct stat stat;
    fstat(fd, &stat);
    size = stat.st_size;
    image = malloc(size);
    if (read(fd, image, size) != (ssize_t)size)
        perror("read");
    close(fd);
    close(mkstemp(path));
    chmod(path, 0755);
    if (argc > 1) {
        odd();
        unlink(path);
        return 0;
    }
    try("whole", image, size, 0755);
    try("not executable", image, 100, 0644);
    try("empty", image, 0, 0755);
    try("three bytes", image, 3, 0755);
    try("half a header", image, 40, 0755);
    try("a header alone", image, 64, 0755);
    try("a header and a half of the next", image, 100, 0755);
    try("zeros", calloc(4096, 1), 4096, 0755);
    WITH("wrong magic", HEADER(b)->e_ident[0], 0x7e);
    WITH("another machine", HEADER(b)->e_machine, EM_AARCH64);
    WITH("an object file", HEADER(b)->e_type, ET_REL);
    WITH("a core file", HEADER(b)->e_type, ET_CORE);
    WITH("headers of another size", HEADER(b)->e_phentsize, 32);
    WITH("no headers", HEADER(b)->e_phnum, 0);
    WITH("too many headers", HEADER(b)->e_phnum, 0xffff);
    unlink(path);
    return 0;
}

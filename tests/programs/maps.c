/* mmap, munmap, mprotect and mremap: results, errors, and what is where afterwards. */
#include <errno.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096L

static void result(const char *what, long value)
{
    if (value == -1)
        printf("%s: errno %d\n", what, errno);
    else
        printf("%s: ok\n", what);
}

static long map(void *at, size_t len, int prot, int flags)
{
    return (long)mmap(at, len, prot, flags, -1, 0);
}

int main(void)
{
    int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
    result("no length", map(NULL, 0, rw, anon));
    result("neither private nor shared", map(NULL, PAGE, rw, MAP_ANONYMOUS));
    result("not aligned, fixed", map((void *)0x10001, PAGE, rw, anon | MAP_FIXED));
    result("too long", map(NULL, SIZE_MAX - PAGE, rw, anon));
    result("too high", map((void *)0x7ffffffff000, PAGE, rw, anon | MAP_FIXED));

    char *a = mmap(NULL, 8 * PAGE, rw, anon, -1, 0);
    for (int i = 0; i < 8; i++)
        a[i * PAGE] = 'a' + i;
    result("munmap middle", munmap(a + 3 * PAGE, 2 * PAGE));
    printf("%c %c %c\n", a[0], a[2 * PAGE], a[5 * PAGE]);
    result("noreplace over it", map(a, PAGE, rw, anon | MAP_FIXED_NOREPLACE));
    result("noreplace in the hole", map(a + 3 * PAGE, PAGE, rw, anon | MAP_FIXED_NOREPLACE));
    printf("hole is zero: %d\n", a[3 * PAGE]);
    result("fixed over all", map(a, 8 * PAGE, rw, anon | MAP_FIXED));
    printf("zero again: %d %d\n", a[0], a[5 * PAGE]);
    result("munmap nothing", munmap(a + 64 * PAGE, 0));
    result("munmap unaligned", munmap(a + 1, PAGE));
    result("munmap", munmap(a, 8 * PAGE));
    result("munmap again", munmap(a, 8 * PAGE));
    result("mprotect unmapped", mprotect(a, PAGE, rw));
    result("mprotect unaligned", mprotect(a + 1, PAGE, rw));

    char *b = mmap(NULL, 4 * PAGE, rw, anon, -1, 0);
    strcpy(b, "moved");
    strcpy(b + 3 * PAGE, "end");
    char *c = mremap(b, 4 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
    result("mremap", (long)c);
    printf("%s %s %d\n", c, c + 3 * PAGE, c[15 * PAGE]);
    result("mremap shrink", (long)mremap(c, 16 * PAGE, 2 * PAGE, 0));
    printf("%s\n", c);
    result("mremap unmapped", (long)mremap(c + 8 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    unsigned char vec[2];
    result("mincore", mincore(c, 2 * PAGE, vec));
    printf("resident %d\n", vec[0] & 1);
    result("madvise dontneed", madvise(c, 2 * PAGE, MADV_DONTNEED));
    printf("dropped: %d\n", c[0]);
    return 0;
}

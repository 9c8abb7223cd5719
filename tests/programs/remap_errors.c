/* What mremap says of wrong arguments, all combinations of some for each. Linux checks in another order since
 * 6.17; an older one says so and nothing else. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096L
#define ARENA 0x3000000000L

/* Four pages at the beginning of the arena, one that is shared, and nothing else. */
static void renew(void)
{
    munmap((void *)ARENA, 64 * PAGE);
    mmap((void *)ARENA, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap((void *)(ARENA + 8 * PAGE), PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static long try(long old, long old_len, long new_len, long flags, long to)
{
    long result = syscall(SYS_mremap, old, old_len, new_len, flags, to);
    if (result == -1)
        return -errno;
    if (result < ARENA || result >= ARENA + 64 * PAGE) {
        munmap((void *)result, new_len);
        return 1;
    }
    return 0;
}

int main(void)
{
    static const long old[] = { ARENA, ARENA + PAGE, ARENA + 8 * PAGE, ARENA + 20 * PAGE, ARENA + 1 };
    static const long lens[] = { 0, 1, 2 * PAGE, 4 * PAGE, 1L << 47, -1 };
    static const long to[] = { ARENA + 30 * PAGE, ARENA + 21 * PAGE, ARENA + PAGE, ARENA + 5, -PAGE };
    static const long all_flags[] = { 0, 1, 2, 3, 4, 5, 7, 8 };
#define EACH(i, list) (size_t i = 0; i < sizeof list / sizeof *list; i++)
    renew();
    if (try(ARENA + 20 * PAGE, PAGE, 1L << 47, 0, 0) != -EINVAL) {
        printf("older order\n");
        return 0;
    }
    for EACH (o, old)
        for EACH (f, all_flags) {
            long flags = all_flags[f], is_elsewhere = (flags & 1) && (flags & 6);
            printf("old %zu flags %ld:", o, flags);
            for EACH (from, lens) {
                /* What comes of each, a letter a call. */
                for EACH (len, lens) {
                    for EACH (t, to) {
                        if (!is_elsewhere && t > 0)
                            break;
                        long result = try(old[o], lens[from], lens[len], flags, to[t]);
                        if (result >= 0)
                            renew();
                        printf("%c", result == 1 ? '+' : result == 0 ? '.' : result == -EINVAL ? 'i' :
                               result == -EFAULT ? 'f' : result == -ENOMEM ? 'm' : result == -EPERM ? 'p' : '?');
                    }
                    if (is_elsewhere)
                        printf(" ");
                }
                printf(" |");
            }
            printf("\n");
        }
    return 0;
}

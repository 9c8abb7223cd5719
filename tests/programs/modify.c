/* Each instruction that reads memory and writes it back, on a page that nobody has touched: of new
 * memory, of the zero page, of a file, and of a page that may not be read. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

typedef void (*change)(unsigned long *);

#define CHANGE(name, code)                                       \
    static void name(unsigned long *p)                           \
    {                                                            \
        __asm__ volatile(code : "+m"(*p) : "c"(3UL), "a"(0UL) : "cc", "rdx", "rbx", "memory"); \
    }
CHANGE(addq, "addq %%rcx, %0")
CHANGE(orb, "orb $5, %0")
CHANGE(adcl, "adcl $7, %0")
CHANGE(sbbw, "sbbw %%cx, %0")
CHANGE(andq, "andq $-1, %0")
CHANGE(subq, "subq $1000, %0")
CHANGE(xorq, "lock xorq %%rcx, %0")
CHANGE(incb, "incb %0")
CHANGE(decq, "lock decq %0")
CHANGE(notl, "notl %0")
CHANGE(negq, "negq %0")
CHANGE(shlq, "shlq %%cl, %0")
CHANGE(rorb, "rorb $1, %0")
CHANGE(shldq, "shldq $4, %%rcx, %0")
CHANGE(btsq, "btsq $9, %0")
CHANGE(btcq, "lock btcq %%rcx, %0")
CHANGE(xchgq, "movq $77, %%rbx; xchgq %%rbx, %0")
CHANGE(xaddq, "movq $88, %%rbx; lock xaddq %%rbx, %0")
CHANGE(cmpxchgq, "lock cmpxchgq %%rcx, %0")
CHANGE(cmpxchg16b, "xor %%edx, %%edx; mov $9, %%ebx; lock cmpxchg16b %0")

static const change changes[] = { addq, orb,  adcl, sbbw,  andq, subq, xorq,  incb,  decq,     notl,
                                  negq, shlq, rorb, shldq, btsq, btcq, xchgq, xaddq, cmpxchgq, cmpxchg16b };
enum { N = sizeof changes / sizeof *changes, PAGE = 4096 };

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* One page for each change, and what became of them. */
static void each(const char *name, char *pages)
{
    long before = faults();
    for (int i = 0; i < N; i++)
        changes[i]((unsigned long *)(pages + i * PAGE));
    long after = faults();
    printf("%s: %ld faults", name, after - before);
    for (int i = 0; i < N; i++)
        printf(" %lx", *(unsigned long *)(pages + i * PAGE));
    puts("");
}

static sigjmp_buf back;
static volatile int code;
static volatile unsigned long error;

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    code = info->si_code;
    error = ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR];
    siglongjmp(back, 1);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    char *fresh = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(fresh, N * PAGE, MADV_NOHUGEPAGE);
    each("new", fresh);

    char *zero = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(zero, N * PAGE, MADV_NOHUGEPAGE);
    unsigned sum = 0;
    for (int i = 0; i < N; i++)
        sum += ((volatile char *)zero)[i * PAGE];
    each("zero", zero);
    printf("%u\n", sum);

    int fd = memfd_create("file", 0);
    for (int i = 0; i < N; i++)
        pwrite(fd, "\1\2\3\4\5\6\7\10", 8, i * PAGE);
    char *file = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    each("file", file);

    char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL);
    for (int i = 0; i < N; i++) {
        if (!sigsetjmp(back, 1))
            changes[i]((unsigned long *)none);
        printf("%d %lx\n", code, error);
    }
    if (!sigsetjmp(back, 1))
        printf("%d\n", *(volatile char *)none);
    printf("read %d %lx\n", code, error);
    return 0;
}

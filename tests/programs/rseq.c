/* Restartable sequences: how they are registered, and that a signal in the middle of one goes on elsewhere. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNATURE 0x53053053

struct area {
    uint32_t cpu_id_start, cpu_id;
    uint64_t section;
    uint32_t flags, node_id, mm_cid, rest;
} __attribute__((aligned(32)));

struct section {
    uint32_t version, flags;
    uint64_t start, len, abort;
} __attribute__((aligned(32)));

static struct area own, second;
static struct section code;

static long call(void *area, long len, long flags, long signature)
{
    return syscall(SYS_rseq, area, len, flags, signature) ? -errno : 0;
}

static void handler(int signal)
{
    (void)signal;
}

/* Runs code that raises SIGILL in a section; 1 if it went on at the section's abort address. */
static long trapped(void)
{
    long aborted;
    code.version = code.flags = 0;
    asm volatile("lea 1f(%%rip), %%rax\n"
                 "mov %%rax, %[start]\n"
                 "lea 2f(%%rip), %%rcx\n"
                 "sub %%rax, %%rcx\n"
                 "mov %%rcx, %[len]\n"
                 "lea 3f(%%rip), %%rcx\n"
                 "mov %%rcx, %[abort]\n"
                 "lea %[code], %%rax\n"
                 "mov %%rax, %[section]\n"
                 "xor %[aborted], %[aborted]\n"
                 "1: ud2\n"
                 "2: jmp 4f\n"
                 ".byte 0x0f, 0xb9, 0x3d\n"
                 ".long 0x53053053\n"
                 "3: mov $1, %[aborted]\n"
                 "4:\n"
                 : [aborted] "=&r"(aborted), [start] "=m"(code.start), [len] "=m"(code.len), [abort] "=m"(code.abort),
                   [section] "=m"(own.section)
                 : [code] "m"(code)
                 : "rax", "rcx", "memory");
    return aborted;
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    /* The C library may have registered its own. */
    long begun = call(&own, sizeof own, 0, SIGNATURE);
    if (begun == -ENOSYS) {
        printf("not known\n");
        return 0;
    }
    if (begun) {
        extern const ptrdiff_t __rseq_offset __attribute__((weak));
        if (&__rseq_offset == NULL)
            return 1;
        void *library = (char *)__builtin_thread_pointer() + __rseq_offset;
        printf("library's %d\n", call(library, 32, 1, SIGNATURE) == 0);
        begun = call(&own, sizeof own, 0, SIGNATURE);
    } else
        printf("library's 1\n");
    printf("registered %ld again %ld\n", begun, call(&own, sizeof own, 0, SIGNATURE));
    printf("other %ld length %ld signature %ld\n", call(&second, sizeof second, 0, SIGNATURE),
           call(&own, 64, 0, SIGNATURE), call(&own, sizeof own, 0, 1));
    printf("cpu %d %d node %u\n", own.cpu_id == own.cpu_id_start, own.cpu_id < 4096, own.node_id);
    struct sigaction action = { .sa_handler = handler };
    sigaction(SIGILL, &action, NULL);
    printf("goes on elsewhere %ld section %d\n", trapped(), own.section == 0);
    fflush(stdout);
    int status;
    if (fork() == 0) {
        /* It is registered as well. */
        printf("child %ld %ld\n", call(&own, sizeof own, 0, SIGNATURE), trapped());
        /* A section whose end is in it. */
        code.abort = code.start;
        own.section = (uintptr_t)&code;
        raise(SIGILL);
        printf("goes on\n");
        _exit(0);
    }
    wait(&status);
    printf("status %x\n", status);
    printf("flags %ld unregister other %ld signature %ld\n", call(&own, sizeof own, 2, SIGNATURE),
           call(&second, sizeof second, 1, SIGNATURE), call(&own, sizeof own, 1, 1));
    printf("unregistered %ld", call(&own, sizeof own, 1, SIGNATURE));
    printf(" cpu %d %u again %ld\n", (int)own.cpu_id, own.cpu_id_start, call(&own, sizeof own, 1, SIGNATURE));
    printf("short %ld odd %ld wild %ld kernel's %ld\n", call(&second, 16, 0, SIGNATURE),
           call((char *)&second + 4, sizeof second, 0, SIGNATURE), call((void *)32, sizeof own, 0, SIGNATURE),
           call((void *)0xffff888000000000, sizeof own, 0, SIGNATURE));
    return 0;
}

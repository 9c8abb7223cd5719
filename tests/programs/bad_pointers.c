/* Wild pointers and descriptors to every call that takes one: an errno, and nothing else. */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static const long numbers[] = {
    SYS_read, SYS_write, SYS_open, SYS_stat, SYS_fstat, SYS_lstat, SYS_rt_sigaction,
    SYS_rt_sigprocmask, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_pipe, SYS_uname,
    SYS_getcwd, SYS_chdir, SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_readlink, SYS_clock_gettime,
    SYS_getrusage, SYS_sysinfo, SYS_nanosleep, SYS_getrandom, SYS_pipe2, SYS_rt_sigpending,
    SYS_sigaltstack, SYS_mincore, SYS_getdents64, SYS_openat, SYS_newfstatat, SYS_execve,
};

static const char *names[] = {
    "read", "write", "open", "stat", "fstat", "lstat", "rt_sigaction",
    "rt_sigprocmask", "pread64", "pwrite64", "readv", "writev", "pipe", "uname",
    "getcwd", "chdir", "mkdir", "rmdir", "unlink", "readlink", "clock_gettime",
    "getrusage", "sysinfo", "nanosleep", "getrandom", "pipe2", "rt_sigpending",
    "sigaltstack", "mincore", "getdents64", "openat", "newfstatat", "execve",
};

static const long pointers[] = {
    /* No number of a descriptor, signal or clock. */
    4088, 0x7ffffffff000, 0x800000000000, -4096, (long)0xffffffff80000000, (long)0xffff888000000000,
};

int main(void)
{
    if (chdir("/") != 0)
        return 1;
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        /* Where the descriptor is of the wrong kind as well, one Linux looks at the vector first
           (6.1), another at the descriptor (6.18): these two get the right one only. */
        int vectored = numbers[i] == SYS_readv || numbers[i] == SYS_writev;
        long descriptor = numbers[i] == SYS_readv ? 0 : 1;
        printf("%s:", names[i]);
        for (unsigned j = 0; j < sizeof pointers / sizeof *pointers; j++) {
            long p = pointers[j];
            /* The first argument is a descriptor, a number or a pointer; try it as each. */
            long as_pointer = vectored ? 0 : syscall(numbers[i], p, p, 64, 8, 0, 0);
            int first = as_pointer < 0 ? errno : 0;
            long as_number = syscall(numbers[i], descriptor, p, 64, 8, 0, 0);
            int second = as_number < 0 ? errno : 0;
            printf(" %d/%d", first, second);
        }
        printf("\n");
    }
    return 0;
}

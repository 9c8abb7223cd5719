/* process_vm_readv and process_vm_writev: a child's memory, holes in it, and bad arguments. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void show(const char *what, long answer)
{
    printf("%s: %ld errno %d\n", what, answer, answer < 0 ? errno : 0);
}

int main(void)
{
    char *page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char here[3 * 4096];
    int told[2];
    munmap(page + 2 * 4096, 4096);
    strcpy(page, "of the parent");
    if (pipe(told))
        return 1;
    setvbuf(stdout, NULL, _IONBF, 0);
    pid_t pid = fork();
    if (pid == 0) {
        strcpy(page, "of the child");
        strcpy(page + 4096 - 5, "across pages");
        write(told[1], "x", 1);
        for (;;)
            pause();
    }
    read(told[0], here, 1);
    struct iovec local = { here, 13 }, remote = { page, 13 };
    show("read", process_vm_readv(pid, &local, 1, &remote, 1, 0));
    printf("<%s> and here <%s>\n", here, page);
    struct iovec in[2] = { { here, 3 }, { here + 100, 10 } };
    struct iovec from[3] = { { page, 0 }, { page + 4096 - 5, 6 }, { page + 4096 + 1, 7 } };
    show("lists", process_vm_readv(pid, in, 2, from, 3, 0));
    printf("<%.3s> <%s>\n", here, here + 100);
    local.iov_len = remote.iov_len = sizeof here;
    show("up to the hole", process_vm_readv(pid, &local, 1, &remote, 1, 0));
    remote.iov_base = page + 2 * 4096;
    show("hole", process_vm_readv(pid, &local, 1, &remote, 1, 0));
    remote.iov_base = page + 20;
    remote.iov_len = 100;
    local.iov_len = 8;
    strcpy(here, "written");
    show("write", process_vm_writev(pid, &local, 1, &remote, 1, 0));
    memset(here, 0, sizeof here);
    show("read back", process_vm_readv(pid, &local, 1, &remote, 1, 0));
    printf("<%s>, own copy %d\n", here, page[20]);
    struct iovec wild = { (void *)8, 8 };
    show("wild here", process_vm_readv(pid, &wild, 1, &remote, 1, 0));
    show("wild there", process_vm_readv(pid, &local, 1, &wild, 1, 0));
    show("wild list", process_vm_readv(pid, (struct iovec *)8, 1, &remote, 1, 0));
    show("wild list there", process_vm_readv(pid, &local, 1, (struct iovec *)8, 1, 0));
    show("too many", process_vm_readv(pid, &local, 2000, &remote, 1, 0));
    show("flags", process_vm_readv(pid, &local, 1, &remote, 1, 1));
    show("nothing", process_vm_readv(pid, &local, 0, &remote, 1, 0));
    show("nobody", process_vm_readv(1 << 22, &local, 1, &remote, 1, 0));
    show("itself", process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
    kill(pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    show("a zombie", process_vm_readv(pid, &local, 1, &remote, 1, 0));
    return 0;
}

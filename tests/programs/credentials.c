/* Users and groups: who may become whom, and what somebody else than root may not do: to files, to processes,
 * to limits and locked memory. Says "not root" and nothing else if it is not started by root. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L

static long answer(long value)
{
    return value < 0 ? -errno : value;
}
#define CALL(number, ...) answer(syscall(SYS_##number, __VA_ARGS__))

static void ids(const char *what)
{
    uid_t r, e, s;
    gid_t a, b, c;
    getresuid(&r, &e, &s);
    getresgid(&a, &b, &c);
    printf("%s: uid %u %u %u %ld gid %u %u %u %ld\n", what, r, e, s, CALL(setfsuid, -1), a, b, c,
           CALL(setfsgid, -1));
}

/* Does something in a child, and waits for it. */
static void child(void (*work)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        work();
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (status)
        printf("status %x\n", status);
}

static void changes(void)
{
    printf("seteuid %ld\n", CALL(setresuid, -1, 1000, -1));
    ids("effective");
    printf("back %ld\n", CALL(setresuid, -1, 0, -1));
    printf("setreuid %ld\n", CALL(setreuid, 1000, 1001));
    ids("re");
    printf("setreuid swaps %ld\n", CALL(setreuid, 1001, 1000));
    ids("swapped");
    printf("root %ld %ld %ld %ld\n", CALL(setuid, 0), CALL(setreuid, 0, -1), CALL(setresuid, -1, -1, 0),
           CALL(setuid, -1));
    printf("setuid %ld\n", CALL(setuid, 1001));
    ids("own");
    printf("fsuid %ld %ld %ld\n", CALL(setfsuid, 1000), CALL(setfsuid, 0), CALL(setfsuid, -1));
    printf("group %ld %ld %ld\n", CALL(setgid, 5), CALL(setresgid, 5, 5, 5), CALL(setgroups, 0, 0));
    ids("last");
}

static void groups(void)
{
    gid_t list[40] = { 30, 10, 20 }, read[40] = { 0 };
    printf("setgroups %ld", CALL(setgroups, 3, list));
    printf(" getgroups %ld", CALL(getgroups, 0, 0));
    printf(" %ld", CALL(getgroups, 40, read));
    printf(" %u %u %u small %ld", read[0], read[1], read[2], CALL(getgroups, 2, read));
    printf(" negative %ld", CALL(getgroups, -1, read));
    printf(" wild %ld %ld", CALL(getgroups, 3, 8), CALL(setgroups, 3, 8));
    printf(" many %ld\n", CALL(setgroups, 65537, list));
    printf("inherited %ld\n", CALL(getgroups, 0, 0));
    printf("setgid %ld", CALL(setgid, 50));
    printf(" setregid %ld\n", CALL(setregid, 60, 70));
    ids("groups");
    printf("none %ld %ld\n", CALL(setgroups, 0, 0), CALL(getgroups, 0, 0));
}

static void dumpable(void)
{
    printf("dumpable %d", prctl(PR_GET_DUMPABLE));
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    setuid(1000);
    int signal;
    prctl(PR_GET_PDEATHSIG, &signal);
    printf(" then %d, signal %d\n", prctl(PR_GET_DUMPABLE), signal);
}

static void make(const char *name, mode_t mode, uid_t uid, gid_t gid)
{
    int fd = open(name, O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || write(fd, "text", 4) != 4 || fchown(fd, uid, gid) || fchmod(fd, mode))
        perror(name);
    close(fd);
}

static void rights(const char *name)
{
    int can[3] = { O_RDONLY, O_WRONLY, O_RDWR };
    printf("%s:", name);
    for (int i = 0; i < 3; i++) {
        int fd = open(name, can[i]);
        printf(" %ld", fd < 0 ? (long)-errno : 0);
        close(fd);
    }
    printf(" access");
    for (int mode = 1; mode < 8; mode++)
        printf(" %ld", answer(access(name, mode)));
    printf("\n");
}

static void files_of_another(void)
{
    struct stat st;
    gid_t group = 77;
    setgroups(1, &group);
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    rights("mine");
    rights("group");
    rights("others");
    rights("secret");
    rights("closed/inside");
    printf("chdir %ld listing %ld\n", answer(chdir("closed")), answer(open("closed", O_RDONLY)));
    printf("create %ld mkdir %ld symlink %ld mkfifo %ld link %ld\n", answer(open("new", O_CREAT | O_WRONLY, 0600)),
           answer(mkdir("dir", 0700)), answer(symlink("x", "y")), answer(mkfifo("fifo", 0600)),
           answer(link("mine", "other")));
    printf("existing %ld %ld\n", answer(open("secret", O_CREAT | O_EXCL | O_WRONLY, 0600)), answer(mkdir("closed", 0700)));
    printf("unlink %ld rmdir %ld rename %ld\n", answer(unlink("mine")), answer(rmdir("closed")), answer(rename("mine", "moved")));
    printf("chmod %ld %ld chown %ld %ld %ld\n", answer(chmod("secret", 0777)), answer(chmod("mine", 02600)),
           answer(chown("mine", 1001, -1)), answer(chown("mine", -1, 77)), answer(chown("mine", -1, 78)));
    stat("mine", &st);
    printf("mine %o %u %u\n", st.st_mode & 07777, st.st_uid, st.st_gid);
    printf("truncate %ld %ld\n", answer(truncate("mine", 2)), answer(truncate("others", 2)));
    struct timespec times[2] = { { 5, 0 }, { 6, 0 } };
    printf("times %ld %ld %ld now %ld\n", answer(utimensat(AT_FDCWD, "mine", times, 0)),
           answer(utimensat(AT_FDCWD, "writable", times, 0)), answer(utimensat(AT_FDCWD, "others", NULL, 0)),
           answer(utimensat(AT_FDCWD, "writable", NULL, 0)));
    printf("O_NOATIME %ld\n", answer(open("others", O_RDONLY | O_NOATIME)));
    printf("device %ld\n", answer(mknod("open/null", S_IFCHR | 0600, 0x103)));
    int fd = open("open/own", O_CREAT | O_RDWR, 0666);
    fstat(fd, &st);
    printf("own %u %u unlinked %ld\n", st.st_uid, st.st_gid, answer(unlink("open/own")));
    printf("sticky %ld %ld\n", answer(unlink("sticky/theirs")), answer(rename("sticky/theirs", "sticky/moved")));
    mkdir("shared/dir", 0700);
    stat("shared/dir", &st);
    printf("group's %o %u\n", st.st_mode & 07777, st.st_gid);
    fd = memfd_create("memory", 0);
    fstat(fd, &st);
    printf("memfd %u %u\n", st.st_uid, st.st_gid);
    char *arguments[] = { "x", NULL };
    printf("exec %ld %ld\n", answer(execv("secret", arguments)), answer(execv("closed/inside", arguments)));
}

/* access asks for who started it. */
static void real(void)
{
    setresuid(1000, 0, 0);
    printf("access %ld with AT_EACCESS %ld\n", answer(access("secret", R_OK)),
           answer(faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS)));
    setresuid(0, 1000, 0);
    printf("access %ld with AT_EACCESS %ld\n", answer(access("secret", R_OK)),
           CALL(faccessat2, AT_FDCWD, "secret", R_OK, AT_EACCESS));
}

static void files(void)
{
    make("mine", 0600, 1000, 1000);
    make("group", 0460, 1, 77);
    make("others", 0704, 1, 1);
    make("secret", 0700, 0, 0);
    make("writable", 0666, 0, 0);
    mkdir("closed", 0700);
    make("closed/inside", 0755, 0, 0);
    mkdir("open", 0700);
    mkdir("sticky", 0700);
    mkdir("shared", 0700);
    make("sticky/theirs", 0666, 1, 1);
    chmod("open", 0777);
    chmod("sticky", 01777);
    if (chown("shared", 0, 77))
        perror("chown");
    chmod("shared", 02777);
    child(files_of_another);
    child(real);
    rmdir("shared/dir");
    const char *all[] = { "mine",   "group",  "others",        "secret",  "writable", "closed/inside",
                          "closed", "open", "sticky/theirs", "sticky", "shared" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (remove(all[i]))
            perror(all[i]);
}

static pid_t other;

static void processes_of_another(void)
{
    pid_t parent = getppid();
    char byte;
    struct iovec here = { &byte, 1 }, there = { &other, 1 };
    struct rlimit limit;
    unsigned long cpus[16] = { 1 };
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    printf("kill %ld %ld tgkill %ld continue %ld\n", answer(kill(parent, SIGTERM)), answer(kill(parent, 0)),
           CALL(tgkill, parent, parent, SIGTERM), answer(kill(parent, SIGCONT)));
    printf("nobody %ld bad %ld both %ld\n", answer(kill(1 << 22, 0)), answer(kill(getpid(), 70)), answer(kill(1 << 22, 70)));
    printf("memory %ld\n", answer(process_vm_readv(parent, &here, 1, &there, 1, 0)));
    printf("limits %ld\n", CALL(prlimit64, parent, RLIMIT_CORE, 0, &limit));
    printf("priority %ld affinity %ld\n", answer(setpriority(PRIO_PROCESS, parent, 5)),
           CALL(sched_setaffinity, parent, sizeof cpus, cpus));
    char name[40];
    snprintf(name, sizeof name, "/proc/%d/maps", parent);
    printf("maps %ld own %d\n", answer(open(name, O_RDONLY)), open("/proc/self/maps", O_RDONLY) >= 0);
    snprintf(name, sizeof name, "/proc/%d/status", parent);
    printf("status %d\n", open(name, O_RDONLY) >= 0);
    snprintf(name, sizeof name, "/proc/%d/oom_score_adj", parent);
    printf("adj %ld\n", answer(open(name, O_WRONLY)));
    /* What root has given up it cannot take back. */
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_max++;
    printf("raise %ld", answer(setrlimit(RLIMIT_NOFILE, &limit)));
    limit.rlim_cur = limit.rlim_max = 20;
    printf(" lower %ld", answer(setrlimit(RLIMIT_NOFILE, &limit)));
    limit.rlim_cur = 21;
    printf(" above %ld\n", answer(setrlimit(RLIMIT_NOFILE, &limit)));
    printf("nice %ld", answer(setpriority(PRIO_PROCESS, 0, 5)));
    printf(" is %ld", CALL(getpriority, PRIO_PROCESS, 0));
    printf(" better %ld same %ld\n", answer(setpriority(PRIO_PROCESS, 0, 4)), answer(setpriority(PRIO_PROCESS, 0, 5)));
}

static void signals_to_own(void)
{
    int status, ends[2];
    if (pipe(ends))
        return;
    pid_t victim = fork();
    if (victim == 0) {
        /* Until this one ends. */
        close(ends[1]);
        _exit(read(ends[0], &status, 1));
    }
    setresuid(1002, 1002, 1002);
    printf("root's child %ld\n", answer(kill(victim, SIGKILL)));
    fflush(stdout);
    if (fork() == 0) {
        raise(SIGKILL);
        _exit(0);
    }
    wait(&status);
    printf("itself %d\n", WTERMSIG(status));
}

static void lock(void)
{
    struct rlimit limit = { 4 * PAGE, 8 * PAGE };
    setrlimit(RLIMIT_MEMLOCK, &limit);
    char *memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("root %ld", answer(mlock(memory, 16 * PAGE)));
    printf(" %ld\n", answer(munlock(memory, 16 * PAGE)));
    setresuid(1000, 1000, 1000);
    printf("four %ld", answer(mlock(memory, 4 * PAGE)));
    printf(" again %ld", answer(mlock(memory + PAGE, 3 * PAGE)));
    printf(" five %ld", answer(mlock(memory, 5 * PAGE)));
    printf(" one more %ld", answer(mlock(memory + 8 * PAGE, 1)));
    printf(" on fault %ld", CALL(mlock2, memory + 8 * PAGE, PAGE, 1));
    printf(" all %ld", answer(mlockall(MCL_CURRENT)));
    printf(" future %ld", answer(mlockall(MCL_FUTURE)));
    printf(" mmap %ld", answer((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
    printf(" brk %d", sbrk(PAGE) == (void *)-1);
    printf(" unlock %ld", answer(munlockall()));
    printf(" locked mmap %ld", answer((long)mmap(NULL, 5 * PAGE, PROT_READ, MAP_LOCKED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
    char *locked = mmap(NULL, 4 * PAGE, PROT_READ, MAP_LOCKED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf(" fits %d", locked != MAP_FAILED);
    printf(" mremap %ld", answer((long)mremap(locked, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE)));
    printf(" huge %ld", answer(mlock(memory, ~0UL)));
    printf(" wraps %ld\n", answer(mlock(memory, -2 * PAGE)));
    munlockall();
    limit.rlim_cur = 0;
    setrlimit(RLIMIT_MEMLOCK, &limit);
    printf("nothing: %ld %ld %ld %ld %ld\n", answer(mlock(memory, PAGE)), answer(mlock(memory, 0)),
           CALL(mlock2, memory, PAGE, 9), answer(mlockall(MCL_CURRENT)), answer(mlockall(0)));
    printf("locked mmap %ld munlock %ld\n",
           answer((long)mmap(NULL, PAGE, PROT_READ, MAP_LOCKED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
           answer(munlock(memory, PAGE)));
}

static void processes_limit(void)
{
    struct rlimit limit = { 1, 1 };
    setrlimit(RLIMIT_NPROC, &limit);
    fflush(stdout);
    pid_t first = fork();
    if (first == 0)
        _exit(0);
    printf("root forks %d\n", first > 0);
    waitpid(first, NULL, 0);
    setresuid(54321, 54321, 54321);
    printf("another %ld\n", answer(fork()));
}

/* A copy of this program that is another's and says so. */
static void programs(void)
{
    char *arguments[] = { "./own", "ids", NULL };
    static char buffer[65536];
    int from = open("/proc/self/exe", O_RDONLY), to = open("own", O_CREAT | O_WRONLY, 0700);
    for (ssize_t len; (len = read(from, buffer, sizeof buffer)) > 0;)
        if (write(to, buffer, len) != len)
            perror("write");
    close(to);
    for (int kind = 0; kind < 4; kind++) {
        fflush(stdout);
        if (fork() == 0) {
            if (chown("own", 1000, 77) || chmod("own", kind == 1 ? 02645 : 06755))
                perror("own");
            if (kind == 2)
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if (kind == 3)
                setresuid(5, 5, 5);
            execv("./own", arguments);
            perror("execv");
            _exit(1);
        }
        wait(NULL);
    }
    unlink("own");
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && strcmp(argv[1], "ids") == 0) {
        ids("program");
        printf("auxv %lu %lu %lu %lu secure %lu dumpable %d\n", getauxval(AT_UID), getauxval(AT_EUID),
               getauxval(AT_GID), getauxval(AT_EGID), getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE) == 1);
        return 0;
    }
    if (getuid()) {
        printf("not root\n");
        return 0;
    }
    char place[] = "/tmp/credentials-XXXXXX";
    if (!mkdtemp(place) || chmod(place, 0755) || chdir(place))
        return 1;
    setsid();
    umask(022);
    setgroups(0, NULL);
    ids("at first");
    child(changes);
    child(groups);
    child(dumpable);
    files();
    other = getpid();
    child(processes_of_another);
    child(signals_to_own);
    child(lock);
    child(processes_limit);
    programs();
    return chdir("/") || rmdir(place);
}

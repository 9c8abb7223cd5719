/* Small calls: limits, names, clocks, random bytes, numbers of processes, and wild pointers. */
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void show(const char *what, long result) {
  printf("%s: %ld errno %d\n", what, result < 0 ? -1L : result > 0, result < 0 ? errno : 0);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  struct utsname names;
  show("uname", uname(&names));
  printf("%s %s\n", names.sysname, names.machine);
  struct rlimit limit;
  show("stack limit", getrlimit(RLIMIT_STACK, &limit));
  printf("8 MiB %d\n", limit.rlim_cur == 8 << 20 ? 1 : 0);
  show("bad limit", getrlimit(99, &limit));
  struct sysinfo info;
  show("sysinfo", sysinfo(&info));
  printf("ram %d unit %u\n", info.totalram > info.freeram && info.freeram > 0, info.mem_unit);
  struct rusage usage;
  show("rusage", getrusage(RUSAGE_SELF, &usage));
  show("bad rusage", getrusage(7, &usage));
  struct timespec a, b, wait = {0, 5000000};
  show("monotonic", clock_gettime(CLOCK_MONOTONIC, &a));
  show("sleep", nanosleep(&wait, NULL));
  clock_gettime(CLOCK_MONOTONIC, &b);
  long passed = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
  printf("slept long enough %d\n", passed >= 5000000);
  wait.tv_nsec = 1000000000;
  show("bad sleep", nanosleep(&wait, NULL));
  show("bad clock", clock_gettime(999, &a));
  printf("after 2020 %d\n", time(NULL) > 1577836800);
  unsigned char bytes[64] = {0};
  int zeros = 0;
  show("random", syscall(SYS_getrandom, bytes, sizeof bytes, 0));
  for (unsigned i = 0; i < sizeof bytes; i++)
    zeros += bytes[i] == 0;
  printf("random %d\n", zeros < 10);
  show("random flags", syscall(SYS_getrandom, bytes, 1, 64));
  printf("session %d\n", getsid(0) == getsid(getpid()));
  show("no such group", getpgid(1 << 22));
  show("yield", syscall(SYS_sched_yield));
  int word = 5;
  wait.tv_nsec = 1000;
  show("futex other value", syscall(SYS_futex, &word, FUTEX_WAIT, 4, NULL, NULL, 0));
  show("futex timeout", syscall(SYS_futex, &word, FUTEX_WAIT, 5, &wait, NULL, 0));
  show("futex wake", syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0));
  show("futex unaligned", syscall(SYS_futex, (char *)&word + 1, FUTEX_WAKE, 1, NULL, NULL, 0));
  show("gettid", syscall(SYS_gettid) == getpid());
  show("no call", syscall(5000));
  struct tms tms;
  show("times", times(&tms) >= 0);

  void *wild[] = {(void *)8, (void *)0xffff888000000000, (void *)0x8000000000000000, (void *)-1};
  for (unsigned i = 0; i < sizeof wild / sizeof *wild; i++) {
    void *p = wild[i];
    show("uname", syscall(SYS_uname, p));
    show("sysinfo", syscall(SYS_sysinfo, p));
    show("clock_gettime", syscall(SYS_clock_gettime, CLOCK_REALTIME, p));
    show("nanosleep", syscall(SYS_nanosleep, p, NULL));
    show("getrandom", syscall(SYS_getrandom, p, 8, 0));
    show("rt_sigaction", syscall(SYS_rt_sigaction, 10, p, NULL, 8));
    show("rt_sigprocmask", syscall(SYS_rt_sigprocmask, 0, p, NULL, 8));
    show("sigaltstack", syscall(SYS_sigaltstack, p, NULL));
    show("prlimit64", syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, p));
    show("getrusage", syscall(SYS_getrusage, RUSAGE_SELF, p));
    show("execve", syscall(SYS_execve, p, NULL, NULL));
  }
  return 0;
}

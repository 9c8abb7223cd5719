/* Children: their numbers, memory of their own, how they end, and what the parent is told. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int shared_by_copy = 1;

static void ends(const char *how, int status) {
  if (WIFEXITED(status))
    printf("%s: exit %d\n", how, WEXITSTATUS(status));
  else if (WIFSIGNALED(status))
    printf("%s: signal %d\n", how, WTERMSIG(status));
  else if (WIFSTOPPED(status))
    printf("%s: stopped %d\n", how, WSTOPSIG(status));
  else if (WIFCONTINUED(status))
    printf("%s: continued\n", how);
}

static int depth(int n) {
  int status;
  if (n == 0)
    return 7;
  pid_t pid = fork();
  if (pid == 0)
    _exit(depth(n - 1) + 1);
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

int main(void) {
  int status;
  setvbuf(stdout, NULL, _IONBF, 0);
  printf("%d\n", getpid() > 0 && getppid() >= 0);
  pid_t me = getpid(), pid = fork();
  if (pid == 0) {
    shared_by_copy = 2;
    _exit(getppid() == me ? 5 : 6);
  }
  printf("wait %d\n", wait(&status) == pid);
  ends("child", status);
  printf("private %d\n", shared_by_copy);

  pid = fork();
  if (pid == 0) {
    raise(SIGKILL);
    _exit(1);
  }
  waitpid(pid, &status, 0);
  ends("killed", status);

  pid = fork();
  if (pid == 0) {
    volatile int *p = (int *)16;
    *p = 1;
  }
  waitpid(pid, &status, 0);
  ends("wild store", status);

  pid = fork();
  if (pid == 0)
    abort();
  waitpid(pid, &status, 0);
  ends("abort", status);

  /* Stopped and continued by the parent. */
  pid = fork();
  if (pid == 0) {
    raise(SIGSTOP);
    _exit(9);
  }
  waitpid(pid, &status, WUNTRACED);
  ends("stop", status);
  kill(pid, SIGCONT);
  waitpid(pid, &status, WCONTINUED);
  ends("go on", status);
  waitpid(pid, &status, 0);
  ends("end", status);

  pid = vfork();
  if (pid == 0) {
    shared_by_copy = 3;
    _exit(4);
  }
  waitpid(pid, &status, 0);
  ends("vfork", status);
  printf("through vfork %d\n", shared_by_copy);

  printf("nested %d\n", depth(6));
  for (int i = 0; i < 20; i++)
    if ((pid = fork()) == 0)
      _exit(i);
  int sum = 0, n = 0;
  while (wait(&status) > 0) {
    sum += WEXITSTATUS(status);
    n++;
  }
  printf("%d children, sum %d, errno %d\n", n, sum, errno);

  siginfo_t info;
  pid = fork();
  if (pid == 0)
    _exit(33);
  memset(&info, 0, sizeof info);
  printf("waitid %d", waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
  printf(" %d %d %d %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == pid);
  printf("again %d", waitid(P_PID, pid, &info, WEXITED));
  printf(" and gone %d %d\n", waitid(P_PID, pid, &info, WEXITED), errno);
  printf("nobody %d %d\n", waitpid(-1, &status, WNOHANG), errno);
  printf("not mine %d %d\n", waitpid(1 << 20, &status, 0), errno);
  printf("bad options %d %d\n", waitpid(-1, &status, 1 << 20), errno);

  signal(SIGCHLD, SIG_IGN);
  if ((pid = fork()) == 0)
    _exit(1);
  printf("no zombie %d %d\n", waitpid(pid, &status, 0), errno);
  return 17;
}

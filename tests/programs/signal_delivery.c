/* Signals: handlers with their information, masks, stacks, restarts, and the default actions. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile sig_atomic_t seen;
static char *page;

static void print_fault(int signal, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  char *at = info->si_addr;
  int in_page = at >= page && at < page + 4096;
  /* Whether a page was there is the kernel's own business. */
  printf("signal %d code %d address %lx%s trap %lld error %lld", signal, info->si_code,
         (long)(in_page ? at - page : (long)at), in_page ? " of the page" : "",
         uc->uc_mcontext.gregs[REG_TRAPNO], uc->uc_mcontext.gregs[REG_ERR] & ~1LL);
  printf(" cr2 %d\n", (char *)uc->uc_mcontext.gregs[REG_CR2] == at);
  siglongjmp(back, 1);
}

static void repair(int signal, siginfo_t *info, void *context) {
  (void)context;
  printf("repair %d code %d\n", signal, info->si_code);
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void skip(int signal, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  printf("skip %d code %d\n", signal, info->si_code);
  uc->uc_mcontext.gregs[REG_RIP] += 2;
  uc->uc_mcontext.gregs[REG_RAX] = 99;
}

static void count(int signal) { seen = signal; }

static void told(int signal, siginfo_t *info, void *context) {
  (void)context;
  seen = signal;
  printf("told %d code %d from me %d\n", signal, info->si_code, info->si_pid == getpid());
}

static void on_stack(int signal) {
  char here;
  stack_t stack;
  sigaltstack(NULL, &stack);
  printf("on stack %d: %d flags %d\n", signal,
         &here >= (char *)stack.ss_sp && &here < (char *)stack.ss_sp + stack.ss_size, stack.ss_flags);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigaction(signal, &action, NULL);
}

static void simple(int signal, void (*handler)(int), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(signal, &action, NULL);
}

static void try(const char *what, void (*access)(void)) {
  printf("%s: ", what);
  if (sigsetjmp(back, 1) == 0) {
    access();
    puts("went well");
  }
}

static void load_null(void) { (void)*(volatile char *)3; }
static void store_null(void) { *(volatile char *)5 = 1; }
static void store_read_only(void) { page[7] = 1; }
static void run_data(void) { ((void (*)(void))(page + 16))(); }
static void kernel_half(void) { (void)*(volatile char *)0xffff888000000000; }
static void not_canonical(void) { (void)*(volatile char *)0x8000000000000000; }
static volatile int zero;
static void divide(void) { zero = 1 / zero; }
static void undefined(void) { __asm__ volatile("ud2"); }
static void privileged(void) { __asm__ volatile("hlt"); }

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  handle(SIGSEGV, print_fault, 0);
  handle(SIGBUS, print_fault, 0);
  handle(SIGFPE, print_fault, 0);
  handle(SIGILL, print_fault, 0);
  try("load from nowhere", load_null);
  try("store to nowhere", store_null);
  try("store to a read-only page", store_read_only);
  try("run a page without that right", run_data);
  try("the kernel's half", kernel_half);
  try("not canonical", not_canonical);
  try("privileged", privileged);
  try("division by zero", divide);
  try("undefined", undefined);
  if (sigsetjmp(back, 1) == 0) {
    struct sigaction action;
    sigaction(SIGFPE, NULL, &action);
    printf("handler is set %d\n", action.sa_sigaction == print_fault);
  }
  handle(SIGSEGV, repair, SA_RESETHAND);
  page[9] = 4;
  printf("repaired %d\n", page[9]);
  handle(SIGILL, skip, 0);
  long rax = 0;
  double d = 1.5;
  __asm__ volatile("ud2" : "+a"(rax) : : "memory");
  printf("rax %ld, SSE kept %g\n", rax, d * 2);

  handle(SIGUSR1, told, 0);
  raise(SIGUSR1);
  kill(getpid(), SIGUSR1);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, &old);
  seen = 0;
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGUSR1);
  sigpending(&set);
  printf("blocked: seen %d pending %d\n", seen, sigismember(&set, SIGUSR1));
  sigprocmask(SIG_SETMASK, &old, NULL);
  printf("unblocked: seen %d\n", seen);

  stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536, .ss_flags = 0};
  printf("sigaltstack %d\n", sigaltstack(&stack, NULL));
  simple(SIGUSR2, on_stack, SA_ONSTACK | SA_RESETHAND);
  raise(SIGUSR2);
  struct sigaction action;
  sigaction(SIGUSR2, NULL, &action);
  printf("reset %d\n", action.sa_handler == SIG_DFL);
  stack.ss_size = 100;
  printf("too small %d %d\n", sigaltstack(&stack, NULL), errno);

  /* A sleep that a child's end interrupts; and a wait that a signal does not, with SA_RESTART. */
  /* Long enough for a parent on a busy machine to be where the signal is to find it. */
  struct timespec a_while = {0, 300000000};
  simple(SIGCHLD, count, 0);
  pid_t pid = fork();
  if (pid == 0) {
    nanosleep(&a_while, NULL);
    _exit(3);
  }
  struct timespec long_time = {1000, 0}, left = {0, 0};
  int slept = nanosleep(&long_time, &left);
  printf("sleep %d %d left %d\n", slept, errno, left.tv_sec >= 990 && left.tv_sec < 1000);
  int status;
  printf("wait %d\n", waitpid(pid, &status, 0) == pid);
  simple(SIGUSR1, count, SA_RESTART);
  pid = fork();
  if (pid == 0) {
    nanosleep(&a_while, NULL);
    kill(getppid(), SIGUSR1);
    nanosleep(&a_while, NULL);
    _exit(8);
  }
  simple(SIGCHLD, SIG_DFL, 0);
  seen = 0;
  pid_t waited = waitpid(pid, &status, 0);
  printf("restarted %d status %d seen %d\n", waited == pid, WEXITSTATUS(status), seen);
  simple(SIGUSR1, count, 0);
  pid = fork();
  if (pid == 0) {
    nanosleep(&a_while, NULL);
    kill(getppid(), SIGUSR1);
    nanosleep(&a_while, NULL);
    _exit(8);
  }
  waited = waitpid(pid, &status, 0);
  printf("interrupted %d %d\n", waited, errno);
  while (waitpid(pid, &status, 0) != pid)
    ;
  sigemptyset(&set);
  printf("suspend ");
  sigemptyset(&old);
  sigaddset(&old, SIGUSR1);
  sigprocmask(SIG_BLOCK, &old, NULL);
  kill(getpid(), SIGUSR1);
  seen = 0;
  int suspended = sigsuspend(&set);
  printf("%d %d seen %d\n", suspended, errno, seen);
  printf("kill nobody %d %d\n", kill(1 << 21, 0), errno);
  printf("bad signal %d %d\n", kill(getpid(), 65), errno);
  printf("unblockable %d %d\n", sigaction(SIGKILL, &action, NULL), errno);
  signal(SIGTERM, SIG_DFL);
  raise(SIGTERM);
  return 1;
}

/* What one program cannot do: read, write or execute the kernel's memory, or that of another process.
 *   isolation kernel FILE    tries at each page that FILE lists: lines "FIRST PAGES STEP", in hexadecimal
 *   isolation processes      a parent and a child try each other's pages, and what an ended one left */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL

static sigjmp_buf back;
static volatile uintptr_t tried;
static volatile int signalled, right_address;

static void handler(int number, siginfo_t *info, void *context) {
  (void)context;
  signalled = number;
  right_address = (uintptr_t)info->si_addr == tried;
  siglongjmp(back, 1);
}

static void catch_faults(void) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

enum way { READ, WRITE, EXECUTE, WAYS };

/* Whether an access ended in SIGSEGV with its address. */
static int refused(uintptr_t address, enum way way) {
  tried = address;
  signalled = 0;
  /* The mask stays as it is, so nothing is saved. */
  if (sigsetjmp(back, 0) == 0) {
    if (way == READ)
      (void)*(volatile char *)address;
    else if (way == WRITE)
      *(volatile char *)address = 0;
    else
      ((void (*)(void))address)();
  }
  return signalled == SIGSEGV && right_address;
}

/* Whether system calls do not do it for the program either: one loads, the other one stores. */
static int refused_by_calls(uintptr_t address) {
  int loads = syscall(SYS_access, address, 0) == -1 && errno == EFAULT;
  int stores = syscall(SYS_getrandom, address, 1, 0) == -1 && errno == EFAULT;
  return loads && stores;
}

static int kernel(const char *list) {
  unsigned long first, pages, step, count = 0, through[WAYS] = {0}, by_call = 0;
  FILE *file = fopen(list, "r");
  if (!file)
    return 2;
  while (fscanf(file, "%lx %lx %lx", &first, &pages, &step) == 3)
    for (; pages--; first += step, count++) {
      /* Not always the first byte. */
      uintptr_t address = first + count % PAGE;
      for (int way = 0; way < WAYS; way++)
        through[way] += !refused(address, way);
      by_call += !refused_by_calls(address);
    }
  printf("%lu pages, not refused: %lu reads, %lu writes, %lu calls, %lu system calls\n", count,
         through[READ], through[WRITE], through[EXECUTE], by_call);
  return 0;
}

#define SECRETS 64

static unsigned char *map(void *at, unsigned long pages) {
  int fixed = at ? MAP_FIXED_NOREPLACE : 0;
  return mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
}

static unsigned long count(const unsigned char *bytes, unsigned long size, int value) {
  unsigned long found = 0;
  for (unsigned long i = 0; i < size; i++)
    found += bytes[i] == value;
  return found;
}

static void await(const char *who, pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
    printf("%s: killed\n", who);
  else
    printf("%s: %d\n", who, WEXITSTATUS(status));
}

/* Pages that the other one has and this one has not. */
static int has_none(const unsigned char *at) {
  int through = 0;
  for (int i = 0; i < SECRETS; i++)
    for (int way = 0; way < WAYS; way++)
      through += !refused((uintptr_t)at + i * PAGE + i, way);
  return through;
}

static int processes(void) {
  char token;
  int to_child[2], to_parent[2];
  unsigned char *shared = map(NULL, SECRETS);
  memset(shared, 0x11, SECRETS * PAGE);
  /* Two places that only one of the two will use. */
  unsigned char *mine = map(NULL, SECRETS), *its = map(NULL, SECRETS);
  munmap(mine, SECRETS * PAGE);
  munmap(its, SECRETS * PAGE);
  if (pipe(to_child) || pipe(to_parent))
    return 2;
  pid_t pid = fork();
  if (pid == 0) {
    unsigned char *secret = map(its, SECRETS);
    memset(secret, 0x22, SECRETS * PAGE);
    memset(shared, 0x33, SECRETS * PAGE);
    if (write(to_parent[1], "x", 1) != 1 || read(to_child[0], &token, 1) != 1)
      _exit(99);
    int bad = has_none(mine);
    bad += count(shared, SECRETS * PAGE, 0x33) != SECRETS * PAGE;
    bad += count(secret, SECRETS * PAGE, 0x22) != SECRETS * PAGE;
    _exit(bad);
  }
  unsigned char *secret = map(mine, SECRETS);
  memset(secret, 0x44, SECRETS * PAGE);
  if (read(to_parent[0], &token, 1) != 1)
    return 3;
  printf("parent at the child's pages: %d\n", has_none(its));
  printf("parent's own: %d\n", count(shared, SECRETS * PAGE, 0x11) == SECRETS * PAGE);
  if (write(to_child[1], "x", 1) != 1)
    return 4;
  await("child at the parent's pages", pid);
  printf("parent's own: %d\n", count(secret, SECRETS * PAGE, 0x44) == SECRETS * PAGE);

  /* Nothing of a process that has ended is in the pages of the next one. */
  pid = fork();
  if (pid == 0) {
    memset(map(NULL, 8 * SECRETS), 0x77, 8 * SECRETS * PAGE);
    _exit(0);
  }
  await("writer", pid);
  pid = fork();
  if (pid == 0) {
    unsigned char *fresh = map(NULL, 8 * SECRETS);
    for (unsigned long i = 0; i < 8 * SECRETS; i++)
      fresh[i * PAGE] = 0;
    _exit(count(fresh, 8 * SECRETS * PAGE, 0) != 8 * SECRETS * PAGE);
  }
  await("reader of what it left", pid);
  return 0;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  catch_faults();
  if (argc > 2 && !strcmp(argv[1], "kernel"))
    return kernel(argv[2]);
  return processes();
}

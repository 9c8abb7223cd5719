/* Carries out the memory calls of a file, line by line, and tells what came of each. All happens in an
 * arena at a fixed address; places are its pages.
 *   m PAGE PAGES RIGHTS SHARED    mmap at that place, over what is there
 *   u PAGE PAGES                  munmap
 *   p PAGE PAGES RIGHTS           mprotect
 *   r PAGE PAGES PAGES TO         mremap to that place
 *   d PAGE PAGES 0                madvise: DONTNEED
 *   w PAGE VALUE                  a store
 *   l PAGE                        a load
 *   f PAGE VALUE                  fork; the child stores there and tells what it sees
 *   n                             everything is unmapped: the next sequence
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 48
#define ARENA ((unsigned char *)0x3000000000UL)

static sigjmp_buf back;
static volatile int code;

static void handler(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  code = info->si_code;
  siglongjmp(back, 1);
}

/* What the program has at each page: the call that mapped it, or 0; the page of that; its rights. What
 * mremap says of anything but one whole area depends on Linux's version, so it gets nothing else. */
static struct {
  int call, offset, rights;
} own[PAGES];
static int calls;

static int is_one_area(int page, int pages) {
  for (int i = page; i < page + pages; i++)
    if (!own[i].call || own[i].call != own[page].call || own[i].rights != own[page].rights ||
        own[i].offset != own[page].offset + i - page)
      return 0;
  return 1;
}

static void note_mmap(int page, int pages, int rights) {
  calls++;
  for (int i = 0; i < pages; i++) {
    own[page + i].call = calls;
    own[page + i].offset = i;
    own[page + i].rights = rights;
  }
}

static void note_munmap(int page, int pages) {
  memset(&own[page], 0, pages * sizeof *own);
}

/* Up to the first hole. */
static void note_mprotect(int page, int pages, int rights) {
  for (int i = page; i < page + pages && own[i].call; i++)
    own[i].rights = rights;
}

static void note_mremap(int page, int pages, int new, int to) {
  int call = own[page].call, offset = own[page].offset, rights = own[page].rights;
  note_munmap(page, pages);
  for (int i = 0; i < new; i++) {
    own[to + i].call = call;
    own[to + i].offset = offset + i;
    own[to + i].rights = rights;
  }
}

static unsigned char *at(int page) { return ARENA + page * PAGE; }

/* The byte of a page, or 256 and the code of the signal. */
static int load(int page) {
  if (sigsetjmp(back, 0) == 0)
    return *(volatile unsigned char *)(at(page) + 8 * page);
  return 256 + code;
}

static int store(int page, int value) {
  if (sigsetjmp(back, 0) == 0) {
    *(volatile unsigned char *)(at(page) + 8 * page) = value;
    return 0;
  }
  return 256 + code;
}

/* What all pages hold and allow, in one number (FNV-1a). */
static unsigned sum(void) {
  unsigned hash = 2166136261u;
  for (int page = 0; page < PAGES; page++)
    hash = (hash ^ load(page)) * 16777619u;
  return hash;
}

static int error(long result) { return result == -1 ? errno : 0; }

static int run(char call, const int *a) {
  int result, shared = a[3] ? MAP_SHARED : MAP_PRIVATE;
  switch (call) {
  case 'm':
    note_mmap(a[0], a[1], a[2]);
    return error((long)mmap(at(a[0]), a[1] * PAGE, a[2], shared | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  case 'u':
    note_munmap(a[0], a[1]);
    return error(munmap(at(a[0]), a[1] * PAGE));
  case 'p':
    note_mprotect(a[0], a[1], a[2]);
    return error(mprotect(at(a[0]), a[1] * PAGE, a[2]));
  case 'r':
    if (!is_one_area(a[0], a[1]))
      return -1;
    result = error((long)mremap(at(a[0]), a[1] * PAGE, a[2] * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                                at(a[3])));
    if (result == 0)
      note_mremap(a[0], a[1], a[2], a[3]);
    return result;
  case 'd':
    return error(madvise(at(a[0]), a[1] * PAGE, MADV_DONTNEED));
  case 'w':
    return store(a[0], a[1]);
  case 'l':
    return load(a[0]);
  case 'n':
    note_munmap(0, PAGES);
    return error(munmap(ARENA, PAGES * PAGE));
  }
  return -1;
}

static void child(const int *a) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    int stored = store(a[0], a[1]);
    printf("  child %d %08x\n", stored, sum());
    fflush(stdout);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
}

int main(int argc, char **argv) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  FILE *script = argc > 1 ? fopen(argv[1], "r") : NULL;
  char line[80], call;
  if (!script)
    return 2;
  while (fgets(line, sizeof line, script)) {
    int a[4] = {0};
    if (sscanf(line, "%c %d %d %d %d", &call, &a[0], &a[1], &a[2], &a[3]) < 1)
      continue;
    line[strcspn(line, "\n")] = 0;
    if (call == 'f') {
      child(a);
      printf("%s: %08x\n", line, sum());
      continue;
    }
    int result = run(call, a);
    printf("%s: %d %08x\n", line, result, sum());
  }
  return 0;
}

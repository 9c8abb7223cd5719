/* Two moments, each amid many system calls that change nothing, and between them changes of memory whose
 * places are known: what looks from outside can compare. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)

static char *map(unsigned long at, int pages, int protection) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  return mmap((void *)at, pages * PAGE, protection, flags, -1, 0);
}

static void stay(void) {
  for (int i = 0; i < 1000; i++)
    getppid();
}

int main(void) {
  char *stays = map(0x10000000, 4, RW), *goes = map(0x20000000, 4, RW);
  char *narrows = map(0x30000000, 4, RW), *both = map(0x50000000, 1, RW | PROT_EXEC);
  memset(stays, 1, 4 * PAGE);
  memset(goes, 2, 4 * PAGE);
  memset(narrows, 3, 4 * PAGE);
  both[0] = (char)0xc3;
  ((void (*)(void))both)();
  stay();
  stays[0] = stays[PAGE] = 4;
  munmap(goes, 4 * PAGE);
  mprotect(narrows, 4 * PAGE, PROT_READ);
  char *comes = map(0x40000000, 8, RW);
  memset(comes, 5, 3 * PAGE);
  stay();
  printf("%d %d %d\n", stays[PAGE], narrows[PAGE], comes[PAGE]);
  return 0;
}

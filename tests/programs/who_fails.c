/* A parent and its child, "victim", populate a page each and say what came of it: with failures injected
 * by process or by call site, not the same. With "tasks", the child asks to be subject to failures. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const char *populate(void) {
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    return "mmap";
  const char *result = madvise(page, 4096, MADV_POPULATE_WRITE) ? strerror(errno) : "ok";
  munmap(page, 4096);
  return result;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  printf("parent: %s\n", populate());
  pid_t pid = fork();
  if (pid < 0) {
    printf("fork: %s\n", strerror(errno));
    pid = fork();
  }
  if (pid == 0) {
    prctl(PR_SET_NAME, "victim");
    if (argc > 1 && !strcmp(argv[1], "tasks")) {
      int fd = open("/proc/self/make-it-fail", O_WRONLY);
      if (fd < 0 || write(fd, "1", 1) != 1)
        return 9;
      close(fd);
    }
    printf("child: %s\n", populate());
    return 0;
  }
  waitpid(pid, NULL, 0);
  printf("parent: %s\n", populate());
  return 0;
}

/* Lets the first allocation of an operation fail, then the second, until none does, by
 * /proc/self/fail-nth (Linux Documentation/fault-injection/fault-injection.rst). One line for each
 * try: operation, number, errno or 0, or -SIGNAL; "until" in front of the first that met no failure. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define PAGE 4096
#define ENOUGH 400

static int fail_nth;
static char *area;
static int file, ends[2];
static const char *self;
static char pattern[3 * PAGE];

static void arm(int n) {
  char text[16];
  int len = snprintf(text, sizeof text, "%d", n);
  if (pwrite(fail_nth, text, len, 0) != len)
    exit(91);
}

/* What is left of the number: 0 if an allocation has failed. */
static int left(void) {
  char text[16] = "";
  if (pread(fail_nth, text, sizeof text - 1, 0) <= 0)
    exit(92);
  return atoi(text);
}

static int met;

static void open_fail_nth(void) {
  fail_nth = open("/proc/self/fail-nth", O_RDWR);
  if (fail_nth < 0) {
    perror("fail-nth");
    exit(90);
  }
}

/* Right behind the operation: its errno, and whether an allocation has failed. What cleans up is not to
 * fail. */
static int result(long value) {
  int error = value == -1 ? errno : 0;
  met = left() == 0;
  arm(0);
  return error;
}

static char *map(size_t size, int flags) {
  return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/* An area of three pages with a pattern, and nothing beside it to merge with. */
static void make_area(void) {
  area = map(5 * PAGE, 0);
  if (area == MAP_FAILED)
    exit(93);
  munmap(area, PAGE);
  munmap(area + 4 * PAGE, PAGE);
  area += PAGE;
  memcpy(area, pattern, 3 * PAGE);
}

static void drop_area(void) {
  if (memcmp(area, pattern, 3 * PAGE))
    exit(94);
  munmap(area, 3 * PAGE);
}

static int do_fork(void) {
  int status;
  pid_t pid = fork();
  if (pid == 0)
    _exit(memcmp(area, pattern, 3 * PAGE) ? 1 : 0);
  int error = result(pid);
  if (pid < 0)
    return error;
  if (waitpid(pid, &status, 0) != pid || status != 0)
    exit(95);
  return 0;
}

static int do_mmap(void) {
  char *mapped = map(2 * PAGE, 0);
  int error = result((long)mapped);
  if (!error)
    munmap(mapped, 2 * PAGE);
  return error;
}

static int do_populate(void) { return result(madvise(area, 3 * PAGE, MADV_POPULATE_WRITE)); }

static void empty_area(void) {
  make_area();
  madvise(area, 3 * PAGE, MADV_DONTNEED);
}

static void drop_empty(void) { munmap(area, 3 * PAGE); }

static int do_mprotect(void) {
  return result(mprotect(area + PAGE, PAGE, PROT_READ));
}

static int do_munmap(void) { return result(munmap(area + PAGE, PAGE)); }

static void drop_two(void) { munmap(area, 3 * PAGE); }

static int do_mremap(void) {
  char *moved = mremap(area, 3 * PAGE, 600 * PAGE, MREMAP_MAYMOVE);
  int error = result((long)moved);
  if (error)
    return error;
  if (memcmp(moved, pattern, 3 * PAGE))
    exit(96);
  area = mremap(moved, 600 * PAGE, 3 * PAGE, 0);
  return 0;
}

static int do_brk(void) {
  long before = syscall(SYS_brk, 0);
  long after = syscall(SYS_brk, before + 300 * PAGE);
  errno = ENOMEM;
  int error = result(after == before ? -1 : 0);
  syscall(SYS_brk, before);
  return error;
}

static int do_read(void) {
  ssize_t done = pread(file, area, 3 * PAGE, 0);
  int error = result(done);
  if (!error && memcmp(area, pattern, done))
    exit(97);
  return error;
}

static int do_write(void) {
  return result(pwrite(file, pattern, PAGE, 5000 * PAGE));
}

static void cut(void) {
  if (ftruncate(file, 3 * PAGE))
    exit(98);
}

static int do_open(void) {
  int fd = open("/tmp/fail_nth.new", O_CREAT | O_EXCL | O_RDWR, 0600);
  int error = result(fd);
  if (!error) {
    close(fd);
    unlink("/tmp/fail_nth.new");
  }
  return error;
}

static int do_pipe(void) {
  int error = result(pipe(ends));
  if (!error) {
    close(ends[0]);
    close(ends[1]);
  }
  return error;
}

static void nothing(void) {}

/* The same file on a disk, in /mnt, none of which is in the page cache. */
static void cold(void) {
  make_area();
  if (fsync(file) || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED))
    exit(80);
}

static void check_file(void) {
  char bytes[PAGE];
  for (int page = 0; page < 3; page++)
    if (pread(file, bytes, PAGE, page * PAGE) != PAGE || memcmp(bytes, pattern, PAGE))
      exit(81);
}

static void drop_cold(void) {
  drop_area();
  check_file();
}

static char *disk_map;

static void cold_map(void) {
  cold();
  disk_map = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, file, 0);
  if (disk_map == MAP_FAILED)
    exit(82);
}

static int do_disk_map(void) {
  int error = result(madvise(disk_map, 3 * PAGE, MADV_POPULATE_READ));
  if (memcmp(disk_map, pattern, 3 * PAGE))
    exit(83);
  return error;
}

static void drop_map(void) {
  munmap(disk_map, 3 * PAGE);
  drop_cold();
}

static int do_modify(void) { return result(pwrite(file, pattern, 10, PAGE + 7)); }

static void drop_long(void) {
  cut();
  drop_cold();
}

static int do_disk_open(void) {
  int fd = open("/mnt/fail_nth.new", O_CREAT | O_EXCL | O_RDWR, 0600);
  int error = result(fd);
  if (!error) {
    close(fd);
    unlink("/mnt/fail_nth.new");
  }
  return error;
}

static const struct operation {
  const char *name;
  void (*before)(void);
  int (*run)(void);
  void (*after)(void);
} operations[] = {
    {"fork", make_area, do_fork, drop_area},
    {"mmap", nothing, do_mmap, nothing},
    {"mprotect", make_area, do_mprotect, drop_area},
    {"munmap", make_area, do_munmap, drop_two},
    {"mremap", make_area, do_mremap, drop_area},
    {"populate", empty_area, do_populate, drop_empty},
    {"brk", nothing, do_brk, nothing},
    {"read", empty_area, do_read, drop_empty},
    {"write", nothing, do_write, cut},
    {"open", nothing, do_open, nothing},
    {"pipe", nothing, do_pipe, nothing},
};

static const struct operation disk_operations[] = {
    {"disk_read", cold, do_read, drop_cold},     {"disk_map", cold_map, do_disk_map, drop_map},
    {"disk_modify", cold, do_modify, drop_cold}, {"disk_write", cold, do_write, drop_long},
    {"disk_open", cold, do_disk_open, drop_cold},
};

static void sweep(const struct operation *operation) {
  for (int n = 1; n < ENOUGH; n++) {
    operation->before();
    arm(n);
    int error = operation->run();
    operation->after();
    printf("%s%s %d %d\n", met ? "" : "until ", operation->name, n, error);
    if (!met)
      return;
  }
}

/* A child counts, as what comes after execve goes on counting. Its program says whether a failure was met. */
static void sweep_exec(void) {
  char number[16], *argv[] = {(char *)self, "executed", number, NULL}, *env[] = {NULL};
  for (int n = 1; n < ENOUGH; n++) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
      open_fail_nth();
      snprintf(number, sizeof number, "%d", fail_nth);
      arm(n);
      execve(self, argv, env);
      _exit(errno);
    }
    if (waitpid(pid, &status, 0) != pid)
      exit(99);
    int none = WIFEXITED(status) && WEXITSTATUS(status) == 200;
    int error = WIFSIGNALED(status) ? -WTERMSIG(status) : none ? 0 : WEXITSTATUS(status);
    printf("%sexecve %d %d\n", none ? "until " : "", n, error == 201 ? 0 : error);
    if (none)
      return;
  }
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOFBF, 1 << 14);
  self = argv[0];
  if (argc > 2 && !strcmp(argv[1], "executed")) {
    fail_nth = atoi(argv[2]);
    return left() ? 200 : 201;
  }
  open_fail_nth();
  memset(pattern, 0x5a, sizeof pattern);
  int disk = argc > 1 && !strcmp(argv[1], "disk");
  const char *name = disk ? "/mnt/fail_nth.file" : "/tmp/fail_nth.file";
  file = open(name, O_CREAT | O_RDWR, 0600);
  if (file < 0 || write(file, pattern, sizeof pattern) != sizeof pattern)
    return 89;
  if (argc > 1 && !strcmp(argv[1], "execve"))
    sweep_exec();
  else if (disk)
    for (size_t i = 0; i < sizeof disk_operations / sizeof *disk_operations; i++)
      sweep(&disk_operations[i]);
  else
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
      if (argc < 2 || !strcmp(argv[1], operations[i].name))
        sweep(&operations[i]);
  unlink(name);
  return 0;
}

/* execve of itself: arguments, environment, auxiliary vector, what is kept and what is not. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static void handler(int signal) { (void)signal; }

static void try(const char *what, const char *path, char **argv, char **envp) {
  int result = execve(path, argv, envp);
  printf("%s: %d errno %d\n", what, result, errno);
}

static int again(int argc, char **argv) {
  char name[16];
  struct sigaction action;
  sigset_t mask;
  for (int i = 0; i < argc; i++)
    printf("argv[%d] %.20s %zu\n", i, argv[i], strlen(argv[i]));
  for (char **e = environ; *e; e++)
    printf("env %s\n", *e);
  printf("null %d\n", argv[argc] == NULL);
  printf("pagesize %lu secure %lu base %lu flags %lu uid %d\n", getauxval(AT_PAGESZ),
         getauxval(AT_SECURE), getauxval(AT_BASE), getauxval(AT_FLAGS),
         getauxval(AT_UID) == getuid());
  printf("random %d platform %s phent %lu clock %lu\n", getauxval(AT_RANDOM) != 0,
         (char *)getauxval(AT_PLATFORM), getauxval(AT_PHENT), getauxval(AT_CLKTCK));
  printf("path ends %d\n", strcmp(strrchr((char *)getauxval(AT_EXECFN), '/'), "/exec") == 0);
  prctl(PR_GET_NAME, name);
  printf("name %s\n", name);
  sigaction(SIGUSR1, NULL, &action);
  printf("handler gone %d", action.sa_handler == SIG_DFL);
  sigaction(SIGUSR2, NULL, &action);
  printf(", ignored stays %d", action.sa_handler == SIG_IGN);
  sigprocmask(SIG_BLOCK, NULL, &mask);
  printf(", mask stays %d\n", sigismember(&mask, SIGHUP));
  printf("stack aligned %d\n", (unsigned long)(argv - 1) % 16 == 0);
  return argc;
}

int main(int argc, char **argv) {
  char *self = (char *)getauxval(AT_EXECFN);
  setvbuf(stdout, NULL, _IONBF, 0);
  if (argc > 1)
    return again(argc, argv);
  char *none[] = {NULL};
  try("no such file", "/does/not/exist", none, none);
  try("empty path", "", none, none);
  try("bad path", (char *)8, none, none);
  try("bad argv", self, (char **)8, none);
  char *wild[] = {self, (char *)8, NULL};
  try("bad argument", self, wild, none);
  size_t size = 200 << 10;
  char *large = malloc(size);
  memset(large, 'x', size - 1);
  large[size - 1] = 0;
  char *too_large[] = {self, large, NULL};
  try("one large argument", self, too_large, none);
  large[100 << 10] = 0;
  char **many = calloc(41, sizeof *many);
  for (int i = 0; i < 40; i++)
    many[i] = large;
  try("too many", self, many, none);

  signal(SIGUSR1, handler);
  signal(SIGUSR2, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGHUP);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  int status;
  pid_t pid = vfork();
  if (pid == 0) {
    many[0] = "first";
    many[1] = "";
    many[2] = large;
    many[3] = NULL;
    char *envp[] = {"A=1", "B=two words", NULL};
    execve(self, many, envp);
    _exit(127);
  }
  waitpid(pid, &status, 0);
  printf("child %x\n", status);
  many[1] = "last";
  many[2] = NULL;
  execve(self, many, none);
  return 126;
}

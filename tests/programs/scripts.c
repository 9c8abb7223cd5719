/* Programs that name another one to run them: #! lines of all kinds, chains of them, and execve without
 * arguments. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void report(int argc, char **argv)
{
    char name[16], path[512];
    for (int i = 0; i < argc; i++)
        printf("  [%d] <%.40s> %zu\n", i, argv[i], strlen(argv[i]));
    prctl(PR_GET_NAME, name);
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    path[len > 0 ? len : 0] = 0;
    char *slash = strrchr(path, '/');
    printf("  name %s, file %s, execfn %s\n", name, slash ? slash + 1 : "?",
           (char *)getauxval(AT_EXECFN));
}

static void script(const char *name, const char *text, size_t len, int mode)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len)
        perror(name);
    fchmod(fd, mode);
    close(fd);
}

static void run(const char *name, char **argv)
{
    static char *envp[] = { "REPORT=1", NULL };
    printf("%s:\n", name);
    int status;
    if (fork() == 0) {
        execve(name, argv, envp);
        printf("  errno %d\n", errno);
        _exit(1);
    }
    wait(&status);
    printf("  status %x\n", status);
}

static void line(const char *what, const char *text, size_t len)
{
    char *argv[] = { "zero", "one", "", NULL };
    printf("-- %s\n", what);
    script("./script", text, len, 0755);
    run("./script", argv);
}
#define LINE(what, text) line(what, text, sizeof text - 1)

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (getenv("REPORT")) {
        report(argc, argv);
        return 0;
    }
    char directory[] = "/tmp/scripts-XXXXXX", self[512], text[400];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? len : 0] = 0;
    if (!mkdtemp(directory) || chdir(directory) || symlink(self, "run"))
        perror(directory);

    LINE("plain", "#!./run\nanything");
    LINE("blanks", "#! \t ./run \t \n");
    LINE("an argument", "#!./run -x y  z \n");
    LINE("no newline", "#!./run -x");
    LINE("a NUL", "#!./run\0-x\n");
    LINE("a NUL in the argument", "#!./run -x\0y\n");
    LINE("no interpreter", "#!\n./run");
    LINE("only blanks", "#!   \t\n");
    LINE("missing interpreter", "#!./missing\n");
    LINE("a directory", "#!/\n");
    LINE("itself", "#!./script\n");
    LINE("nothing", "");
    LINE("one byte", "#");
    LINE("text", "echo hello\n");
    memset(text, 'a', sizeof text);
    memcpy(text, "#!./run ", 8);
    line("a long argument", text, sizeof text);
    memcpy(text, "#!./runn", 8);
    line("a long path", text, sizeof text);
    memset(text, ' ', sizeof text);
    memcpy(text, "#!", 2);
    line("many blanks", text, sizeof text);
    text[252] = 'x';
    line("cut in the path", text, sizeof text);

    char *none[] = { NULL }, *zero[] = { "zero", NULL }, *some[] = { "zero", "one", NULL };
    script("./script", "#!./run -x\n", 11, 0755);
    puts("-- no arguments");
    run("./script", none);
    run("./run", none);
    run("./run", NULL);
    script("./script", "#!./run\n", 8, 0644);
    puts("-- not executable");
    run("./script", zero);
    script("./script", "#!./plain\n", 10, 0755);
    script("./plain", "#!./run\n", 8, 0644);
    puts("-- interpreter not executable");
    run("./script", zero);

    puts("-- chains");
    script("./s0", "#!./run last\n", 13, 0755);
    for (int i = 1; i < 7; i++) {
        char name[16];
        snprintf(name, sizeof name, "./s%d", i);
        int size = snprintf(text, sizeof text, "#!./s%d arg%d\n", i - 1, i);
        script(name, text, size, 0755);
        run(name, some);
    }
    for (int i = 0; i < 7; i++) {
        char name[16];
        snprintf(name, sizeof name, "./s%d", i);
        unlink(name);
    }
    unlink("script");
    unlink("plain");
    unlink("run");
    rmdir(directory);
    return 0;
}

/* What exec hands over: arguments, environment, and the auxiliary vector as far as it is the same
 * everywhere. */
#include <elf.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>

int main(int argc, char **argv, char **envp)
{
    printf("argc %d\n", argc);
    for (int i = 0; i < argc; i++)
        printf("argv %d <%s>\n", i, argv[i]);
    printf("end of argv %d\n", argv[argc] == NULL);
    for (char **env = envp; *env; env++)
        printf("env <%s>\n", *env);
    printf("page size %lu\n", getauxval(AT_PAGESZ));
    printf("phent %lu\n", getauxval(AT_PHENT));
    printf("phdr in image %d\n", getauxval(AT_PHDR) != 0);
    printf("entry %d\n", getauxval(AT_ENTRY) != 0);
    printf("secure %lu\n", getauxval(AT_SECURE));
    printf("clock ticks %lu\n", getauxval(AT_CLKTCK));
    printf("random %d\n", getauxval(AT_RANDOM) != 0);
    printf("stack aligned %d\n", ((unsigned long)argv & 7) == 0);
    return argc;
}

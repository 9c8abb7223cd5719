/* Dies of what its first argument says, with nobody to handle it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "segv";
    printf("about to die of %s\n", how);
    fflush(stdout);
    if (strcmp(how, "segv") == 0)
        *(volatile int *)16 = 1;
    else if (strcmp(how, "ill") == 0)
        __asm__ volatile("ud2");
    else if (strcmp(how, "fpe") == 0) {
        volatile int zero = 0;
        printf("%d\n", 1 / zero);
    } else if (strcmp(how, "kill") == 0)
        kill(getpid(), SIGKILL);
    else if (strcmp(how, "term") == 0)
        raise(SIGTERM);
    printf("still there\n");
    return 0;
}

/* Exits with the status in its first argument, after exit handlers; with "abort", aborts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void handler(void)
{
    printf("exit handler\n");
}

int main(int argc, char **argv)
{
    atexit(handler);
    if (argc < 2)
        return 3;
    if (strcmp(argv[1], "abort") == 0)
        abort();
    return atoi(argv[1]);
}

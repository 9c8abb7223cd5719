/* The least that uses stdio: both outputs, buffered and not. */
#include <stdio.h>

int main(void)
{
    printf("hello, world\n");
    fprintf(stderr, "hello, error\n");
    printf("%d %s %5.2f\n", 42, "words", 3.14159);
    return 0;
}

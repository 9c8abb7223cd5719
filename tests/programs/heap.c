/* brk and malloc: growth, shrinking, content. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    char *start = sbrk(0);
    printf("grow %d\n", sbrk(10 * 4096) == start);
    printf("zero %d %d\n", start[0], start[10 * 4096 - 1]);
    memset(start, 'x', 10 * 4096);
    printf("shrink %d\n", brk(start + 4096));
    printf("kept %c\n", start[4095]);
    printf("grow again %d\n", brk(start + 10 * 4096));
    printf("zero again %d\n", start[4096]);
    printf("back %d\n", brk(start));

    unsigned long sum = 0;
    char *block[200];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 200; i++) {
            size_t size = 16 + (size_t)i * i;
            block[i] = malloc(size);
            memset(block[i], i, size);
        }
        for (int i = 0; i < 200; i += 2)
            block[i] = realloc(block[i], 100);
        for (int i = 0; i < 200; i++) {
            sum = sum * 31 + (unsigned char)block[i][15];
            free(block[i]);
        }
    }
    char *large = malloc(1 << 20);
    for (size_t i = 0; i < 1 << 20; i += 4096)
        large[i] = (char)(i >> 12);
    for (size_t i = 0; i < 1 << 20; i += 4096)
        sum += (unsigned char)large[i];
    free(large);
    printf("sum %lx\n", sum);
    return 0;
}

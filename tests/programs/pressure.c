/* Fills more memory than the machine has with a pattern and looks at every word of it, the page that was
   written last first; then changes every third page and looks again. Arguments: pages. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 4096L
#define WORDS (PAGE / 8)

static uint64_t word(long page, long at, uint64_t round)
{
    return (uint64_t)page * 0x9e3779b97f4a7c15 ^ (uint64_t)at << 20 ^ round << 50;
}

static void fill(uint64_t *page, long number, uint64_t round)
{
    for (long at = 0; at < WORDS; at++)
        page[at] = word(number, at, round);
}

static long wrong_words(const uint64_t *page, long number, uint64_t round)
{
    long wrong = 0;
    for (long at = 0; at < WORDS; at++)
        wrong += page[at] != word(number, at, round);
    return wrong;
}

int main(int argc, char **argv)
{
    long pages = argc > 1 ? strtol(argv[1], NULL, 0) : 100;
    char *memory = malloc((pages + 1) * PAGE);
    if (!memory) {
        perror("malloc");
        return 2;
    }
    uint64_t *first = (uint64_t *)(((uintptr_t)memory + PAGE - 1) & -PAGE);
    long wrong = 0;
    for (long page = 0; page < pages; page++)
        fill(first + page * WORDS, page, 1);
    for (long page = pages - 1; page >= 0; page--)
        wrong += wrong_words(first + page * WORDS, page, 1);
    for (long page = 0; page < pages; page += 3)
        fill(first + page * WORDS, page, 2);
    for (long page = 0; page < pages; page++)
        wrong += wrong_words(first + page * WORDS, page, page % 3 ? 1 : 2);
    free(memory);
    printf("%ld pages, wrong words: %ld\n", pages, wrong);
    return wrong != 0;
}

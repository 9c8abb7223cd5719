/* What the CPU says it is. */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    unsigned a, b, c, d, name[13] = { 0 };
    for (unsigned i = 0; i < 3; i++) {
        __cpuid(0x80000002 + i, a, b, c, d);
        memcpy(name + 4 * i, (unsigned[]){ a, b, c, d }, 16);
    }
    printf("name <%s>\n", (char *)name);
    __cpuid(1, a, b, c, d);
    printf("SSE4.2 %u XSAVE %u AVX %u RDRAND %u\n", c >> 20 & 1, c >> 26 & 1, c >> 28 & 1, c >> 30 & 1);
    return 0;
}

/* A thread cannot be had here, and that is an error like any other. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void *thread(void *arg)
{
    return arg;
}

int main(void)
{
    pthread_t id;
    int error = pthread_create(&id, NULL, thread, "ran");
    if (error) {
        printf("no thread: %s\n", strerror(error));
    } else {
        void *said;
        pthread_join(id, &said);
        puts(said);
    }
    return 0;
}

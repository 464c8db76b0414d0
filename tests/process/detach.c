/* Ends the process if one thread detaches another. To be preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int pthread_detach(pthread_t thread) {
    if (!pthread_equal(thread, pthread_self())) {
        fputs("a thread was detached by another one\n", stderr);
        abort();
    }
    int (*detach)(pthread_t) = (int (*)(pthread_t))dlsym(RTLD_NEXT, "pthread_detach");
    return detach(thread);
}

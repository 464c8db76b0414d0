/* Lets the first three connects to Unix sockets be interrupted by a signal. To be preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>

int connect(int socket, const struct sockaddr *address, socklen_t length) {
    static atomic_int interrupted;
    if (address->sa_family == AF_UNIX && atomic_fetch_add(&interrupted, 1) < 3) {
        errno = EINTR;
        return -1;
    }
    int (*connects)(int, const struct sockaddr *, socklen_t);
    connects = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    return connects(socket, address, length);
}

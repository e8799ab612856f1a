#include "proxy/app_ports.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "codec/proc_tcp.h"

const char *const app_ports_proc[] = {"/proc/self/net/tcp", "/proc/self/net/tcp6", NULL};

static uint64_t bit_of(uint16_t port)
{
    return UINT64_C(1) << (port % 64);
}

bool app_ports_have(const struct app_ports *ports, uint16_t port)
{
    return atomic_load_explicit(&ports->words[port / 64], memory_order_relaxed) & bit_of(port);
}

static bool is_own(const struct app_ports *ports, uint16_t port)
{
    for (unsigned i = 0; i < ports->own_count; i++)
        if (ports->own[i] == port)
            return true;
    return false;
}

/* Looks first: the line of the cache stays shared between workers once the port is known. */
void app_ports_use(struct app_ports *ports, uint16_t port)
{
    if (!app_ports_have(ports, port) && !is_own(ports, port))
        atomic_fetch_or_explicit(&ports->words[port / 64], bit_of(port), memory_order_relaxed);
}

void app_ports_add_own(struct app_ports *ports, uint16_t port)
{
    assert(ports->own_count < OWN_PORTS_MAX);
    ports->own[ports->own_count++] = port;
}

bool app_ports_none(const struct app_ports *ports)
{
    for (unsigned i = 0; i < APP_PORTS_WORDS; i++)
        if (atomic_load_explicit(&ports->words[i], memory_order_relaxed))
            return false;
    return true;
}

/* The whole lines of what was read. 1: one of the ports is listened on; 0: not in these; -ENODATA: the listening ones are over. */
static int look_at_lines(const struct app_ports *ports, struct slice *rest)
{
    size_t end;

    while ((end = slice_find(*rest, '\n')) < rest->len) {
        uint16_t port;

        switch (proc_tcp_line(slice_take(*rest, end), &port)) {
        case PROC_TCP_LISTENS:
            if (app_ports_have(ports, port))
                return 1;
            break;
        case PROC_TCP_OTHER:
            return -ENODATA;
        case PROC_TCP_NONE:
            break;
        }
        *rest = slice_skip(*rest, end + 1);
    }
    return 0;
}

static int look_at_file(const struct app_ports *ports, int fd)
{
    char bytes[8192];
    size_t kept = 0, total = 0;

    for (;;) {
        ssize_t n = read(fd, bytes + kept, sizeof(bytes) - kept);
        struct slice rest;
        int r;

        if (n <= 0)
            return n < 0 ? -errno : 0;
        total += (size_t)n;
        rest = slice_of(bytes, kept + (size_t)n);
        r = look_at_lines(ports, &rest);
        if (r != 0)
            return r == -ENODATA ? 0 : r;
        if (total > LIMIT_PROC_TCP || rest.len == sizeof(bytes))
            return 1;
        memmove(bytes, rest.ptr, rest.len);
        kept = rest.len;
    }
}

int app_ports_listening(const struct app_ports *ports, const char *const *paths)
{
    int result = -ENOENT;

    for (; *paths; paths++) {
        int fd = open(*paths, O_RDONLY | O_CLOEXEC), r;

        if (fd < 0)
            continue; /* no tcp6 where IPv6 is off */
        r = look_at_file(ports, fd);
        close(fd);
        if (r == 1)
            return 1;
        if (r == 0 || result == -ENOENT)
            result = r;
    }
    return result;
}

/* One program under several names; see README.md. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cni/plugin.h"

/* Descriptors 0 to 2 exist, so that nothing that is opened later can be mistaken for them. */
static void keep_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 2);
    if (fd > 2)
        close(fd);
}

int main(int argc, char *argv[])
{
    keep_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("linkerd-cni " CLINKERD_VERSION);
        return 0;
    }
    return plugin_main();
}

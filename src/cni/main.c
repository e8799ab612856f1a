/* One program under several names; see README.md. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cni/agents.h"
#include "cni/install.h"
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

static const struct {
    const char *name; /* the last part of the path that it is called by */
    int (*run)(int argc, char *argv[]);
} programs[] = {
    {"linkerd2-cni-install", install_main},
    {"linkerd-cni-repair-controller", repair_main},
    {"linkerd-cni-taint-controller", taint_main},
};

static const char *name_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "";
}

int main(int argc, char *argv[])
{
    keep_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("linkerd-cni " CLINKERD_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (strcmp(name_of(argv[0]), programs[i].name) == 0)
            return programs[i].run(argc, argv);
    return plugin_main();
}

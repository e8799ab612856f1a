#include "proxy/image/names.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    image_main *main;
} programs[] = {
    {"linkerd2-proxy-identity", image_identity_main},
    {"linkerd2-proxy-run", image_run_main},
    {"linkerd-await", image_await_main},
    {"sleep", image_sleep_main},
    {"bash", image_bash_main},
};

image_main *image_main_of(const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
    const char *name = slash ? slash + 1 : argv0 ? argv0 : "";

    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (strcmp(name, programs[i].name) == 0)
            return programs[i].main;
    return NULL;
}

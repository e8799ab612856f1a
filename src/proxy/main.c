/* linkerd-proxy: reads the environment, runs (control.h), and ends when told (shutdown.h). Other names: image/names.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/descriptors.h"
#include "proxy/control.h"
#include "proxy/image/names.h"
#include "proxy/variables.h"

enum { PROBLEMS_MAX = 64 * 1024 };

static const char *from_environment(void *owner, const char *name)
{
    return getenv(name);
}

static int read_config(struct config *config)
{
    struct buffer problems, warnings;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int r;

    buffer_init(&problems, PROBLEMS_MAX);
    buffer_init(&warnings, PROBLEMS_MAX);
    variables_warn_unknown((const char *const *)environ, &warnings);
    r = config_read(from_environment, NULL, cpus > 0 ? (unsigned)cpus : 1, &problems, &warnings, config);
    if (r < 0)
        fprintf(stderr, "linkerd-proxy: the environment is not valid:\n%.*s", SLICE_ARGS(buffer_slice(&problems)));
    else if (warnings.len)
        fprintf(stderr, "%.*s", SLICE_ARGS(buffer_slice(&warnings)));
    buffer_release(&problems);
    buffer_release(&warnings);
    return r;
}

int main(int argc, char **argv)
{
    image_main *other = image_main_of(argc > 0 ? argv[0] : NULL);
    struct control *control;
    struct config config;
    int status;

    descriptors_prepare();
    if (other)
        return other(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("linkerd-proxy %s\n", CLINKERD_VERSION);
        return 0;
    }
    if (read_config(&config) < 0)
        return EXIT_CONFIG;
    status = control_new(sys_linux(), &config, STDOUT_FILENO, &control);
    if (status != 0)
        return status;
    status = control_start(control);
    if (status == 0)
        status = control_run(control);
    control_free(control);
    return status;
}

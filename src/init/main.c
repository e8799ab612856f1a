/* One program under several names; see README.md. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "init/options.h"
#include "init/setup.h"
#include "init/validate.h"

enum { STATUS_FAILED = 1, STATUS_USAGE = 2 };

/* Descriptors 0 to 2 exist, so that nothing that is opened later can be mistaken for them. */
static void keep_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 2);
    if (fd > 2)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void print(FILE *to, struct buffer *text)
{
    fwrite(text->data, 1, text->len, to);
    fflush(to);
}

static int help(void)
{
    struct buffer text;

    buffer_init(&text, 64 * 1024);
    options_help(&text);
    print(stdout, &text);
    buffer_release(&text);
    return 0;
}

static int init_main(int argc, char *const argv[])
{
    struct options options;
    struct buffer problems;
    bool want_help = false;
    int status, r;

    buffer_init(&problems, 1 << 20);
    r = options_parse(argc, argv, &problems, &want_help, &options);
    if (want_help) {
        status = help();
    } else if (options.version) {
        puts("linkerd-init " CLINKERD_VERSION);
        status = 0;
    } else if (r < 0) {
        print(stderr, &problems);
        status = STATUS_USAGE;
    } else {
        struct journal log = {stderr, options.log_level, options.log_json};

        signal(SIGPIPE, SIG_IGN);
        status = setup_run(&options, &log) < 0 ? STATUS_FAILED : 0;
    }
    options_release(&options);
    buffer_release(&problems);
    return status;
}

int main(int argc, char *argv[])
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";

    keep_standard_descriptors();
    if (strstr(name, "validator"))
        return validate_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "validate") == 0)
        return validate_main(argc - 1, argv + 1);
    return init_main(argc, argv);
}

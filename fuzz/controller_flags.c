/* A command line of linkerd-controller, one word to a line: it is refused with a line for each mistake, or what it says is within bounds. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_WORDS_MAX = 300, TEXT_MAX = 1 << 20 };

static void accepted(const struct settings *settings)
{
    const struct controller_options *options = &settings->options;

    if (settings->help || settings->version)
        return;
    assert(settings->components);
    assert(options->cluster_network_count <= CONTROLLER_NETWORKS_MAX && options->probe_network_count <= CONTROLLER_NETWORKS_MAX);
    for (size_t i = 0; i < options->opaque_port_count; i++)
        assert(options->opaque_ports[i].first <= options->opaque_ports[i].last);
    assert(settings->issuance_lifetime_ns > 0 && settings->clock_skew_ns >= 0 && settings->grace_ns >= 0);
    assert(options->queue_capacity > 0);
}

static void read_line(int count, char *const words[])
{
    struct buffer problems, notes;
    struct settings settings;
    int r;

    buffer_init(&problems, TEXT_MAX);
    buffer_init(&notes, TEXT_MAX);
    r = settings_read(&settings, count, words, &problems, &notes);
    assert(r == 0 || r == -EINVAL);
    if (r == 0)
        accepted(&settings);
    else
        assert(problems.len && problems.data[problems.len - 1] == '\n');
    settings_release(&settings);
    buffer_release(&problems);
    buffer_release(&notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *words[LINE_WORDS_MAX + 2], program[] = "linkerd-controller";
    int count = 0;

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    words[count++] = program;
    text[size] = '\0';
    for (char *at = text, *end; at && count <= LINE_WORDS_MAX; at = end ? end + 1 : NULL) {
        end = strchr(at, '\n');
        if (end)
            *end = '\0';
        words[count++] = at;
    }
    words[count] = NULL;
    read_line(count, words);
    free(text);
    return 0;
}

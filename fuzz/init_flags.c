/* The command line of linkerd-init, one word to a line: annotations of pods end up there. */
#include <assert.h>
#include <stdlib.h>

#include "init/options.h"

enum { WORDS_MAX = 32 };

static void check(const struct options *options)
{
    const struct redirect *redirect = &options->redirect;

    assert(options->remove || (redirect->inbound_port && redirect->outbound_port));
    for (size_t i = 0; i < redirect->skip_inbound_count; i++)
        assert(redirect->skip_inbound[i].first <= redirect->skip_inbound[i].last);
    for (size_t i = 0; i < redirect->skip_networks_count; i++)
        assert(redirect->skip_networks[i].prefix <= (redirect->skip_networks[i].ip.version == 4 ? 32 : 128));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *words[WORDS_MAX + 1] = {(char *)"linkerd-init"};
    struct options options;
    struct buffer problems;
    int count = 1;
    bool help;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *at = text, *end; at && count < WORDS_MAX; at = end ? end + 1 : NULL) {
        end = strchr(at, '\n');
        if (end)
            *end = '\0';
        words[count++] = at;
    }
    buffer_init(&problems, 1 << 20);
    if (options_parse(count, words, &problems, &help, &options) == 0 && !options.version)
        check(&options);
    options_release(&options);
    buffer_release(&problems);
    free(text);
    return 0;
}

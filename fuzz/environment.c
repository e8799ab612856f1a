/* The proxy's environment, one NAME=value to a line: annotations of pods end up there. Every mistake is told by name. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define P "LINKERD2_PROXY_"

/* Without these nothing else would be looked at. */
static const char *const least[][2] = {
    {P "DESTINATION_SVC_ADDR", "localhost.:8086"}, {P "IDENTITY_SVC_ADDR", "localhost.:8080"},
    {P "IDENTITY_LOCAL_NAME", "web.ns.serviceaccount.identity.linkerd.cluster.local"},
    {P "IDENTITY_TRUST_ANCHORS", "PEM"}, {P "IDENTITY_TOKEN_FILE", "/token"}, {P "IDENTITY_DIR", "/dir"},
};

/* The input with a NUL in place of each end of line, and one behind it. */
struct lines {
    char *text;
    size_t size;
};

static const char *lookup(void *owner, const char *name)
{
    const struct lines *lines = owner;
    size_t len = strlen(name);

    for (size_t at = 0; at < lines->size; at += strlen(lines->text + at) + 1)
        if (strncmp(lines->text + at, name, len) == 0 && lines->text[at + len] == '=')
            return lines->text + at + len + 1;
    for (size_t i = 0; i < sizeof(least) / sizeof(least[0]); i++)
        if (strcmp(least[i][0], name) == 0)
            return least[i][1];
    return NULL;
}

static void check(const struct config *config)
{
    for (size_t i = 0; i < config->inbound_ports.count; i++)
        assert(config->inbound_ports.items[i].first <= config->inbound_ports.items[i].last);
    assert(config->workers > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines lines = {malloc(size + 1), size};
    struct buffer problems, warnings;
    struct config config;

    if (!lines.text)
        return 0;
    memcpy(lines.text, data, size);
    lines.text[size] = '\0';
    for (size_t i = 0; i < size; i++)
        if (lines.text[i] == '\n')
            lines.text[i] = '\0';
    buffer_init(&problems, 1 << 20);
    buffer_init(&warnings, 1 << 20);
    if (config_read(lookup, &lines, 4, &problems, &warnings, &config) == 0) {
        check(&config);
        config_release(&config);
    } else {
        assert(slice_starts(buffer_slice(&problems), slice_str(P))); /* by name */
    }
    buffer_release(&problems);
    buffer_release(&warnings);
    free(lines.text);
    return 0;
}

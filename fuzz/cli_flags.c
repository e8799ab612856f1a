/* A command line of `linkerd`, one word to a line: each value is a word's own or the table's, and each refusal has a sentence. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/flags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_WORDS_MAX = 300 };

struct options {
    bool quiet;
    const char *output, *name;
    int64_t wait_ns;
    struct words files;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"quiet", 'q', FLAG_SWITCH, AT(quiet), NULL, NULL, NULL, "say less"},
    {"output", 'o', FLAG_CHOICE, AT(output), "table", "table|json", "FORM", "what is printed"},
    {"name", 0, FLAG_TEXT, AT(name), "", NULL, "NAME", "a name"},
    {"wait", 'w', FLAG_DURATION, AT(wait_ns), "5s", NULL, "TIME", "how long"},
    {"file", 'f', FLAG_LIST, AT(files), NULL, NULL, "FILE", "a file"},
    {"later", 0, FLAG_LATER, 0, NULL, NULL, NULL, "not yet"},
};

static void parse(int count, char *const words[])
{
    struct flag_table table = {flags, sizeof(flags) / sizeof(flags[0])};
    struct words arguments = {.count = 0};
    struct options options = {0};
    struct errmsg msg = {""};
    bool help = false;
    int r = flags_parse(table, count, words, &options, &msg, &arguments, &help);

    if (r < 0) {
        assert((r == -EINVAL || r == -ENOSYS) && msg.text[0]);
        return;
    }
    if (help)
        return;
    assert(strcmp(options.output, "table") == 0 || strcmp(options.output, "json") == 0);
    assert(options.name && options.wait_ns >= 0);
    assert(arguments.count <= (size_t)count && options.files.count <= (size_t)count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *words[LINE_WORDS_MAX + 1];
    int count = 0;

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    for (char *at = text, *end; at && count < LINE_WORDS_MAX; at = end ? end + 1 : NULL) {
        end = strchr(at, '\n');
        if (end)
            *end = '\0';
        words[count++] = at;
    }
    words[count] = NULL;
    parse(count, words);
    free(text);
    return 0;
}

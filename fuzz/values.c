/*
 * Values of charts: whatever the bytes are, a file of values, an argument of --set and what is made of the two end within their limits.
 * Before a NUL byte stands the argument, behind it the file.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "cli/chart/values.h"

static json_t *read_file(struct slice text)
{
    struct errmsg msg = {""};
    json_t *values = NULL;
    int r = values_read(text, "f", NUMBERS_AS_REALS, &msg, &values);

    assert(r == 0 || (msg.text[0] && !values));
    assert(r < 0 || json_is_object(values));
    return r == 0 ? values : json_object();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of(data, size), file = slice_skip(all, slice_find(all, '\0') + 1);
    char *argument = slice_dup(slice_take(all, slice_find(all, '\0')));
    json_t *values = read_file(file), *defaults = read_file(file);
    struct errmsg msg = {""};
    int r;

    for (enum values_set how = SET_TYPED; argument && how <= SET_STRING; how++) {
        r = values_set(values, argument, how, &msg);
        assert(r == 0 || r == -ENOMEM || msg.text[0]);
    }
    r = values_complete(values, defaults);
    assert(r == 0);
    r = values_merge(values, defaults);
    assert(r == 0);
    json_decref(values);
    json_decref(defaults);
    free(argument);
    return 0;
}

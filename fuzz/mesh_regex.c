/*
 * A pattern (first line) and a value (the rest), in both modes. What is accepted must match as a plain search by the
 * engine says: the policy's by comparing the leftmost match with the whole value, the profile's by its anchored text.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/limits.h"
#include "mesh/regex.h"

enum { OPTIONS = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY };

/* 1, 0, or -1 when the engine gave up. */
static int search(struct slice pattern, struct slice value, bool whole)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    pcre2_code *code;
    PCRE2_SIZE offset;
    int error, r;

    code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, (uint32_t)OPTIONS, &error, &offset, NULL);
    assert(data && context && code);
    pcre2_set_match_limit(context, LIMIT_REGEX_MATCH);
    r = pcre2_match(code, (PCRE2_SPTR)value.ptr, value.len, 0, 0, data, context);
    if (r >= 0) {
        PCRE2_SIZE *found = pcre2_get_ovector_pointer(data);

        r = !whole || (found[0] == 0 && found[1] == value.len);
    } else {
        r = r == PCRE2_ERROR_NOMATCH ? 0 : -1;
    }
    pcre2_code_free(code);
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    return r;
}

static void check(struct slice pattern, struct slice value, enum regex_mode mode, struct regex_scratch *scratch)
{
    char anchored[LIMIT_REGEX_LENGTH + 3];
    struct errmsg msg = {""};
    struct regex *regex;
    int r, expected;

    r = regex_new(pattern, mode, &msg, &regex);
    if (r < 0) {
        assert((r == -EINVAL || r == -E2BIG) && msg.text[0]);
        return;
    }
    r = regex_match(regex, value, scratch);
    assert(r == 0 || r == 1 || r == -EOVERFLOW);
    regex_free(regex);
    if (mode == REGEX_PROFILE) {
        int len;

        while (pattern.len && strchr(" \t\r\n\v\f", pattern.ptr[0]))
            pattern = slice_skip(pattern, 1);
        while (pattern.len && strchr(" \t\r\n\v\f", pattern.ptr[pattern.len - 1]))
            pattern.len--;
        len = snprintf(anchored, sizeof(anchored), "%s%.*s%s", slice_starts(pattern, SLICE_LIT("^")) ? "" : "^",
                       SLICE_ARGS(pattern), slice_ends(pattern, SLICE_LIT("$")) ? "" : "$");
        pattern = slice_of(anchored, (size_t)len);
    }
    if (r < 0 || !slice_is_utf8(value))
        return;
    expected = search(pattern, value, mode == REGEX_POLICY);
    assert(expected < 0 || expected == r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    size_t line = slice_find(input, '\n');
    /* Copies, so that reading past an end is seen. */
    char *pattern = malloc(line + 1), *value = malloc(size - line + 1);
    size_t value_len = slice_skip(input, line + 1).len;
    struct regex_scratch *scratch = regex_scratch_new();

    if (pattern && value && scratch) {
        memcpy(pattern, input.ptr ? input.ptr : "", line);
        memcpy(value, slice_skip(input, line + 1).ptr ? slice_skip(input, line + 1).ptr : "", value_len);
        check(slice_of(pattern, line), slice_of(value, value_len), REGEX_POLICY, scratch);
        check(slice_of(pattern, line), slice_of(value, value_len), REGEX_PROFILE, scratch);
    }
    regex_scratch_free(scratch);
    free(pattern);
    free(value);
    return 0;
}

#include "mesh/regex.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/limits.h"
#include "base/mutation.h"

/* `$` only at the very end, \d and the like by Unicode, values that are no UTF-8 match around their bad bytes only. */
#define OPTIONS (PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C)

struct regex {
    pcre2_code *code;
    bool whole; /* the match must reach to the value's end */
};

struct regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

struct regex_scratch *regex_scratch_new(void)
{
    struct regex_scratch *scratch = calloc(1, sizeof(*scratch));

    if (!scratch)
        return NULL;
    scratch->data = pcre2_match_data_create(1, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    if (!scratch->data || !scratch->context) {
        regex_scratch_free(scratch);
        return NULL;
    }
    pcre2_set_match_limit(scratch->context, LIMIT_REGEX_MATCH);
    pcre2_set_depth_limit(scratch->context, LIMIT_REGEX_DEPTH);
    pcre2_set_heap_limit(scratch->context, LIMIT_REGEX_HEAP_KIB);
    return scratch;
}

void regex_scratch_free(struct regex_scratch *scratch)
{
    if (!scratch)
        return;
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->context);
    free(scratch);
}

/* White space as the profile's reader trims it. */
static struct slice trim(struct slice s)
{
    while (s.len && strchr(" \t\r\n\v\f", s.ptr[0]))
        s = slice_skip(s, 1);
    while (s.len && strchr(" \t\r\n\v\f", s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static int compile(const char *pattern, size_t len, uint32_t options, struct errmsg *msg, pcre2_code **ret_code)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    PCRE2_SIZE offset;
    int error;

    if (!context)
        return -ENOMEM;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, LIMIT_REGEX_PARENS);
    *ret_code = pcre2_compile((PCRE2_SPTR)pattern, len, options, &error, &offset, context);
    pcre2_compile_context_free(context);
    if (!*ret_code) {
        PCRE2_UCHAR text[128];

        pcre2_get_error_message(error, text, sizeof(text));
        return errmsg_set(msg, -EINVAL, "regular expression: %s at position %zu", (char *)text, (size_t)offset + 1);
    }
    return 0;
}

static bool is_anchored(const pcre2_code *code)
{
    uint32_t options = 0;

    pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options);
    return options & PCRE2_ANCHORED;
}

/*
 * A search is turned into one match from the start, by taking as little as possible before the expression: it finds
 * the same, and the match limit holds for all of it and not for each place where the search could begin.
 */
static int compile_search(struct slice pattern, struct errmsg *msg, pcre2_code **ret_code)
{
    bool head = pattern.len && pattern.ptr[0] == '^';
    bool tail = pattern.len && pattern.ptr[pattern.len - 1] == '$';
    char text[LIMIT_REGEX_LENGTH + 32];
    int len, r;

    len = snprintf(text, sizeof(text), "(?s:.*?)(?:%s%.*s%s)", head ? "" : "^", SLICE_ARGS(pattern),
                   tail ? "" : "$");
    assert(len > 0 && (size_t)len < sizeof(text));
    /* The expression alone first: errors speak of it, and often it is anchored by itself. */
    r = compile(text + 11, (size_t)len - 12, OPTIONS, msg, ret_code);
    if (r < 0 || is_anchored(*ret_code))
        return r;
    pcre2_code_free(*ret_code);
    return compile(text, (size_t)len, OPTIONS | PCRE2_ANCHORED, msg, ret_code);
}

int regex_new(struct slice pattern, enum regex_mode mode, struct errmsg *msg, struct regex **ret_regex)
{
    struct regex *regex;
    int r;

    if (pattern.len > LIMIT_REGEX_LENGTH)
        return errmsg_set(msg, -E2BIG, "regular expression: longer than %d bytes", LIMIT_REGEX_LENGTH);
    if (mode == REGEX_PROFILE)
        pattern = trim(pattern);
    r = regex_inspect(pattern, msg);
    if (r < 0)
        return r;
    regex = calloc(1, sizeof(*regex));
    if (!regex)
        return -ENOMEM;
    regex->whole = mode == REGEX_POLICY;
    /*
     * A leftmost match that spans the whole value begins at its start; if one begins there at all, it is the
     * leftmost. So it is enough to look there.
     */
    r = mode == REGEX_POLICY ? compile(pattern.ptr ? pattern.ptr : "", pattern.len, OPTIONS | PCRE2_ANCHORED, msg,
                                       &regex->code)
                             : compile_search(pattern, msg, &regex->code);
    if (r < 0) {
        free(regex);
        return r;
    }
    *ret_regex = regex;
    return 0;
}

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex);
}

int regex_match(const struct regex *regex, struct slice value, struct regex_scratch *scratch)
{
    int r = pcre2_match(regex->code, (PCRE2_SPTR)(value.ptr ? value.ptr : ""), value.len, 0, 0, scratch->data,
                        scratch->context);

    if (r >= 0)
        return !regex->whole || mutation("pattern-matches-a-part") || pcre2_get_ovector_pointer(scratch->data)[1] == value.len;
    switch (r) {
    case PCRE2_ERROR_NOMATCH: return 0;
    case PCRE2_ERROR_NOMEMORY: return -ENOMEM;
    default: return -EOVERFLOW; /* match, depth or heap limit; whatever else keeps the engine from an answer */
    }
}

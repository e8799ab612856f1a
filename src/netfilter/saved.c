#include "netfilter/saved.h"

#include <errno.h>

static const struct {
    struct slice name, origin;
} chains[CHAIN_COUNT] = {
    [CHAIN_REDIRECT] = {{"PROXY_INIT_REDIRECT", 19}, {"PREROUTING", 10}},
    [CHAIN_OUTPUT] = {{"PROXY_INIT_OUTPUT", 17}, {"OUTPUT", 6}},
};

const char *chain_name(enum chain chain)
{
    return chains[chain].name.ptr;
}

const char *chain_origin(enum chain chain)
{
    return chains[chain].origin.ptr;
}

/* The word at the front of *rest, which then begins at the next one. Quoted words keep their quotes. */
static struct slice next_word(struct slice *rest)
{
    struct slice all = slice_trim(*rest);
    size_t end = 0;
    bool quoted = false;

    while (end < all.len && (quoted || all.ptr[end] != ' ')) {
        if (all.ptr[end] == '\\' && quoted && end + 1 < all.len)
            end++;
        else if (all.ptr[end] == '"')
            quoted = !quoted;
        end++;
    }
    *rest = slice_skip(all, end);
    return slice_take(all, end);
}

/* Where a rule goes: the word behind its -j or -g, or nothing. */
static struct slice rule_target(struct slice rule)
{
    while (rule.len) {
        struct slice word = next_word(&rule);

        if (slice_eq(word, SLICE_LIT("-j")) || slice_eq(word, SLICE_LIT("-g")))
            return next_word(&rule);
    }
    return SLICE_NULL;
}

static int note_rule(struct saved *saved, struct slice line)
{
    struct slice body = slice_skip(line, 3), rest = body;
    struct slice in = next_word(&rest), target = rule_target(rest);

    for (int i = 0; i < CHAIN_COUNT; i++) {
        struct saved_chain *chain = &saved->chain[i];

        if (slice_eq(in, chains[i].name)) {
            if (chain->rules++ == 0)
                chain->first_rule = line;
            chain->last_rule = line;
        }
        if (slice_eq(in, chains[i].origin) && slice_eq(target, chains[i].name)) {
            if (chain->jumps == SAVED_JUMPS_MAX)
                return -E2BIG;
            chain->jump[chain->jumps++] = body;
        }
    }
    return 0;
}

static void note_chain(struct saved *saved, struct slice line)
{
    struct slice rest = slice_skip(line, 1), name = next_word(&rest);

    for (int i = 0; i < CHAIN_COUNT; i++)
        if (slice_eq(name, chains[i].name))
            saved->chain[i].exists = true;
}

static bool contains(struct slice text, struct slice what)
{
    return slice_find_slice(text, what) < text.len;
}

static int note_comment(struct saved *saved, struct slice line)
{
    if (contains(line, SLICE_LIT("Table `nat' is incompatible")))
        return -EPROTO;
    if (contains(line, SLICE_LIT("iptables-legacy tables present")) ||
        contains(line, SLICE_LIT("ip6tables-legacy tables present")))
        saved->other_backend = true;
    return 0;
}

int saved_read(struct slice text, struct saved *ret_saved)
{
    struct saved saved = {0};
    bool in_nat = false;
    struct slice line;
    int r = 0;

    while (r == 0 && slice_split(&text, '\n', &line)) {
        line = slice_trim(line);
        if (line.len == 0)
            continue;
        if (line.ptr[0] == '#')
            r = note_comment(&saved, line);
        else if (line.ptr[0] == '*')
            in_nat = slice_eq(line, SLICE_LIT("*nat"));
        else if (in_nat && line.ptr[0] == ':')
            note_chain(&saved, line);
        else if (in_nat && slice_starts(line, SLICE_LIT("-A ")))
            r = note_rule(&saved, line);
    }
    if (r == 0)
        *ret_saved = saved;
    return r;
}

bool saved_has_rules(const struct saved *saved)
{
    for (int i = 0; i < CHAIN_COUNT; i++)
        if (saved->chain[i].exists || saved->chain[i].jumps)
            return true;
    return false;
}

/* The table. */
#include "template/words.h"

enum { ANY = WORD_ARGUMENTS };

/* scripts/embed-chart reads the names here: one row, one line. */
static const struct word words[] = {
    {"and", 1, ANY, NULL},
    {"b64enc", 1, 1, word_b64enc},
    {"default", 2, 2, word_default},
    {"dict", 0, ANY, word_dict},
    {"empty", 1, 1, word_empty},
    {"eq", 2, ANY, word_eq},
    {"fail", 1, 1, word_fail},
    {"ge", 2, 2, word_ge},
    {"gt", 2, 2, word_gt},
    {"hasPrefix", 2, 2, word_has_prefix},
    {"include", 2, 2, NULL},
    {"indent", 2, 2, word_indent},
    {"int", 1, 1, word_int},
    {"join", 2, 2, word_join},
    {"last", 1, 1, word_last},
    {"le", 2, 2, word_le},
    {"len", 1, 1, word_len},
    {"list", 0, ANY, word_list},
    {"lookup", 4, 4, word_lookup},
    {"lt", 2, 2, word_lt},
    {"merge", 2, ANY, word_merge},
    {"ne", 2, 2, word_ne},
    {"nindent", 2, 2, word_nindent},
    {"not", 1, 1, word_not},
    {"omit", 1, ANY, word_omit},
    {"or", 1, ANY, NULL},
    {"printf", 1, ANY, word_printf},
    {"quote", 1, 1, word_quote},
    {"replace", 3, 3, word_replace},
    {"required", 2, 2, word_required},
    {"sha256sum", 1, 1, word_sha256sum},
    {"splitList", 2, 2, word_split_list},
    {"ternary", 3, 3, word_ternary},
    {"toJson", 1, 1, word_to_json},
    {"toString", 1, 1, word_to_string},
    {"toYaml", 1, 1, word_to_yaml},
    {"trim", 1, 1, word_trim},
    {"trimSuffix", 2, 2, word_trim_suffix},
};

const struct word *word_find(struct slice name)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (slice_eq(name, slice_str(words[i].name)))
            return &words[i];
    return NULL;
}

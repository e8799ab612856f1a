/* Words that compare and choose. */
#include <string.h>

#include "template/value.h"
#include "template/words.h"

static json_t *truth(bool value)
{
    return json_boolean(value); /* never counted */
}

json_t *word_not(struct render *x, json_t *const *args, size_t count)
{
    return truth(!value_is_true(args[0]));
}

json_t *word_empty(struct render *x, json_t *const *args, size_t count)
{
    return truth(!value_is_true(args[0]));
}

json_t *word_default(struct render *x, json_t *const *args, size_t count)
{
    return value_is_true(args[1]) ? args[1] : args[0];
}

json_t *word_ternary(struct render *x, json_t *const *args, size_t count)
{
    if (!json_is_boolean(args[2]))
        return render_fail(x, "the condition is %s: expected a boolean", value_kind(args[2]));
    return json_is_true(args[2]) ? args[0] : args[1];
}

/* Kinds that Go compares with one another: integers are not float64s. */
static int comparable(const json_t *value)
{
    return json_is_boolean(value) ? JSON_TRUE : (int)json_typeof(value);
}

/* 1, 0, or -1 with the error set. nil equals nothing but nil. */
static int equal(struct render *x, const json_t *a, const json_t *b)
{
    if (json_is_null(a) || json_is_null(b))
        return json_is_null(a) && json_is_null(b);
    if (json_is_object(a) || json_is_array(a) || comparable(a) != comparable(b)) {
        render_fail(x, "comparing %s and %s: expected two of one kind (int makes integers)", value_kind(a), value_kind(b));
        return -1;
    }
    return json_equal(a, b);
}

json_t *word_eq(struct render *x, json_t *const *args, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        int same = equal(x, args[0], args[i]);

        if (same)
            return same < 0 ? NULL : truth(true);
    }
    return truth(false);
}

json_t *word_ne(struct render *x, json_t *const *args, size_t count)
{
    int same = equal(x, args[0], args[1]);

    return same < 0 ? NULL : truth(!same);
}

/* -1, 0, 1; 2 with the error set. */
static int order(struct render *x, const json_t *a, const json_t *b)
{
    if (json_typeof(a) != json_typeof(b) || !(json_is_number(a) || json_is_string(a))) {
        render_fail(x, "comparing %s and %s: expected two numbers or texts of one kind (int makes integers)", value_kind(a),
                    value_kind(b));
        return 2;
    }
    if (json_is_string(a))
        return slice_cmp(value_text(a), value_text(b)) < 0 ? -1 : !slice_eq(value_text(a), value_text(b));
    if (json_is_integer(a))
        return (json_integer_value(a) > json_integer_value(b)) - (json_integer_value(a) < json_integer_value(b));
    return (json_real_value(a) > json_real_value(b)) - (json_real_value(a) < json_real_value(b));
}

json_t *word_lt(struct render *x, json_t *const *args, size_t count)
{
    int o = order(x, args[0], args[1]);

    return o == 2 ? NULL : truth(o < 0);
}

json_t *word_le(struct render *x, json_t *const *args, size_t count)
{
    int o = order(x, args[0], args[1]);

    return o == 2 ? NULL : truth(o <= 0);
}

json_t *word_gt(struct render *x, json_t *const *args, size_t count)
{
    int o = order(x, args[0], args[1]);

    return o == 2 ? NULL : truth(o > 0);
}

json_t *word_ge(struct render *x, json_t *const *args, size_t count)
{
    int o = order(x, args[0], args[1]);

    return o == 2 ? NULL : truth(o >= 0);
}

json_t *word_fail(struct render *x, json_t *const *args, size_t count)
{
    if (!json_is_string(args[0]))
        return render_fail(x, "the message is %s: expected a text", value_kind(args[0]));
    return render_fail(x, "%.*s", SLICE_ARGS(value_text(args[0])));
}

json_t *word_required(struct render *x, json_t *const *args, size_t count)
{
    if (json_is_null(args[1]) || (json_is_string(args[1]) && json_string_length(args[1]) == 0))
        return word_fail(x, args, 1);
    return args[1];
}

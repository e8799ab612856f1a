#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "inject/json_patch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_MAX = 512 };

/* Takes the next step off a pointer, with ~1 and ~0 as / and ~ (RFC 6901 section 4). False when it was the last. */
static bool take_step(const char **pointer, char *step)
{
    const char *at = *pointer;
    size_t len = 0;

    assert_int_equal(*at, '/');
    for (at++; *at && *at != '/'; at++) {
        assert_true(len + 1 < STEP_MAX);
        if (*at == '~') {
            at++;
            assert_true(*at == '0' || *at == '1');
            step[len++] = *at == '0' ? '~' : '/';
        } else {
            step[len++] = *at;
        }
    }
    step[len] = '\0';
    *pointer = at;
    return *at == '/';
}

static void add_to_list(json_t *list, const char *step, json_t *value)
{
    char *end;
    size_t index = strcmp(step, "-") == 0 ? json_array_size(list) : strtoul(step, &end, 10);

    assert_true(strcmp(step, "-") == 0 || (*step && *end == '\0'));
    assert_true(index <= json_array_size(list));
    assert_int_equal(json_array_insert(list, index, value), 0);
}

static void add(json_t *object, const char *pointer, json_t *value)
{
    char step[STEP_MAX];

    while (take_step(&pointer, step)) {
        object = json_is_array(object) ? json_array_get(object, strtoul(step, NULL, 10)) : json_object_get(object, step);
        assert_non_null(object);
    }
    if (json_is_array(object)) {
        add_to_list(object, step, value);
    } else {
        assert_true(json_is_object(object));
        assert_int_equal(json_object_set(object, step, value), 0);
    }
}

json_t *json_patch_apply(const json_t *object, const json_t *patch)
{
    json_t *result = json_deep_copy(object), *operation;
    size_t i;

    assert_true(json_is_array(patch));
    json_array_foreach (patch, i, operation) {
        json_t *value = json_deep_copy(json_object_get(operation, "value"));

        assert_int_equal(json_object_size(operation), 3);
        assert_string_equal(json_string_value(json_object_get(operation, "op")), "add");
        assert_non_null(value);
        add(result, json_string_value(json_object_get(operation, "path")), value);
        json_decref(value);
    }
    return result;
}

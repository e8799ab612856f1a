#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "template/schema.h"

struct example {
    const char *schema, *values, *problems; /* "" when they fit; "!..." when the schema is refused */
};

static void check(const struct example *example)
{
    json_t *schema = json_loads(example->schema, JSON_DECODE_ANY, NULL), *values = json_loads(example->values, JSON_DECODE_ANY, NULL);
    struct errmsg msg = {""};
    struct buffer problems;
    int r;

    assert_non_null(schema);
    assert_non_null(values);
    buffer_init(&problems, 65536);
    r = schema_check(schema, values, &msg, &problems);
    if (r < 0 && r != -EINVAL)
        buffer_printf(&problems, "!%s", msg.text);
    assert_int_equal(r == 0, !*example->problems);
    buffer_add_byte(&problems, '\0');
    assert_string_equal(problems.data, example->problems);
    buffer_release(&problems);
    json_decref(schema);
    json_decref(values);
}

static void test_table(void **state)
{
    static const struct example examples[] = {
        {"{}", "{\"a\": 1}", ""},
        {"{\"type\": \"object\"}", "1", "values: is 1: expected object\n"},
        {"{\"type\": [\"string\", \"integer\"]}", "1.0", ""},
        {"{\"type\": [\"string\", \"integer\"]}", "1.5", "values: is 1.5: expected string or integer\n"},
        {"{\"properties\": {\"a\": {\"type\": \"boolean\"}}}", "{\"a\": \"x\", \"b\": 1}", "a: is \"x\": expected boolean\n"},
        {"{\"properties\": {\"a\": {\"properties\": {\"b\": {\"minimum\": 1, \"maximum\": 3}}}}}", "{\"a\": {\"b\": 0}}",
         "a.b: is 0: expected at least 1\n"},
        {"{\"properties\": {\"a\": {\"maximum\": 3}}}", "{\"a\": 4.0}", "a: is 4: expected at most 3\n"},
        {"{\"additionalProperties\": false, \"properties\": {\"a\": {}}}", "{\"a\": 1, \"b\": {}}", "b: there is no such value\n"},
        {"{\"additionalProperties\": {\"type\": \"string\"}}", "{\"a\": 1, \"b\": {}}", "a: is 1: expected string: put it in quotes, or use --set-string\nb: is {}: expected string\n"},
        {"{\"required\": [\"x\"]}", "{}", "values: x is missing\n"},
        {"{\"enum\": [\"a\", 1, null]}", "1.0", ""},
        {"{\"enum\": [\"a\", 1, null]}", "\"b\"", "values: is \"b\": expected one of \"a\", 1, null\n"},
        {"{\"pattern\": \"^[0-9]+m$\"}", "\"12m\"", ""},
        {"{\"pattern\": \"^[0-9]+m$\"}", "\"12mm\"", "values: is \"12mm\": expected a text that matches ^[0-9]+m$\n"},
        {"{\"pattern\": \"^[0-9]+m$\", \"description\": \"minutes: 5m\"}", "\"12mm\"", "values: is \"12mm\": expected minutes: 5m\n"},
        {"{\"items\": {\"type\": \"string\"}}", "[\"a\", 2]", "[1]: is 2: expected string: put it in quotes, or use --set-string\n"},
        {"{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}]}", "null", ""},
        {"{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}]}", "{}", "values: is {}: is none of the kinds that this value may be\n"},
        {"{\"definitions\": {\"d\": {\"type\": \"string\"}}, \"properties\": {\"a\": {\"$ref\": \"#/definitions/d\"}}}", "{\"a\": 1}",
         "a: is 1: expected string: put it in quotes, or use --set-string\n"},
        {"{\"minLength\": 1}", "\"\"", "values: is \"\": expected a longer text\n"},
        {"{\"$ref\": \"#/nowhere\"}", "1", "!values.schema.json: $ref: #/nowhere"},
        {"{\"oneOf\": []}", "1", "!values.schema.json: oneOf: is no word of the subset that is understood here"},
        {"{\"definitions\": {\"d\": {\"$ref\": \"#/definitions/d\"}}, \"$ref\": \"#/definitions/d\"}", "1",
         "values: is too deep: expected at most 64 levels\n"},
    };

    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
        check(&examples[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

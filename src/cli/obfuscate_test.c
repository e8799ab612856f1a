#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/obfuscate.h"

static const struct {
    const char *page, *expected; /* @ stands for a digest */
} cases[] = {
    {"# HELP a Total of web\n# TYPE a counter\na 1\n", "# HELP a Total of web\n# TYPE a counter\na 1\n"},
    {"a{direction=\"inbound\",dst_namespace=\"shop\"} 1 5\n", "a{direction=\"inbound\",dst_namespace=\"@\"} 1 5\n"},
    {"a{le=\"+Inf\",unheard_of=\"x\",authority=\"\"} 2", "a{le=\"+Inf\",unheard_of=\"@\",authority=\"\"} 2\n"},
    {"a{pod=\"q\\\"}\\\\\",tls=\"true\",} 2\n", "a{pod=\"@\",tls=\"true\"} 2\n"},
    {"a{} 2\n\n\nb 3\n", "a{} 2\nb 3\n"},
    {"a{tls=\"true\"} 2 # {trace_id=\"secret\"} 3\n", "a{tls=\"true\"} 2 \n"},
    {"a{pod=\"secret\nb 1\n", "b 1\n"},
    {"a{pod=\"secret\\", ""},
    {"a{pod} 1\na{pod= 1\na{", ""},
    {"\"secret\" 1\n", ""},
};

/* Writes @ for each run of 64 hexadecimal digits. */
static const char *shorten(const struct buffer *text)
{
    static char out[1000];
    size_t len = 0;

    for (size_t i = 0; i < text->len; i++) {
        size_t run = 0;

        while (i + run < text->len && strchr("0123456789abcdef", text->data[i + run]))
            run++;
        out[len++] = run == 64 ? '@' : text->data[i];
        i += run == 64 ? 63 : 0;
    }
    out[len] = '\0';
    return out;
}

static void test_pages(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out;

        buffer_init(&out, 1 << 16);
        assert_int_equal(obfuscate(slice_str(cases[i].page), &out), 0);
        assert_string_equal(shorten(&out), cases[i].expected);
        buffer_release(&out);
    }
}

static void test_equal_names(void **state)
{
    struct buffer out;

    buffer_init(&out, 1 << 16);
    assert_int_equal(obfuscate(SLICE_LIT("a{x=\"web\",y=\"web\",z=\"api\"} 1"), &out), 0);
    assert_memory_equal(out.data + 5, out.data + 5 + 64 + 5, 64);
    assert_memory_not_equal(out.data + 5, out.data + 5 + 2 * (64 + 5), 64);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages), cmocka_unit_test(test_equal_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

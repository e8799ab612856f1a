/* What the engine sends in unusual cases: heads that do not fit a page or a frame, HPACK tables of every size, limits.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "codec/h2/h2_script.h"

static void check(struct script *script, const char *lines, const char *expect)
{
    assert_string_equal(script_run(script, lines), expect);
}

/* The frames of a large block, by type, and that its last field arrives. */
static void test_large_heads(void **state)
{
    static const char four[] =
        "out HEADERS 1 es\nout CONTINUATION 1\nout CONTINUATION 1\nout CONTINUATION 1 :method=GET";
    static const char one[] = "out HEADERS 3 :method=GET";
    struct script script;
    const char *got;

    script_init(&script, H2_CLIENT);
    got = script_run(&script, "do request GET / end a=*30000 b=*20000 c=*10000 last=z");
    assert_memory_equal(got, four, strlen(four));
    assert_non_null(strstr(got, " last=z\n"));
    /* Larger than a page by its bound, and yet one frame. */
    got = script_run(&script, "do request GET / end a=*17000 last=z");
    assert_memory_equal(got, one, strlen(one));
    assert_non_null(strstr(got, " last=z es\n"));
    script_release(&script);
}

static void test_many_names_in_capitals(void **state)
{
    struct script script;
    char lines[6000] = "do request GET / end",
         expect[6000] = "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/";

    for (unsigned i = 0; i < 100; i++) {
        snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), " X-Some-Quite-Long-Name-%u=V", i);
        snprintf(expect + strlen(expect), sizeof(expect) - strlen(expect), " x-some-quite-long-name-%u=V", i);
    }
    strncat(expect, " es\n", sizeof(expect) - strlen(expect) - 1);
    script_init(&script, H2_CLIENT);
    check(&script, lines, expect);
    script_release(&script);
}

static void test_more_fields_than_we_send(void **state)
{
    struct script script;
    char lines[2000] = "do request GET / end";

    for (unsigned i = 0; i < 199; i++)
        strncat(lines, " a=b", sizeof(lines) - strlen(lines) - 1);
    script_init(&script, H2_CLIENT);
    check(&script, lines, "request: EMSGSIZE\n");
    check(&script, "do request GET / end", "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\n");
    script_release(&script);
}

/* The script's decoder has 4096 bytes of table and refuses what would not be told to it. */
static void test_table_sizes(void **state)
{
    static const char *const sizes[] = {"in SETTINGS 0 1=0",       "in SETTINGS 0 1=100",      "in SETTINGS 0 1=4096",
                                        "in SETTINGS 0 1=1000000", "in SETTINGS 0 1=0 1=4096", "do trim",
                                        "in SETTINGS 0 1=300"};
    struct script script;

    for (unsigned early = 0; early < 2; early++) {
        script_init(&script, H2_CLIENT);
        for (unsigned i = 0; i < 40; i++) {
            char expect[200], number[10];

            if (i || early)
                script_run(&script, sizes[i % 7]);
            snprintf(number, sizeof(number), "%u", 2 * i + 1);
            snprintf(expect, sizeof(expect),
                     "out HEADERS %s :method=GET :scheme=http :authority=a :path=/ k=v authorization=s! es\n", number);
            check(&script, "do request GET / end k=v authorization=s", expect);
            snprintf(expect, sizeof(expect), "do reset %s CANCEL\ndo release %s", number, number);
            script_run(&script, expect);
        }
        script_release(&script);
    }
}

/* Far more resets than the engine remembers one by one: what comes late is still no error. */
static void test_many_resets(void **state)
{
    struct script script;
    char lines[200];

    script_init(&script, H2_CLIENT);
    for (unsigned id = 1; id < 400; id += 2) {
        snprintf(lines, sizeof(lines), "do request GET / end\ndo reset %u CANCEL\ndo release %u", id, id);
        script_run(&script, lines);
    }
    for (unsigned id = 1; id < 400; id += 2) {
        snprintf(lines, sizeof(lines), "in HEADERS %u eh 200\nin DATA %u es abc", id, id);
        check(&script, lines, "");
    }
    script_run(&script, "do trim");
    check(&script, "in DATA 399 abc", "");
    script_release(&script);
}

static void test_bad_beginnings(void **state)
{
    static const struct h2_config config = {0};
    static const struct {
        enum h2_role role;
        const char *lines, *expect;
    } rows[] = {
        {H2_SERVER, "raw 505249202a20485454502f312e300d0a", "failed PROTOCOL_ERROR bad connection preface\n"},
        {H2_SERVER, "raw 50\nraw 52\nraw 41", "failed PROTOCOL_ERROR bad connection preface\n"},
        {H2_SERVER, "raw 505249202a20485454502f322e300d0a0d0a534d0d0a0d0a\nin PING 0 1 2",
         "failed PROTOCOL_ERROR the first frame is not SETTINGS\n"},
        {H2_CLIENT, "in SETTINGS 0 ack", "failed PROTOCOL_ERROR the first frame is not SETTINGS\n"},
        {H2_CLIENT, "raw 485454502f312e3120343030", "failed PROTOCOL_ERROR the first frame is not SETTINGS\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct script script;
        const struct h2_events *events;

        script_init(&script, rows[i].role);
        events = script.conn.events;
        h2_release(&script.conn);
        assert_int_equal(h2_init(&script.conn, rows[i].role, &config, events, &script, &script.out), 0);
        assert_non_null(strstr(script_run(&script, rows[i].lines), rows[i].expect));
        script_release(&script);
    }
}

static void test_too_many_settings(void **state)
{
    struct script script;
    char lines[1000] = "in SETTINGS 0";

    for (unsigned i = 0; i < 65; i++)
        strncat(lines, " 99=1", sizeof(lines) - strlen(lines) - 1);
    script_init(&script, H2_SERVER);
    check(&script, lines, "out GOAWAY 0 0 ENHANCE_YOUR_CALM\nfailed ENHANCE_YOUR_CALM too many SETTINGS\n");
    script_release(&script);
}

/* The last of 2^31 ids. */
static void test_stream_ids_run_out(void **state)
{
    struct script script;

    script_init(&script, H2_CLIENT);
    script.conn.next_id = 0x7fffffff;
    check(&script, "do request GET / end\ndo request GET / end",
          "out HEADERS 2147483647 :method=GET :scheme=http :authority=a :path=/ es\nrequest: EPIPE\n");
    script_release(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_many_names_in_capitals),
        cmocka_unit_test(test_more_fields_than_we_send),
        cmocka_unit_test(test_table_sizes),
        cmocka_unit_test(test_many_resets),
        cmocka_unit_test(test_bad_beginnings),
        cmocka_unit_test(test_too_many_settings),
        cmocka_unit_test(test_stream_ids_run_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

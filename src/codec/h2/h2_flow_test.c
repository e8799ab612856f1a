/* Windows in both directions, who waits for what, and that no byte of the connection's window is ever lost. */
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

static void begin(struct script *script, enum h2_role role, const char *lines)
{
    script_init(script, role);
    script_run(script, lines);
}

static void test_stream_window(void **state)
{
    struct script script;

    begin(&script, H2_SERVER, "in SETTINGS 0 4=10\nin HEADERS 1 es eh GET\ndo respond 1 200");
    check(&script, "do data 1 0123456789abc end\ndo blocked 1", "taken: 10\nout DATA 1 0123456789\nblocked 1\n");
    check(&script, "do data 1 abc end", "");
    check(&script, "in WINDOW_UPDATE 1 2", "writable 1\n");
    check(&script, "do blocked 1\ndo data 1 abc end", "blocked 0\ntaken: 2\nout DATA 1 ab\n");
    check(&script, "in WINDOW_UPDATE 1 1\ndo data 1 c end", "writable 1\ntaken: 1\nout DATA 1 c es\n");
    script_release(&script);
}

/* Section 6.9.2: a lower initial window may make a window negative. */
static void test_initial_window_changes(void **state)
{
    struct script script;

    begin(&script, H2_SERVER, "in SETTINGS 0 4=10\nin HEADERS 1 es eh GET\ndo respond 1 200\ndo data 1 0123456789");
    check(&script, "in SETTINGS 0 4=4\ndo data 1 a", "settings\nout SETTINGS 0 ack\n");
    check(&script, "in WINDOW_UPDATE 1 6", "");
    check(&script, "in WINDOW_UPDATE 1 1", "writable 1\n");
    check(&script, "do data 1 ab\nin SETTINGS 0 4=5",
          "taken: 1\nout DATA 1 a\nwritable 1\nsettings\nout SETTINGS 0 ack\n");
    check(&script, "do data 1 b end", "taken: 1\nout DATA 1 b es\n");
    script_release(&script);
}

static void test_an_empty_end_needs_no_window(void **state)
{
    struct script script;

    begin(&script, H2_SERVER, "in SETTINGS 0 4=0\nin HEADERS 1 es eh GET\ndo respond 1 200");
    check(&script, "do data 1 - end", "out DATA 1 es\n");
    script_release(&script);
}

/* Who waits for the connection's window is woken in turn, as far as the window goes. */
static void test_connection_window(void **state)
{
    struct script script;

    begin(&script, H2_SERVER,
          "in SETTINGS 0 4=1000000\nin HEADERS 1 es eh GET\nin HEADERS 3 es eh GET\nin HEADERS 5 es eh GET\n"
          "do respond 1 200\ndo respond 3 200\ndo respond 5 200");
    check(&script, "do data 1 *65536\ndo blocked 1",
          "taken: 65535\nout DATA 1 *16375\nout DATA 1 *16375\nout DATA 1 *16375\nout DATA 1 *16375\nout DATA 1 "
          "*35\nblocked 2\n");
    check(&script, "do data 3 x\ndo data 5 x", "");
    check(&script, "in WINDOW_UPDATE 0 1", "writable 1\nwritable 3\nwritable 5\n");
    check(&script, "do data 1 x\ndo data 3 x\ndo data 5 x", "taken: 1\nout DATA 1 x\n");
    check(&script, "do reset 3 CANCEL\nin WINDOW_UPDATE 0 2", "out RST_STREAM 3 CANCEL\nwritable 5\n");
    check(&script, "do data 5 xyz", "taken: 2\nout DATA 5 xy\n");
    check(&script, "in RST_STREAM 5 CANCEL\nin WINDOW_UPDATE 0 2", "reset 5 peer CANCEL\n");
    script_release(&script);
}

/* A peer that does not read: `out` fills to its limit and not further. */
static void test_out_limit(void **state)
{
    struct script script;

    begin(&script, H2_SERVER,
          "in SETTINGS 0 4=10000000\nin WINDOW_UPDATE 0 10000000\nin HEADERS 1 es eh GET\ndo respond 1 200");
    script.deaf = true;
    script_run(&script, "do data 1 *1000000\ndo blocked 1");
    assert_int_equal(script.streams[0]->blocked, H2_BLOCKED_OUT);
    assert_in_range(script.out.len, LIMIT_CONN_OUT, LIMIT_CONN_OUT + 200);
    check(&script, "do data 1 x", "");
    script.quiet = true;
    script.deaf = false;
    script_run(&script, "do drain");
    assert_int_equal(script.streams[0]->blocked, H2_BLOCKED_NOT);
    check(&script, "do data 1 x end", "taken: 1\nout DATA 1 x es\n");
    script_release(&script);
}

/* Bytes are credited when consumed, in halves of a window. */
static void test_consume(void **state)
{
    struct script script;

    begin(&script, H2_SERVER, "in HEADERS 1 eh POST");
    script.hold = true;
    script_run(&script, "in DATA 1 *16000\nin DATA 1 *16000\nin DATA 1 *16000");
    check(&script, "do consume 1 32767", "");
    check(&script, "do consume 1 1", "out WINDOW_UPDATE 1 32768\n");
    check(&script, "in DATA 1 *16000\nin DATA 1 *16000\nin DATA 1 *16000\nin DATA 1 es *2303",
          "data 1 *16000\ndata 1 *16000\ndata 1 *16000\ndata 1 *2303 end\n");
    check(&script, "do consume 1 65535", ""); /* no more will come on this stream */
    script_release(&script);
}

static void test_beyond_the_windows(void **state)
{
    struct script script;

    begin(&script, H2_SERVER, "in HEADERS 1 eh POST");
    script.hold = true;
    script_run(&script, "in DATA 1 *16384\nin DATA 1 *16384\nin DATA 1 *16384");
    check(&script, "in DATA 1 *16384",
          "reset 1 us FLOW_CONTROL_ERROR more data than the stream's window\n"
          "refused 0 FLOW_CONTROL_ERROR\nout RST_STREAM 1 FLOW_CONTROL_ERROR\n");
    script_release(&script);

    begin(&script, H2_SERVER, "");
    script.hold = true;
    script.quiet = true;
    for (unsigned id = 1; !script.conn.failed && id < 60; id += 2) {
        char text[200];

        snprintf(text, sizeof(text), "in HEADERS %u eh POST\nin DATA %u *16384\nin DATA %u *16384\nin DATA %u *16383",
                 id, id, id, id);
        script_run(&script, text);
    }
    assert_int_equal(script.conn.error, H2_FLOW_CONTROL_ERROR);
    script_release(&script);
}

/* What is not on its way back is in the window: nothing leaks, whatever happens to the streams. */
static void assert_whole_window(const struct script *script, uint32_t held)
{
    assert_int_equal(script->conn.recv_window + (int64_t)script->conn.uncredited + held, LIMIT_H2_CONNECTION_WINDOW);
}

static void test_nothing_leaks(void **state)
{
    struct script script;

    begin(&script, H2_SERVER,
          "in HEADERS 1 eh POST\nin HEADERS 3 eh POST\nin HEADERS 5 eh POST\nin HEADERS 7 eh POST content-length=3");
    script.hold = true;
    script_run(&script, "in DATA 1 pad=100 *1000");
    assert_whole_window(&script, 1000);
    script_run(&script, "in RST_STREAM 1 CANCEL");
    assert_whole_window(&script, 1000);
    script_run(&script, "do consume 1 400\ndo release 1");
    assert_whole_window(&script, 0);
    script_run(&script, "do reset 3 CANCEL\nin DATA 3 pad=5 *1000\nin DATA 3 es");
    assert_whole_window(&script, 0);
    script_run(&script, "in DATA 5 *16000\nin DATA 5 *16000\nin DATA 5 *16000\nin DATA 5 *16000\nin DATA 5 *16000");
    assert_whole_window(&script, 64000);
    script_run(&script, "in DATA 5 pad=7 *1000"); /* it was reset */
    assert_whole_window(&script, 64000);
    script_run(&script, "do release 5\nin DATA 7 pad=3 *1000");
    assert_whole_window(&script, 0);
    script_release(&script);
}

/* What is kept costs the others nothing: however many streams are slow, the connection's window is whole. */
static void test_kept(void **state)
{
    struct script script;

    begin(&script, H2_SERVER, "");
    script.hold = script.quiet = true;
    for (unsigned id = 1; id < 100; id += 2) {
        char text[300];

        snprintf(text, sizeof(text),
                 "in HEADERS %u eh POST\nin DATA %u *16384\nin DATA %u *16384\nin DATA %u *16384\nin DATA %u *16383\n"
                 "do keep %u 65000", id, id, id, id, id, id);
        script_run(&script, text);
        assert_int_equal(script.conn.failed, 0);
        assert_whole_window(&script, (id + 1) / 2 * 535);
    }
    script_run(&script, "do consume 1 64999\ndo consume 1 536\ndo release 3\nin RST_STREAM 5 CANCEL\ndo release 5");
    assert_whole_window(&script, 47 * 535);
    script_release(&script);

    begin(&script, H2_SERVER, "in HEADERS 1 eh POST");
    script.hold = true;
    script.quiet = true;
    script_run(&script, "in DATA 1 *16384\nin DATA 1 *16384\nin DATA 1 *16384\ndo keep 1 49152");
    script.quiet = false;
    check(&script, "do consume 1 32768", "out WINDOW_UPDATE 1 32768\n"); /* the stream's opens when it is taken */
    assert_whole_window(&script, 0);
    script_release(&script);
}

/* Until our SETTINGS are acknowledged the peer goes by the default window. */
static void test_small_window_counts_when_acknowledged(void **state)
{
    static const struct h2_config config = {.stream_window = 1000};
    struct script script;

    script_init(&script, H2_SERVER);
    h2_release(&script.conn);
    assert_int_equal(h2_init(&script.conn, H2_SERVER, &config, script.conn.events, &script, &script.out), 0);
    check(&script, "raw 505249202a20485454502f322e300d0a0d0a534d0d0a0d0a\nin SETTINGS 0",
          "out SETTINGS 0 3=1024 4=1000 6=65536\nout WINDOW_UPDATE 0 983041\nsettings\nout SETTINGS 0 ack\n");
    script.hold = true;
    check(&script, "in HEADERS 1 eh POST\nin DATA 1 *5000\nin SETTINGS 0 ack", "head 1 POST http://a/\ndata 1 *5000\n");
    check(&script, "do consume 1 5000", "out WINDOW_UPDATE 1 5000\n"); /* the window is 1000 again */
    check(&script, "in DATA 1 *1000", "data 1 *1000\n");
    check(&script, "in DATA 1 x",
          "reset 1 us FLOW_CONTROL_ERROR more data than the stream's window\n"
          "refused 0 FLOW_CONTROL_ERROR\nout RST_STREAM 1 FLOW_CONTROL_ERROR\n");
    script_release(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_window),
        cmocka_unit_test(test_initial_window_changes),
        cmocka_unit_test(test_an_empty_end_needs_no_window),
        cmocka_unit_test(test_connection_window),
        cmocka_unit_test(test_out_limit),
        cmocka_unit_test(test_consume),
        cmocka_unit_test(test_beyond_the_windows),
        cmocka_unit_test(test_nothing_leaks),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_small_window_counts_when_acknowledged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

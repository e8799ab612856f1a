/* Floods and limits: each attack is stopped where base/limits.h says, and honest traffic of the same kind is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "codec/h2/h2_script.h"

/* Runs the lines with a stream's id for every @. */
static void run_with_id(struct script *script, const char *lines, unsigned id)
{
    char text[500];
    size_t len = 0;

    for (; *lines; lines++)
        if (*lines == '@')
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%u", id);
        else
            text[len++] = *lines;
    assert_true(len < sizeof(text));
    text[len] = '\0';
    script_run(script, text);
}

/* Runs the lines at most `most` times, each time for a new stream: how often before the connection failed. */
static unsigned repeat(struct script *script, const char *lines, unsigned most)
{
    for (unsigned i = 0; i < most; i++) {
        run_with_id(script, lines, 2 * i + 1);
        if (script->conn.failed)
            return i;
        arena_release(&script->arena);
    }
    return most;
}

static void assert_calm(struct script *script, const char *detail)
{
    assert_int_equal(script->conn.error, H2_ENHANCE_YOUR_CALM);
    assert_string_equal(script->conn.detail, detail);
}

static const struct flood {
    const char *name, *before, *lines;
    unsigned stopped_at;
    const char *detail;
} floods[] = {
    {"rapid reset, CVE-2023-44487", "", "in HEADERS @ es eh GET\nin RST_STREAM @ CANCEL\ndo release @", LIMIT_H2_RESETS,
     "too many streams were reset"},
    {"made you reset, CVE-2025-8671", "", "in HEADERS @ eh POST\nin WINDOW_UPDATE @ 0\ndo release @", LIMIT_H2_RESETS,
     "too many streams were reset"},
    {"made you reset by DATA after the end", "", "in HEADERS @ es eh GET\nin DATA @ x\ndo release @", LIMIT_H2_RESETS,
     "too many streams were reset"},
    {"made you reset by a malformed head", "", "in HEADERS @ es eh GET GET\ndo release @", LIMIT_H2_RESETS,
     "too many streams were reset"},
    {"PING, CVE-2019-9512", "", "in PING 0 1 2", LIMIT_H2_CONTROL_FRAMES - 1, "too many control frames"},
    {"PING acknowledgements", "", "in PING 0 ack 1 2", LIMIT_H2_CONTROL_FRAMES - 1, "too many control frames"},
    {"SETTINGS, CVE-2019-9515", "", "in SETTINGS 0 4=65535", LIMIT_H2_CONTROL_FRAMES - 1, "too many control frames"},
    {"SETTINGS acknowledgements", "", "in SETTINGS 0 ack", LIMIT_H2_CONTROL_FRAMES - 1, "too many control frames"},
    {"PRIORITY, CVE-2019-9513", "", "in PRIORITY @ 0", LIMIT_H2_CONTROL_FRAMES - 1, "too many control frames"},
    {"unknown frames", "", "in 77 0 x", LIMIT_H2_CONTROL_FRAMES - 1, "too many control frames"},
    {"GOAWAY", "", "in GOAWAY 0 0 0", LIMIT_H2_CONTROL_FRAMES - 1, "too many control frames"},
    {"WINDOW_UPDATE of a byte", "", "in WINDOW_UPDATE 0 1", LIMIT_H2_CONTROL_FRAMES - 1, "too many control frames"},
    {"empty DATA, CVE-2019-9518", "in HEADERS 1 eh POST", "in DATA 1", LIMIT_H2_CONTROL_FRAMES + 3,
     "too many control frames"},
    {"padding alone", "in HEADERS 1 eh POST", "in DATA 1 pad=9", LIMIT_H2_CONTROL_FRAMES + 3,
     "too many control frames"},
    {"DATA on a stream that was reset", "in HEADERS 1 eh POST\ndo reset 1 CANCEL", "in DATA 1 x",
     LIMIT_H2_CONTROL_FRAMES + 3, "too many control frames"},
    {"RST_STREAM on a closed stream", "in HEADERS 1 es eh GET\ndo respond 1 200 end", "in RST_STREAM 1 0",
     LIMIT_H2_CONTROL_FRAMES + 3, "too many control frames"},
    {"empty CONTINUATION, CVE-2024-27316", "in HEADERS 1 es GET", "in CONTINUATION 1", LIMIT_H2_CONTINUATIONS,
     "too many CONTINUATION frames"},
    {"large CONTINUATION", "in HEADERS 1 es GET", "in CONTINUATION 1 a=*16000", 4, "a header block beyond our limit"},
};

static void test_floods(void **state)
{
    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        struct script script;
        unsigned times;

        script_init(&script, H2_SERVER);
        script_run(&script, floods[i].before);
        times = repeat(&script, floods[i].lines, 3000);
        if (times != floods[i].stopped_at)
            print_error("%s: %u\n", floods[i].name, times);
        assert_int_equal(times, floods[i].stopped_at);
        assert_calm(&script, floods[i].detail);
        script_release(&script);
    }
}

/* What a busy honest peer does may look like a flood but for the work that comes with it. */
static const char *const honest[] = {
    "in HEADERS @ es eh GET\ndo respond @ 200 end\ndo release @",
    "in HEADERS @ eh POST\nin DATA @ x\nin WINDOW_UPDATE @ 100\nin WINDOW_UPDATE 0 100\ndo respond @ 200 end\n"
    "in DATA @ es y\ndo release @",
    "in HEADERS @ es eh prio=0 GET\nin PRIORITY @ 0\ndo respond @ 200\ndo data @ hello end\nin PING 0 0 0\n"
    "in WINDOW_UPDATE 0 5\ndo release @",
};

static void test_honest(void **state)
{
    for (size_t i = 0; i < sizeof(honest) / sizeof(honest[0]); i++) {
        struct script script;

        script_init(&script, H2_SERVER);
        assert_int_equal(repeat(&script, honest[i], 3000), 3000);
        script_release(&script);
    }
}

static void test_cancelling_half_is_no_flood(void **state)
{
    struct script script;

    script_init(&script, H2_SERVER);
    for (unsigned n = 0; n < 4000; n++) {
        run_with_id(&script,
                    n % 2 ? "in HEADERS @ es eh GET\ndo respond @ 200 end\ndo release @"
                          : "in HEADERS @ es eh GET\nin RST_STREAM @ CANCEL\ndo release @",
                    2 * n + 1);
        assert_int_equal(script.conn.failed, 0);
        arena_release(&script.arena);
    }
    script_release(&script);
}

/* A proxy whose many clients go away in the middle of what they download. */
static void test_cancelling_downloads_is_no_flood(void **state)
{
    struct script script;

    script_init(&script, H2_SERVER);
    assert_int_equal(repeat(&script, "in HEADERS @ es eh GET\ndo respond @ 200\nin RST_STREAM @ CANCEL\ndo release @", 2000),
                     2000);
    script_release(&script);
}

static void test_counts_begin_again(void **state)
{
    struct script script;

    script_init(&script, H2_SERVER);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(repeat(&script, "in PING 0 1 2", 900), 900);
        script_run(&script, "do time 11");
    }
    for (unsigned i = 0; i < 1000; i++) {
        run_with_id(&script, "in HEADERS @ es eh GET\nin RST_STREAM @ 0\ndo release @", 2 * i + 1);
        assert_int_equal(script.conn.failed, 0);
        if (i % 150 == 149)
            script_run(&script, "do time 31");
    }
    script_release(&script);
}

/* Slow enough for the count, and yet our answers pile up. */
static void test_unread_acknowledgements(void **state)
{
    struct script script;
    unsigned times = 0;

    script_init(&script, H2_SERVER);
    script.deaf = true;
    while (!script.conn.failed && times < 10000) {
        script_run(&script, times % 500 ? "in PING 0 1 2" : "do time 11\nin PING 0 1 2");
        times++;
    }
    assert_calm(&script, "acknowledgements are not read");
    assert_in_range(times, LIMIT_H2_OUT_CONTROL / 17 - 10, LIMIT_H2_OUT_CONTROL / 17 + 10);
    script_release(&script);

    /* A peer that reads, late, gets all of them. */
    script_init(&script, H2_SERVER);
    script.deaf = true;
    for (times = 0; times < 20000; times++)
        script_run(&script, times % 500 ? "in PING 0 1 2" : "do time 11\nin PING 0 1 2\ndo drain");
    assert_int_equal(script.conn.failed, 0);
    script_release(&script);
}

/* --- heads that are too large --- */

static void check(struct script *script, const char *lines, const char *expect)
{
    assert_string_equal(script_run(script, lines), expect);
}

static void test_large_heads(void **state)
{
    struct script script;

    script_init(&script, H2_SERVER);
    script.config.max_header_list = 1000;
    check(
        &script, "in HEADERS 1 es eh GET x=*1000",
        "reset 1 us NO_ERROR the head is larger than our limit\nrefused 431 NO_ERROR\nout HEADERS 1 :status=431 es\n");
    check(&script, "in HEADERS 3 eh GET x=*1000\nin DATA 3 abc",
          "reset 3 us NO_ERROR the head is larger than our limit\nrefused 431 NO_ERROR\n"
          "out HEADERS 3 :status=431 es\nout RST_STREAM 3 NO_ERROR\n");
    /* The table was kept in step meanwhile. */
    check(&script, "in HEADERS 5 es eh GET x=*1000 +k=v\nraw 000004 01 05 00000007 828684be",
          "reset 5 us NO_ERROR the head is larger than our limit\nrefused 431 NO_ERROR\n"
          "out HEADERS 5 :status=431 es\nhead 7 GET http:/// k=v end\n");
    check(&script, "in HEADERS 9 eh POST\nin HEADERS 9 es eh x=*17000",
          "head 9 POST http://a/\nout GOAWAY 0 9 FRAME_SIZE_ERROR\n"
          "failed FRAME_SIZE_ERROR a frame longer than SETTINGS_MAX_FRAME_SIZE\n");
    script_release(&script);
}

static void test_many_fields(void **state)
{
    struct script script;
    char text[2000] = "in HEADERS 1 es eh GET";

    for (unsigned i = 0; i <= LIMIT_HTTP_FIELDS; i++)
        strncat(text, " a=b", sizeof(text) - strlen(text) - 1);
    script_init(&script, H2_SERVER);
    check(
        &script, text,
        "reset 1 us NO_ERROR the head is larger than our limit\nrefused 431 NO_ERROR\nout HEADERS 1 :status=431 es\n");
    script_release(&script);
}

static void test_long_path(void **state)
{
    struct script script;

    script_init(&script, H2_SERVER);
    check(&script,
          "in HEADERS 1 es :method=GET :scheme=http :authority=a\nin CONTINUATION 1 :path=*16000\nin CONTINUATION 1 eh "
          "x=y",
          "reset 1 us PROTOCOL_ERROR :path does not begin with /\nrefused 0 PROTOCOL_ERROR\nout RST_STREAM 1 "
          "PROTOCOL_ERROR\n");
    script.config.max_frame = 20000;
    check(
        &script, "in HEADERS 3 es eh :method=GET :scheme=http :authority=a :path=*16385",
        "reset 3 us NO_ERROR the head is larger than our limit\nrefused 414 NO_ERROR\nout HEADERS 3 :status=414 es\n");
    script_release(&script);
}

/* One entry of the table named again and again: small on the wire, without end in memory. */
static void test_hpack_bomb(void **state)
{
    static const struct {
        unsigned times;
        const char *expect;
    } rows[] = {
        {10, "head"},
        {20,
         "reset 3 us NO_ERROR the head is larger than our limit\nrefused 431 NO_ERROR\nout HEADERS 3 :status=431 es\n"},
        {300, "out GOAWAY 0 3 ENHANCE_YOUR_CALM\nfailed ENHANCE_YOUR_CALM a header block inflates beyond measure\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct script script;
        char text[2000];

        script_init(&script, H2_SERVER);
        script_run(&script, "in HEADERS 1 es eh GET +x=*4000");
        snprintf(text, sizeof(text), "raw %06x 01 05 00000003 828684", 3 + rows[i].times);
        for (unsigned n = 0; n < rows[i].times; n++)
            strncat(text, "be", sizeof(text) - strlen(text) - 1);
        assert_memory_equal(script_run(&script, text), rows[i].expect, strlen(rows[i].expect));
        script_release(&script);
    }
}

static void test_client_limits(void **state)
{
    struct script script;

    script_init(&script, H2_CLIENT);
    script.config.max_header_list = 1000;
    script_run(&script, "do request GET /1 end\ndo request GET /3 end");
    check(&script, "in HEADERS 1 eh 200 x=*1000",
          "reset 1 us ENHANCE_YOUR_CALM the head is larger than our limit\nrefused 0 ENHANCE_YOUR_CALM\n"
          "out RST_STREAM 1 ENHANCE_YOUR_CALM\n");
    for (unsigned i = 0; i < LIMIT_HTTP_INTERIM; i++)
        check(&script, "in HEADERS 3 eh :status=103", "head 3 103\n");
    check(&script, "in HEADERS 3 eh :status=103",
          "reset 3 us ENHANCE_YOUR_CALM too many interim responses\nrefused 0 ENHANCE_YOUR_CALM\nout RST_STREAM 3 "
          "ENHANCE_YOUR_CALM\n");
    script_release(&script);
}

static void test_streams_beyond_the_limit(void **state)
{
    struct script script;

    script_init(&script, H2_SERVER);
    script.config.max_streams = 1;
    check(&script,
          "in HEADERS 1 es eh GET\nin HEADERS 3 eh POST +k=v\nin DATA 3 abc\ndo respond 1 200 end\nraw 000004 01 05 "
          "00000005 828684be",
          "head 1 GET http://a/ end\nout RST_STREAM 3 REFUSED_STREAM\nout HEADERS 1 :status=200 es\nhead 5 GET "
          "http:/// k=v end\n");
    script_release(&script);
}

/* Each costs an answer and a block to decode, and earns the peer nothing. */
static void test_flood_beyond_the_limit(void **state)
{
    struct script script;

    script_init(&script, H2_SERVER);
    script.config.max_streams = 1;
    script.quiet = true;
    script_run(&script, "in HEADERS 1 eh POST");
    for (unsigned id = 3; !script.conn.failed && id < 20000; id += 2)
        run_with_id(&script, "in HEADERS @ es eh GET", id);
    assert_calm(&script, "too many control frames");
    assert_in_range(script.conn.last_peer_id / 2, LIMIT_H2_CONTROL_FRAMES, LIMIT_H2_CONTROL_FRAMES + 10);
    script_release(&script);
}

static void test_refused_by_the_owner(void **state)
{
    struct script script;

    script_init(&script, H2_SERVER);
    script.refuse = true;
    check(&script, "in HEADERS 1 eh POST +k=v\nin DATA 1 es abc", "out RST_STREAM 1 REFUSED_STREAM\n");
    script.refuse = false;
    check(&script, "raw 000004 01 05 00000003 828684be", "head 3 GET http:/// k=v end\n");
    script_release(&script);
}

/* `answered` of 10 requests end in order, the others are taken back: how many resets went out, and when it was spent. */
static unsigned take_back(struct script *script, unsigned answered, unsigned requests, unsigned *ret_spent_at)
{
    unsigned resets = 0;

    *ret_spent_at = 0;
    for (unsigned i = 0; i < requests; i++) {
        bool ends = i % 10 < answered;

        run_with_id(script, "do request GET / end", 2 * i + 1);
        run_with_id(script, ends ? "in HEADERS @ es eh 200\ndo release @" : "do reset @ CANCEL\ndo release @", 2 * i + 1);
        resets += slice_find_slice(buffer_slice(&script->log), SLICE_LIT("RST_STREAM")) < script->log.len;
        buffer_clear(&script->log);
        arena_release(&script->arena);
        if (!*ret_spent_at && h2_is_spent(&script->conn))
            *ret_spent_at = i + 1;
    }
    return resets;
}

static void test_requests_taken_back(void **state)
{
    struct script script;
    unsigned spent_at;

    script_init(&script, H2_CLIENT);
    assert_int_equal(take_back(&script, 0, 400, &spent_at), LIMIT_H2_RESETS * 3 / 4);
    assert_int_equal(spent_at, LIMIT_H2_RESETS / 2);
    assert_int_equal(script.conn.failed, 0);
    script_release(&script);
    /* A busy client's cancels, half of all, never use it up. */
    script_init(&script, H2_CLIENT);
    assert_int_equal(take_back(&script, 5, 1000, &spent_at), 500);
    assert_int_equal(spent_at, 0);
    script_release(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_honest),
        cmocka_unit_test(test_cancelling_half_is_no_flood),
        cmocka_unit_test(test_cancelling_downloads_is_no_flood),
        cmocka_unit_test(test_counts_begin_again),
        cmocka_unit_test(test_unread_acknowledgements),
        cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_hpack_bomb),
        cmocka_unit_test(test_client_limits),
        cmocka_unit_test(test_streams_beyond_the_limit),
        cmocka_unit_test(test_flood_beyond_the_limit),
        cmocka_unit_test(test_requests_taken_back),
        cmocka_unit_test(test_refused_by_the_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

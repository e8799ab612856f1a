#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "codec/dns.h"

static const char HEADER[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";

struct message {
    char bytes[1024];
    size_t len;
};

static void add(struct message *message, const char *bytes, size_t len)
{
    memcpy(message->bytes + message->len, bytes, len);
    message->len += len;
}
#define ADD(message, literal) add((message), literal, sizeof(literal) - 1)

static struct message with_header(void)
{
    struct message message = {.len = 0};

    add(&message, HEADER, sizeof(HEADER) - 1);
    return message;
}

static int read_message(const struct message *message, struct dns_query *query)
{
    /* From memory of exactly that length, so that reading behind it is seen. */
    char *copy = malloc(message->len ? message->len : 1);
    int r;

    memcpy(copy, message->bytes, message->len);
    r = dns_query_read(slice_of(copy, message->len), query);
    free(copy);
    return r;
}

static void test_a_question(void **state)
{
    struct message message = with_header();
    struct dns_query query;
    char text[DNS_TEXT_MAX];

    ADD(&message, "\3wEb\7default\3svc\7cluster\5local\0\0\x1c\0\1");
    assert_int_equal(read_message(&message, &query), 0);
    assert_int_equal(query.id, 0x1234);
    assert_int_equal(query.type, DNS_AAAA);
    assert_int_equal(query.class, DNS_CLASS_IN);
    assert_true(query.recursion_desired);
    assert_false(query.edns);
    assert_int_equal(query.udp_size, 512);
    assert_int_equal(dns_query_text(&query, text), 0);
    assert_string_equal(text, "web.default.svc.cluster.local");
    for (size_t len = 0; len < message.len; len++) { /* cut off anywhere */
        struct message part = message;

        part.len = len;
        assert_int_equal(read_message(&part, &query), len < DNS_HEADER ? -EBADMSG : -EINVAL);
    }
}

static void test_edns(void **state)
{
    struct message message = with_header();
    struct dns_query query;

    message.bytes[11] = 1;
    ADD(&message, "\1a\0\0\1\0\1");
    ADD(&message, "\0\0\x29\x10\0\0\0\0\0\0\2\x11\x11");
    assert_int_equal(read_message(&message, &query), 0);
    assert_true(query.edns);
    assert_int_equal(query.udp_size, 4096);
    message.bytes[11] = 2; /* twice */
    ADD(&message, "\0\0\x29\x10\0\0\0\0\0\0\0");
    assert_int_equal(read_message(&message, &query), -EINVAL);
}

static void test_what_is_no_question(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
        int expected;
    } cases[] = {
#define CASE(name, literal, expected) {name, literal, sizeof(literal) - 1, expected}
        CASE("an answer", "\0\1\x80\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", -EBADMSG),
        CASE("no question", "\0\1\0\0\0\0\0\0\0\0\0\0", -EINVAL),
        CASE("two questions", "\0\1\0\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1\1b\0\0\1\0\1", -EINVAL),
        CASE("an answer in it", "\0\1\0\0\0\1\0\1\0\0\0\0\1a\0\0\1\0\1", -EINVAL),
        CASE("a pointer", "\0\1\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", -EINVAL),
        CASE("a label of type 01", "\0\1\0\0\0\1\0\0\0\0\0\0\x41" "a\0\0\1\0\1", -EINVAL),
        CASE("records that are not there", "\0\1\0\0\0\1\0\0\0\0\xff\xff\1a\0\0\1\0\1", -EINVAL),
        CASE("data beyond the end", "\0\1\0\0\0\1\0\0\0\0\0\1\1a\0\0\1\0\1\0\0\x29\2\0\0\0\0\0\0\7", -EINVAL),
        CASE("OPT of a name", "\0\1\0\0\0\1\0\0\0\0\0\1\1a\0\0\1\0\1\1b\0\0\x29\2\0\0\0\0\0\0\0", -EINVAL),
        CASE("the root", "\0\1\0\0\0\1\0\0\0\0\0\0\0\0\1\0\1", 0),
        CASE("another opcode", "\0\1\x28\0\0\0\0\0\0\0\0\0", 0),
        CASE("some record besides", "\0\1\0\0\0\1\0\0\0\0\0\1\1a\0\0\1\0\1\xc0\x0c\0\x01\0\1\0\0\0\0\0\4\1\2\3\4", 0),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct message message = {.len = 0};
        struct dns_query query;

        add(&message, cases[i].bytes, cases[i].len);
        if (read_message(&message, &query) != cases[i].expected)
            fail_msg("%s", cases[i].name);
    }
}

static void test_names(void **state)
{
    struct message message = with_header();
    struct dns_query query;
    char text[DNS_TEXT_MAX];

    for (int i = 0; i < 3; i++) /* 3 * 64 + 62 + 1: the longest */
        ADD(&message, "\77aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    ADD(&message, "\75aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0\0\1\0\1");
    assert_int_equal(read_message(&message, &query), 0);
    assert_int_equal(query.name_len, 255);
    assert_int_equal(dns_query_text(&query, text), 0);
    assert_int_equal(strlen(text), 253);
    message.len -= 5;
    ADD(&message, "\1a\0\0\1\0\1");
    assert_int_equal(read_message(&message, &query), -EINVAL);
    message = with_header();
    ADD(&message, "\3a.b\0\0\1\0\1");
    assert_int_equal(read_message(&message, &query), 0);
    assert_int_equal(dns_query_text(&query, text), -EINVAL);
    message = with_header();
    ADD(&message, "\3a\0b\0\0\1\0\1");
    assert_int_equal(read_message(&message, &query), 0);
    assert_int_equal(dns_query_text(&query, text), -EINVAL);
}

static void test_an_answer(void **state)
{
    static const char expected[] = "\x00\x07\x85\x00\x00\x01\x00\x02\x00\x00\x00\x01\x01\x61\x02\x62\x63\x00\x00\xff\x00\x01"
                                   "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x01\x02\x03"
                                   "\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x05\x00\x09\x00\x00\x00\x64\x00\x50\x01\x78\x00"
                                   "\x01\x78\x00\x00\x1c\x00\x01\x00\x00\x00\x05\x00\x10\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01";
    uint8_t question[64], room[512];
    struct dns_query query;
    struct dns_answer answer;
    struct ip six;
    int len = dns_query_write(7, SLICE_LIT("a.bc"), DNS_ANY, 0, question, sizeof(question));

    assert_int_equal(ip_parse(SLICE_LIT("fd00::1"), &six), 0);
    assert_int_equal(dns_query_read(slice_of(question, (size_t)len), &query), 0);
    dns_answer_init(&answer, &query, room, sizeof(room));
    dns_answer_address(&answer, DNS_ANSWER, SLICE_NULL, 5, ip_v4(0x0a010203));
    dns_answer_srv(&answer, 5, 100, 80, SLICE_LIT("x"));
    dns_answer_address(&answer, DNS_ADDITIONAL, SLICE_LIT("x"), 5, six);
    assert_int_equal(dns_answer_end(&answer, DNS_NOERROR, true), sizeof(expected) - 1);
    assert_memory_equal(room, expected, sizeof(expected) - 1);
}

static void test_an_answer_that_is_too_long(void **state)
{
    uint8_t question[64], room[512];
    struct dns_query query;
    struct dns_answer answer;
    size_t len;
    int n = dns_query_write(7, SLICE_LIT("a"), DNS_A, 1232, question, sizeof(question));

    assert_int_equal(dns_query_read(slice_of(question, (size_t)n), &query), 0);
    assert_int_equal(query.udp_size, 1232);
    dns_answer_init(&answer, &query, room, sizeof(room));
    for (uint32_t i = 0; i < 100; i++)
        dns_answer_address(&answer, DNS_ANSWER, SLICE_NULL, 5, ip_v4(i));
    len = dns_answer_end(&answer, DNS_NOERROR, true);
    assert_true(len <= 512 && len > 480);
    assert_int_equal(room[2] & 2, 2);
    assert_int_equal(room[len - 9], DNS_OPT); /* its own pseudo record fits still */
    assert_int_equal(dns_query_write(7, SLICE_LIT("a..b"), DNS_A, 0, question, sizeof(question)), -EINVAL);
    assert_int_equal(dns_query_write(7, SLICE_LIT("abc"), DNS_A, 0, question, 20), -ENOBUFS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_question), cmocka_unit_test(test_edns), cmocka_unit_test(test_what_is_no_question),
        cmocka_unit_test(test_names), cmocka_unit_test(test_an_answer), cmocka_unit_test(test_an_answer_that_is_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "kube/decode/decode_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/list.h"

static void on_decoded(struct decode_sink *sink, const struct decoded *decoded)
{
    struct decode_result *result = CONTAINER_OF(sink, struct decode_result, sink);

    result->broken += decoded->what == DECODED_BROKEN;
    result->ignored += decoded->what == DECODED_IGNORED;
    if (decoded->object)
        result->objects[result->count++] = decoded->object;
}

static void on_report(struct reporter *reporter, const struct report *report)
{
    struct decode_result *result = CONTAINER_OF(reporter, struct decode_result, reporter);

    buffer_printf(&result->reports, "%s ", report_severity_name(report->severity));
    report_format(report, &result->reports);
    buffer_add_byte(&result->reports, '\n');
}

void decode_result_init(struct decode_result *result)
{
    *result = (struct decode_result){.sink.decoded = on_decoded, .reporter.report = on_report};
    buffer_init(&result->reports, 1u << 20);
}

void decode_text(struct decode_result *result, const char *text, bool need_addresses)
{
    struct decode_options options = {SLICE_LIT("f.yaml"), &result->reporter, need_addresses};
    struct yaml_problem problem = {0};
    struct yaml_node *root;
    struct arena arena;

    decode_result_init(result);
    arena_init(&arena, 1u << 26);
    if (yaml_parse(&arena, slice_str(text), 1, YAML, &root, &problem) < 0)
        fail_msg("%d: %s", problem.line, problem.msg.text);
    assert_int_equal(decode_document(root, &options, &result->sink), 0);
    arena_release(&arena); /* objects keep nothing of the document */
    buffer_add_byte(&result->reports, '\0');
}

void decode_result_release(struct decode_result *result)
{
    for (size_t i = 0; i < result->count; i++)
        kube_object_unref(result->objects[i]);
    buffer_release(&result->reports);
}

const struct kube_object *decode_good(struct decode_result *result, const char *text)
{
    decode_text(result, text, true);
    assert_string_equal(result->reports.data, "");
    assert_int_equal(result->broken, 0);
    assert_int_equal(result->count, 1);
    return result->objects[0];
}

struct ip address_of(const char *text)
{
    struct ip out;

    assert_int_equal(ip_parse(slice_str(text), &out), 0);
    return out;
}

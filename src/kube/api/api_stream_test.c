#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/list.h"
#include "kube/api/api_stream.h"

struct heard {
    struct api_handler handler;
    struct buffer text; /* "ADDED name;" ... */
    size_t count;
};

static void show(const struct yaml_node *node, struct buffer *out)
{
    const char *separator = "";

    if (node->kind != YAML_LIST && node->kind != YAML_MAP) {
        buffer_add(out, node->kind == YAML_NULL ? SLICE_LIT("null") : node->text);
        return;
    }
    buffer_add_byte(out, node->kind == YAML_LIST ? '[' : '{');
    for (const struct yaml_item *item = node->items; item; item = item->next, separator = " ") {
        buffer_printf(out, "%s%.*s%s", separator, SLICE_ARGS(item->key), node->kind == YAML_MAP ? "=" : "");
        show(item->value, out);
    }
    buffer_add_byte(out, node->kind == YAML_LIST ? ']' : '}');
}

static void on_event(struct api_handler *handler, enum api_event event, const struct yaml_node *object)
{
    static const char *const names[] = {"item", "added", "modified", "deleted", "bookmark", "status"};
    struct heard *heard = CONTAINER_OF(handler, struct heard, handler);

    heard->count++;
    buffer_printf(&heard->text, "%s ", names[event]);
    show(object, &heard->text);
    buffer_add_byte(&heard->text, ';');
}

static void heard_init(struct heard *heard)
{
    *heard = (struct heard){.handler.event = on_event};
    buffer_init(&heard->text, 1 << 20);
}

/* Feeds the text in steps of so many bytes, and expects what is told. Returns how it ended. */
static int run(enum api_shape shape, const char *text, size_t step, const char *expected, struct api_list_end *ret_end,
               char ret_rv[32])
{
    struct heard heard;
    struct api_stream *stream;
    struct errmsg msg = {""};
    struct slice rest = slice_str(text);
    int r = 0;

    heard_init(&heard);
    assert_int_equal(api_stream_new(&heard.handler, shape, &stream), 0);
    while (rest.len && r == 0) {
        struct slice piece = slice_take(rest, step);

        r = api_stream_feed(stream, piece, &msg);
        rest = slice_skip(rest, piece.len);
    }
    if (r == 0)
        r = api_stream_end(stream);
    else
        assert_true(msg.text[0]);
    buffer_add_byte(&heard.text, '\0');
    if (expected)
        assert_string_equal(heard.text.data, expected);
    if (ret_end) {
        *ret_end = api_stream_list_end(stream);
        snprintf(ret_rv, 32, "%.*s", SLICE_ARGS(ret_end->resource_version));
    }
    api_stream_free(stream);
    buffer_release(&heard.text);
    return r;
}

/* The same at every size of step. */
static void expect(enum api_shape shape, const char *text, int result, const char *expected)
{
    for (size_t step = 1; step <= strlen(text); step++)
        assert_int_equal(run(shape, text, step, expected, NULL, NULL), result);
}

static void test_list(void **state)
{
    const char *text = "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"42\",\"continue\":\"more\"},"
                       "\"items\":[{\"metadata\":{\"name\":\"a\",\"managedFields\":[{\"x\":[1,{}]},2],\"uid\":\"u\"},"
                       "\"spec\":{\"n\":1,\"f\":1.5,\"t\":true,\"l\":[],\"z\":null}},{\"metadata\":{\"name\":\"b\"}}]}\n";
    struct api_list_end end;
    char rv[32];

    expect(API_LIST, text, 0, "item {metadata={name=a uid=u} spec={n=1 f=1.5 t=true l=[] z=null}};item {metadata={name=b}};");
    assert_int_equal(run(API_LIST, text, 7, NULL, &end, rv), 0);
    assert_string_equal(rv, "42");
}

/* What stands behind the items counts too, and lists without any are lists. */
static void test_list_order(void **state)
{
    struct api_list_end end;
    char rv[32];

    assert_int_equal(run(API_LIST, "{\"items\":[{\"a\":1}],\"metadata\":{\"resourceVersion\":\"9\"},\"kind\":\"XList\"}", 5,
                         "item {a=1};", &end, rv), 0);
    assert_string_equal(rv, "9");
    expect(API_LIST, "{\"kind\":\"PodList\",\"metadata\":{},\"items\":[]}", 0, "");
    expect(API_LIST, "{\"kind\":\"PodList\",\"metadata\":{},\"items\":null}", 0, "");
}

static void test_watch(void **state)
{
    expect(API_WATCH,
           "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"}}\n{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"managedFields\":[]}}}\n"
           "{\"type\":\"DELETED\",\"object\":{\"a\":\"b\"}}\n{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}\n"
           "{\"type\":\"NEW\",\"object\":{}}\n{\"type\":\"ADDED\",\"object\":3}\n",
           0, "added {kind=Pod};modified {metadata={}};deleted {a=b};bookmark {metadata={resourceVersion=7}};");
    expect(API_WATCH, "", 0, "");
}

/* 410 comes as an event inside a watch, or as the whole answer. */
static void test_status(void **state)
{
    expect(API_WATCH, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}", 0, "status {kind=Status code=410};");
    expect(API_WATCH, "{\"kind\":\"Status\",\"code\":403}", 0, "status {kind=Status code=403};");
    expect(API_LIST, "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}", 0, "status {kind=Status code=410 reason=Expired};");
}

static void test_texts(void **state)
{
    expect(API_WATCH, "{\"type\":\"ADDED\",\"object\":{\"a\":\"x\\u0000y\\n\\u00e9\",\"b\":\"12\",\"c\":\"\"}}", 0,
           "added {a=x\xef\xbf\xbdy\n\xc3\xa9 b=12 c=};");
}

static void test_cut_off(void **state)
{
    const char *whole = "{\"kind\":\"PodList\",\"items\":[{\"a\":1},{\"b\":2}]}";
    char part[80];

    for (size_t len = 0; len < strlen(whole); len++) {
        snprintf(part, sizeof(part), "%.*s", (int)len, whole);
        assert_int_equal(run(API_LIST, part, 100, NULL, NULL, NULL), -ENODATA);
    }
    assert_int_equal(run(API_WATCH, "{\"type\":\"ADDED\",\"obj", 100, "", NULL, NULL), -ENODATA);
}

static void test_refused(void **state)
{
    static const char *const wrong[] = {"[]", "3 ", "\"a\"", "null", "{]", "{\"a\" 1}", "{\"a\":tru}", "{\"a\":\"\xff\"}", "<html>",
                                        "{\"a\":01}", "{\"items\":[1,]}", "{} {}"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(run(API_LIST, wrong[i], 3, NULL, NULL, NULL), -EINVAL);
}

/* `head`, then `part` so often, in one stream. */
static int run_long(enum api_shape shape, const char *head, const char *part, size_t times)
{
    struct heard heard;
    struct api_stream *stream;
    struct errmsg msg;
    int r;

    heard_init(&heard);
    assert_int_equal(api_stream_new(&heard.handler, shape, &stream), 0);
    r = api_stream_feed(stream, slice_str(head), &msg);
    for (size_t i = 0; i < times && r == 0; i++)
        r = api_stream_feed(stream, slice_str(part), &msg);
    api_stream_free(stream);
    buffer_release(&heard.text);
    return r;
}

static void test_limits(void **state)
{
    static char text[65537];
    size_t million = (size_t)1 << 20;

    assert_int_equal(run_long(API_WATCH, "", "{\"a\":", LIMIT_YAML_DEPTH), 0);
    assert_int_equal(run_long(API_WATCH, "", "{\"a\":", LIMIT_YAML_DEPTH + 1), -ENOBUFS);
    assert_int_equal(run_long(API_WATCH, "{\"a\":[1", ",1", 4 * million), -ENOBUFS);
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(run_long(API_WATCH, "{\"a\":\"", text, 100), -ENOBUFS); /* that never ends */
    assert_int_equal(run_long(API_LIST, "{\"items\":[{\"a\":1}", ",{\"a\":1}", 300000), 0);  /* many, one at a time */
    assert_int_equal(run_long(API_LIST, "{\"items\":[{\"metadata\":{\"managedFields\":[1", ",1", 4 * million), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),    cmocka_unit_test(test_list_order), cmocka_unit_test(test_watch),
        cmocka_unit_test(test_status),  cmocka_unit_test(test_texts),      cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

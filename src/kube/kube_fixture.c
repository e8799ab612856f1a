#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "kube/kube_fixture.h"

static void on_report(struct reporter *reporter, const struct report *report)
{
    struct fixture *fixture = CONTAINER_OF(reporter, struct fixture, reporter);

    buffer_printf(&fixture->reports, "%s ", report_severity_name(report->severity));
    report_format(report, &fixture->reports);
    buffer_add_byte(&fixture->reports, '\n');
}

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct fixture *fixture = CONTAINER_OF(subscriber, struct fixture, subscriber);
    const struct kube_object *any = new ? new : old;

    buffer_printf(&fixture->events, "%c %.*s %.*s%s%.*s%s\n",
                  !old   ? '+'
                  : !new ? '-'
                         : '~',
                  SLICE_ARGS(kube_kind_name(any->kind)), SLICE_ARGS(any->namespace_), any->namespace_.len ? "/" : "",
                  SLICE_ARGS(any->name), any->derived ? " (derived)" : "");
}

void fixture_init(struct fixture *fixture, bool derive)
{
    *fixture = (struct fixture){.reporter.report = on_report};
    buffer_init(&fixture->events, 1u << 20);
    buffer_init(&fixture->reports, 1u << 20);
    assert_int_equal(store_new(1, 2, &fixture->store), 0);
    if (derive)
        assert_int_equal(derive_new(fixture->store, &fixture->derive), 0);
    fixture->subscriber.kinds = STORE_ALL_KINDS;
    fixture->subscriber.on_change = on_change;
    assert_int_equal(store_subscribe(fixture->store, &fixture->subscriber), 0);
    assert_int_equal(directory_new(fixture->store, &fixture->reporter, &fixture->directory), 0);
}

void fixture_release(struct fixture *fixture)
{
    directory_free(fixture->directory);
    store_unsubscribe(fixture->store, &fixture->subscriber);
    if (fixture->derive)
        assert_int_equal(derive_error(fixture->derive), 0);
    derive_free(fixture->derive);
    store_free(fixture->store);
    buffer_release(&fixture->events);
    buffer_release(&fixture->reports);
}

void fixture_apply(struct fixture *fixture, const char *file, const char *text)
{
    assert_int_equal(directory_apply(fixture->directory, slice_str(file), slice_str(text)), 0);
    assert_int_equal(directory_commit(fixture->directory), 0);
}

static void expect(struct buffer *buffer, const char *text)
{
    buffer_add_byte(buffer, '\0');
    assert_int_equal(buffer_error(buffer), 0);
    assert_string_equal(buffer->data, text);
    buffer_clear(buffer);
}

void fixture_expect_events(struct fixture *fixture, const char *text)
{
    expect(&fixture->events, text);
}

void fixture_expect_reports(struct fixture *fixture, const char *text)
{
    expect(&fixture->reports, text);
}

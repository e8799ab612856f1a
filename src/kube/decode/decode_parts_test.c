/* Elements of lists from an API server: what is there once for all objects that have it alike (kube/decode/parts.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "kube/decode/decode_fixture.h"
#include "kube/decode/parts.h"

/* An element of a list from an API server has no kind of its own; what a write alone changes is no change. */
static void test_items(void **state)
{
    static const char *const items[] = {
        "metadata: {name: a, namespace: b, resourceVersion: '1', managedFields: [{manager: x}]}",
        "metadata: {name: a, namespace: b, resourceVersion: '2'}",
        "metadata: {name: a, namespace: b, resourceVersion: '2', labels: {x: other}}",
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}",
    };
    struct decode_result result;
    struct decode_options options = {SLICE_LIT(""), &result.reporter, false};
    struct arena arena;

    decode_result_init(&result);
    arena_init(&arena, 1u << 22);
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        struct yaml_problem problem;
        struct yaml_node *root;

        assert_int_equal(yaml_parse(&arena, slice_str(items[i]), 1, YAML, &root, &problem), 0);
        assert_int_equal(decode_item(root, KUBE_SERVICE_ACCOUNT, SLICE_LIT("v1"), &options, &result.sink), 0);
    }
    arena_release(&arena);
    assert_int_equal(result.count, 4);
    assert_int_equal(result.reports.len, 0);
    assert_int_equal(result.objects[0]->kind, KUBE_SERVICE_ACCOUNT);
    assert_slice(result.objects[0]->version, "v1");
    assert_memory_equal(result.objects[0]->digest, result.objects[1]->digest, 16);
    assert_memory_not_equal(result.objects[1]->digest, result.objects[2]->digest, 16);
    decode_result_release(&result);
}

#define ALIKE(name, app, mount, ip)                                                                                   \
    "{metadata: {name: " name ", namespace: b, uid: u-" name ", resourceVersion: '7', labels: {app: " app "}}, spec: {nodeName: m1, containers: [{name: app, "  \
    "ports: [{name: http, containerPort: 80}], volumeMounts: [{name: " mount "}]}]}, status: {podIP: " ip "}}"

/* What is written alike is there once, whatever else is written beside it; what differs, and nobody reads, does not count. */
static void alike_parts_are_shared(void **state)
{
    static const char *const items[] = {ALIKE("a-0", "a", "x-1", "10.0.0.1"), ALIKE("a-1", "a", "x-2", "10.0.0.2"),
                                        ALIKE("c-0", "c", "x-3", "10.0.0.3")};
    struct decode_result result;
    struct parts parts;
    struct decode_options options = {.reporter = &result.reporter, .parts = &parts, .read_only = true};
    const struct kube_pod *a, *b, *c;
    struct arena arena;

    decode_result_init(&result);
    parts_init(&parts, 1, 2);
    arena_init(&arena, 1u << 22);
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        struct yaml_problem problem;
        struct yaml_node *root;

        assert_int_equal(yaml_parse(&arena, slice_str(items[i]), 1, YAML, &root, &problem), 0);
        assert_int_equal(decode_item(root, KUBE_POD, SLICE_LIT("v1"), &options, &result.sink), 0);
    }
    arena_release(&arena);
    parts_release(&parts); /* objects outlive the table */
    assert_int_equal(result.count, 3);
    a = kube_pod(result.objects[0]);
    b = kube_pod(result.objects[1]);
    c = kube_pod(result.objects[2]);
    assert_int_equal(a->meta.uid.len + a->meta.resource_version.len, 0);
    assert_null(a->meta.arena.blocks); /* just as much memory as it takes */
    assert_ptr_equal(a->spec.containers, b->spec.containers);
    assert_ptr_equal(a->spec.containers, c->spec.containers);
    assert_ptr_equal(a->meta.labels.items, b->meta.labels.items);
    assert_ptr_not_equal(a->meta.labels.items, c->meta.labels.items);
    assert_slice(a->meta.name, "a-0");
    assert_slice(b->meta.name, "a-1");
    assert_slice(kube_map_get_lit(&b->meta.labels, "app"), "a");
    assert_slice(kube_map_get_lit(&c->meta.labels, "app"), "c");
    assert_slice(c->meta.namespace_, "b");
    assert_slice(c->spec.node_name, "m1");
    assert_int_equal(c->spec.containers[0].ports[0].port, 80);
    assert_true(ip_eq(c->status.pod_ips[0].ip, address_of("10.0.0.3")));
    decode_result_release(&result);
}

/* "ab" and "c" side by side are not "a" and "bc", and a text is no number. */
static void parts_are_told_apart(void **state)
{
    static const char *const labels[] = {"{ab: c}", "{a: bc}", "{a: b, c: d}", "{a: 'b,c: d'}", "{a: '1'}", "{c: d, a: b}"};
    struct decode_result result;
    struct parts parts;
    struct decode_options options = {.reporter = &result.reporter, .parts = &parts};
    struct arena arena;

    decode_result_init(&result);
    parts_init(&parts, 1, 2);
    arena_init(&arena, 1u << 22);
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        struct yaml_problem problem;
        struct yaml_node *root;
        char text[200];

        snprintf(text, sizeof(text), "metadata: {name: a, namespace: b, labels: %s}", labels[i]);
        assert_int_equal(yaml_parse(&arena, slice_str(text), 1, YAML, &root, &problem), 0);
        assert_int_equal(decode_item(root, KUBE_SERVICE_ACCOUNT, SLICE_LIT("v1"), &options, &result.sink), 0);
    }
    arena_release(&arena);
    assert_int_equal(result.count, 6);
    assert_slice(kube_map_get_lit(&result.objects[0]->labels, "ab"), "c");
    assert_slice(kube_map_get_lit(&result.objects[1]->labels, "a"), "bc");
    assert_slice(kube_map_get_lit(&result.objects[2]->labels, "c"), "d");
    assert_slice(kube_map_get_lit(&result.objects[3]->labels, "a"), "b,c: d");
    assert_slice(kube_map_get_lit(&result.objects[4]->labels, "a"), "1");
    assert_slice(kube_map_get_lit(&result.objects[5]->labels, "a"), "b");
    decode_result_release(&result);
    parts_release(&parts);
}

/* What no object has any more goes when there are many. */
static void parts_of_nobody_go(void **state)
{
    struct parts parts;
    struct kube_part *kept, *found;

    parts_init(&parts, 1, 2);
    kept = part_new(SLICE_LIT("kept"), 8);
    assert_int_equal(parts_add(&parts, kept), 0);
    for (int i = 0; i < 3000; i++) {
        char text[16];
        struct kube_part *part;

        snprintf(text, sizeof(text), "%d", i);
        part = part_new(slice_str(text), 8);
        assert_int_equal(parts_add(&parts, part), 0);
        part_unref(part);
    }
    assert_true(parts.by_text.count < 1100);
    found = parts_find(&parts, SLICE_LIT("kept"));
    assert_ptr_equal(found, kept);
    part_unref(found);
    part_unref(kept);
    parts_release(&parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(alike_parts_are_shared),
        cmocka_unit_test(parts_are_told_apart),
        cmocka_unit_test(parts_of_nobody_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

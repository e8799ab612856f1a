#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "inject/inject_fixture.h"

#include <stdio.h>

#include "template/from_yaml.h"

static json_t *chart_values(void)
{
    json_t *values = NULL;
    struct errmsg msg;

    for (size_t i = 0; i < chart_files_count; i++)
        if (strcmp(chart_files[i].name, "linkerd-control-plane/values.yaml") == 0)
            assert_int_equal(from_yaml(slice_of(chart_files[i].text, chart_files[i].len), "values.yaml", true, &msg, &values), 0);
    assert_non_null(values);
    return values;
}

void fixture_setup(struct fixture *fixture, const json_t *changes)
{
    struct injector_setup setup = {.trust_anchors = FIXTURE_ANCHORS, .namespace_ = "linkerd", .created_by = "linkerd/proxy-injector test"};
    struct errmsg msg = {""};

    fixture->values = chart_values();
    if (changes)
        assert_int_equal(json_object_update_recursive(fixture->values, (json_t *)(uintptr_t)changes), 0);
    assert_int_equal(inject_templates(chart_files, chart_files_count, &msg, &fixture->templates), 0);
    setup.templates = fixture->templates;
    setup.values = fixture->values;
    if (injector_new(&setup, &msg, &fixture->injector) < 0)
        fail_msg("%s", msg.text);
}

void fixture_teardown(struct fixture *fixture)
{
    injector_free(fixture->injector);
    template_set_free(fixture->templates);
    json_decref(fixture->values);
}

json_t *fixture_load(const char *name)
{
    char path[1024];
    json_error_t error;
    json_t *tree;

    snprintf(path, sizeof(path), TESTDATA "/%s", name);
    tree = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!tree)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return tree;
}

json_t *fixture_object(const json_t *objects, const json_t *test)
{
    json_t *object = json_deep_copy(json_object_get(objects, json_string_value(json_object_get(test, "object"))));
    json_t *merge = json_object_get(test, "merge"), *annotations = json_object_get(test, "annotations");
    struct workload workload;

    assert_non_null(object);
    if (merge)
        assert_int_equal(json_object_update_recursive(object, merge), 0);
    workload_read(object, &workload);
    if (annotations) {
        json_t *meta = workload.meta ? workload.meta : member_object(object, "metadata");

        assert_int_equal(json_object_update_new(meta, json_pack("{s:O}", "annotations", annotations)), 0);
    }
    return object;
}

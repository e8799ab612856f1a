#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/duration.h"
#include "kube/status.h"

static struct arena arena;

static const struct status_entry service = {
    .group = {"core", 4}, .kind = {"Service", 7}, .namespace_ = {"shop", 4}, .name = {"web", 3}, .port = 80,
    .conditions = {{"Accepted", true, "Accepted", ""}, {"ResolvedRefs", false, "BackendNotFound", "no \"x\""}}, .condition_count = 2};

static int setup(void **state)
{
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static const struct yaml_node *parse(const char *text)
{
    struct yaml_problem problem;
    struct yaml_node *root;

    assert_int_equal(yaml_parse(&arena, slice_str(text), 1, JSON, &root, &problem), 0);
    return root;
}

#define FOREIGN "{\"parentRef\":{\"name\":\"gw\",\"port\":8443},\"controllerName\":\"other.io/gateway\",\"conditions\":[{\"type\":\"Accepted\",\"status\":\"Unknown\",\"n\":1.50,\"b\":true,\"x\":null}]}"
#define REF "{\"parentRef\":{\"group\":\"core\",\"kind\":\"Service\",\"namespace\":\"shop\",\"name\":\"web\",\"port\":80},\"controllerName\":\"linkerd.io/policy-controller\",\"conditions\":["
#define ACCEPTED(status, reason, time, generation) \
    "{\"type\":\"Accepted\",\"status\":\"" status "\",\"reason\":\"" reason "\",\"message\":\"\",\"lastTransitionTime\":\"" time "\",\"observedGeneration\":" generation "}"
#define UNRESOLVED(time, generation) \
    "{\"type\":\"ResolvedRefs\",\"status\":\"False\",\"reason\":\"BackendNotFound\",\"message\":\"no \\\"x\\\"\",\"lastTransitionTime\":\"" time "\",\"observedGeneration\":" generation "}"
#define META "\"metadata\":{\"resourceVersion\":\"7\",\"generation\":3}"
#define OLD "2020-01-01T00:00:00Z"
#define NOW "2023-11-14T22:13:20Z"
static const int64_t now_ns = INT64_C(1700000000) * NS_PER_S;

/* Whether the document says what the entries say, of its generation 3. */
static void check_digest(const char *object, enum kube_kind kind, const struct status_entry *entries, size_t count, bool equal)
{
    bool found = status_digest_document(parse(object), kind) == status_digest(entries, count, 3);

    if (found != equal)
        fail_msg("%s: %s", object, found ? "equal" : "different");
}

static void test_routes(void **state)
{
    struct buffer out;

    buffer_init(&out, 1 << 16);
    assert_int_equal(status_write_patch(parse("{" META "}"), KUBE_HTTP_ROUTE, &service, 1, now_ns, &out), 0);
    buffer_add_byte(&out, '\0');
    assert_string_equal(out.data, "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"parents\":[" REF ACCEPTED("True", "Accepted", NOW, "3") "," UNRESOLVED(NOW, "3") "]}]}}");
    buffer_clear(&out);
    /* Foreign parents stay as they are; times stay where the status does; a parent that is no more goes. */
    assert_int_equal(status_write_patch(parse("{" META ",\"status\":{\"parents\":[" REF ACCEPTED("False", "NoMatchingParent", OLD, "2") "," UNRESOLVED(OLD, "2") "]},"
                                              "{\"parentRef\":{\"name\":\"gone\"},\"controllerName\":\"linkerd.io/policy-controller\"}," FOREIGN "]}}"),
                                        KUBE_GRPC_ROUTE, &service, 1, now_ns, &out), 0);
    buffer_add_byte(&out, '\0');
    assert_string_equal(out.data, "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"parents\":[" FOREIGN "," REF ACCEPTED("True", "Accepted", NOW, "3") "," UNRESOLVED(OLD, "3") "]}]}}");
    buffer_clear(&out);
    assert_int_equal(status_write_patch(parse("{" META ",\"status\":{\"parents\":[" REF "]}," FOREIGN "]}}"), KUBE_HTTP_ROUTE, NULL, 0, now_ns, &out), 0);
    buffer_add_byte(&out, '\0');
    assert_string_equal(out.data, "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"parents\":[" FOREIGN "]}}");
    buffer_release(&out);
}

static void test_digests(void **state)
{
    const enum kube_kind kind = KUBE_HTTP_ROUTE;

    check_digest("{" META ",\"status\":{\"parents\":[" FOREIGN "," REF ACCEPTED("True", "Accepted", OLD, "3") "," UNRESOLVED(OLD, "3") "]}]}}", kind, &service, 1, true);
    check_digest("{" META ",\"status\":{\"parents\":[" REF ACCEPTED("True", "Accepted", OLD, "2") "," UNRESOLVED(OLD, "3") "]}]}}", kind, &service, 1, false);
    check_digest("{" META ",\"status\":{\"parents\":[" REF ACCEPTED("False", "Accepted", OLD, "3") "," UNRESOLVED(OLD, "3") "]}]}}", kind, &service, 1, false);
    check_digest("{" META ",\"status\":{\"parents\":[" REF ACCEPTED("True", "Other", OLD, "3") "," UNRESOLVED(OLD, "3") "]}]}}", kind, &service, 1, false);
    check_digest("{" META ",\"status\":{\"parents\":[" REF UNRESOLVED(OLD, "3") "]}]}}", kind, &service, 1, false);
    check_digest("{" META "}", kind, &service, 1, false);
    check_digest("{" META "}", kind, NULL, 0, true);
    check_digest("{" META ",\"status\":{\"parents\":[" FOREIGN "]}}", kind, NULL, 0, true);
    check_digest("{" META ",\"status\":{\"parents\":{},\"conditions\":1}}", kind, NULL, 0, true);
    check_digest("{" META ",\"status\":{\"parents\":[" REF ACCEPTED("True", "Accepted", OLD, "3") "]}]}}", kind, NULL, 0, false);
}

/* Definitions that drop observedGeneration do not make us write for ever. */
static void test_without_generation(void **state)
{
    static const struct status_entry egress = {.conditions = {{"Accepted", true, "Accepted", ""}}, .condition_count = 1};

    check_digest("{" META ",\"status\":{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"Accepted\",\"message\":\"\"}]}}", KUBE_EGRESS_NETWORK,
                 &egress, 1, true);
}

static void test_targets(void **state)
{
    static const struct status_entry limit = {.group = {"policy.linkerd.io", 17}, .kind = {"Server", 6}, .name = {"web", 3},
                                              .conditions = {{"Accepted", false, "NoMatchingTarget", "m"}}, .condition_count = 1};
    struct buffer out;

    buffer_init(&out, 1 << 16);
    assert_int_equal(status_write_patch(parse("{" META ",\"status\":{\"conditions\":[{\"type\":\"Theirs\"},{\"type\":\"Accepted\",\"status\":\"False\",\"lastTransitionTime\":\"" OLD "\"}]}}"),
                                        KUBE_RATE_LIMIT_POLICY, &limit, 1, now_ns, &out), 0);
    buffer_add_byte(&out, '\0');
    assert_string_equal(out.data, "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"conditions\":[{\"type\":\"Theirs\"},"
                                  "{\"type\":\"Accepted\",\"status\":\"False\",\"reason\":\"NoMatchingTarget\",\"message\":\"m\",\"lastTransitionTime\":\"" OLD "\",\"observedGeneration\":3}],"
                                  "\"targetRef\":{\"group\":\"policy.linkerd.io\",\"kind\":\"Server\",\"name\":\"web\"}}}");
    buffer_release(&out);
    check_digest("{" META ",\"status\":{\"targetRef\":{\"group\":\"policy.linkerd.io\",\"kind\":\"Server\",\"name\":\"web\"},"
                 "\"conditions\":[{\"type\":\"Theirs\"},{\"type\":\"Accepted\",\"status\":\"False\",\"reason\":\"NoMatchingTarget\",\"message\":\"m\",\"observedGeneration\":3}]}}",
                 KUBE_RATE_LIMIT_POLICY, &limit, 1, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_routes, setup, teardown), cmocka_unit_test_setup_teardown(test_digests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_generation, setup, teardown), cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

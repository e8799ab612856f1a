#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "mesh/authz.h"
#include "mesh/default_policy.h"
#include "mesh/prepare.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct cidr net(const char *text)
{
    struct cidr cidr = {0};

    assert_int_equal(cidr_parse(slice_str(text), &cidr), 0);
    return cidr;
}

/* "" in id: no certificate; NULL: plaintext. */
static struct authz_client client(const char *ip, const char *id)
{
    struct authz_client c = {.mesh_tls = id != NULL, .identity = identity_parse(slice_str(id))};

    assert_int_equal(ip_parse(slice_str(ip), &c.ip), 0);
    return c;
}

static void networks(void **state)
{
    static const struct {
        const char *net, *except[2], *ip;
        bool expected;
    } cases[] = {
        {"10.0.0.0/8", {NULL}, "10.1.2.3", true},
        {"10.0.0.0/8", {NULL}, "11.1.2.3", false},
        {"10.0.0.0/8", {"10.1.0.0/16"}, "10.1.2.3", false},
        {"10.0.0.0/8", {"10.1.0.0/16"}, "10.2.2.3", true},
        {"10.0.0.0/8", {"10.1.0.0/16", "10.2.2.3/32"}, "10.2.2.3", false},
        {"10.0.0.0/8", {"0.0.0.0/0"}, "10.2.2.3", false},
        {"0.0.0.0/0", {NULL}, "::1", false},
        {"::/0", {NULL}, "10.0.0.1", false},
        {"::/0", {NULL}, "2001:db8::1", true},
        {"0.0.0.0/0", {NULL}, "::ffff:10.0.0.1", true}, /* one host has one spelling */
        {"2001:db8::/32", {"2001:db8:1::/48"}, "2001:db8:1::1", false},
        {"192.0.2.7/32", {NULL}, "192.0.2.7", true},
        {"192.0.2.7/32", {NULL}, "192.0.2.8", false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct cidr except[2];
        struct authz_network network = {.net = net(cases[i].net), .except = except};
        struct authorization authorization = {&network, 1, AUTHZ_UNAUTHENTICATED};
        struct authz_client c = client(cases[i].ip, NULL);

        for (size_t j = 0; j < 2 && cases[i].except[j]; j++)
            except[network.except_count++] = net(cases[i].except[j]);
        assert_int_equal(authz_covers(&authorization, &c), cases[i].expected);
    }
}

static void no_network_covers_nobody(void **state)
{
    struct authorization authorization = {.authentication = AUTHZ_UNAUTHENTICATED};
    struct authz_client c = client("10.0.0.1", "a.b");

    assert_false(authz_covers(&authorization, &c));
}

static void several_networks(void **state)
{
    struct cidr except = net("10.1.0.0/16");
    struct authz_network list[] = {{net("10.0.0.0/8"), &except, 1}, {net("10.1.2.0/24"), NULL, 0}};
    struct authorization authorization = {list, 2, AUTHZ_UNAUTHENTICATED};
    struct authz_client inside = client("10.1.2.3", NULL), outside = client("10.1.3.3", NULL);

    assert_true(authz_covers(&authorization, &inside)); /* an exception counts for its own network only */
    assert_false(authz_covers(&authorization, &outside));
}

static void authentication(void **state)
{
    static const struct {
        enum authz_authentication kind;
        const char *identity, *suffix; /* of the authorization; NULL: none */
        const char *client;
        bool expected;
    } cases[] = {
        {AUTHZ_UNAUTHENTICATED, NULL, NULL, NULL, true},
        {AUTHZ_UNAUTHENTICATED, NULL, NULL, "web.ns", true},
        {AUTHZ_TLS_UNAUTHENTICATED, NULL, NULL, NULL, false},
        {AUTHZ_TLS_UNAUTHENTICATED, NULL, NULL, "", true},
        {AUTHZ_TLS_UNAUTHENTICATED, NULL, NULL, "web.ns", true},
        {AUTHZ_TLS_AUTHENTICATED, NULL, "", NULL, false},
        {AUTHZ_TLS_AUTHENTICATED, NULL, "", "", false},
        {AUTHZ_TLS_AUTHENTICATED, NULL, "", "web.ns", true},
        {AUTHZ_TLS_AUTHENTICATED, NULL, NULL, "web.ns", false}, /* nobody is named */
        {AUTHZ_TLS_AUTHENTICATED, "web.ns", NULL, "web.ns", true},
        {AUTHZ_TLS_AUTHENTICATED, "web.ns", NULL, "web.nss", false},
        {AUTHZ_TLS_AUTHENTICATED, "web.ns", NULL, "Web.ns", false}, /* byte for byte */
        {AUTHZ_TLS_AUTHENTICATED, "web.ns", NULL, NULL, false},
        {AUTHZ_TLS_AUTHENTICATED, NULL, ".ns", "web.ns", true},
        {AUTHZ_TLS_AUTHENTICATED, NULL, ".ns", "a.web.ns", true},
        {AUTHZ_TLS_AUTHENTICATED, NULL, ".ns", "webns", false},
        {AUTHZ_TLS_AUTHENTICATED, NULL, ".ns", "ns", false},
        {AUTHZ_TLS_AUTHENTICATED, NULL, ".", "web.ns", false},
        {AUTHZ_TLS_AUTHENTICATED, "x.y", ".ns", "web.ns", true},
        {AUTHZ_TLS_AUTHENTICATED, "spiffe://root/web", NULL, "spiffe://root/web", true},
        {AUTHZ_TLS_AUTHENTICATED, "spiffe://root/web", NULL, "spiffe://root/web2", false},
        {AUTHZ_TLS_AUTHENTICATED, NULL, "", "spiffe://root/web", false}, /* suffixes are for DNS-like names */
        {AUTHZ_TLS_AUTHENTICATED, NULL, "web", "spiffe://root/web", false},
    };
    struct authz_network all = {.net = net("0.0.0.0/0")};

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice identity = slice_str(cases[i].identity), suffix = slice_str(cases[i].suffix);
        struct authorization authorization = {.networks = &all, .network_count = 1,
                                              .authentication = cases[i].kind,
                                              .identities = &identity, .identity_count = cases[i].identity != NULL,
                                              .suffixes = &suffix, .suffix_count = cases[i].suffix != NULL};
        struct authz_client c = client("10.0.0.1", cases[i].client);

        if (authz_covers(&authorization, &c) != cases[i].expected)
            fail_msg("case %zu", i);
    }
}

/* An identity without TLS of ours can only be a mistake in the program; it still opens nothing. */
static void identity_without_tls(void **state)
{
    struct authz_network all = {.net = net("0.0.0.0/0")};
    struct slice any = SLICE_LIT("");
    struct authorization authorization = {.networks = &all, .network_count = 1, .suffixes = &any, .suffix_count = 1,
                                          .authentication = AUTHZ_TLS_AUTHENTICATED};
    struct authz_client c = client("10.0.0.1", "web.ns");

    c.mesh_tls = false;
    assert_false(authz_covers(&authorization, &c));
}

static void nul_in_a_name(void **state)
{
    struct authz_network all = {.net = net("0.0.0.0/0")};
    struct slice allowed = SLICE_LIT("admin.ns");
    struct authorization authorization = {.networks = &all, .network_count = 1, .identities = &allowed,
                                          .identity_count = 1, .authentication = AUTHZ_TLS_AUTHENTICATED};
    struct authz_client c = client("10.0.0.1", "x.y");

    c.identity.name = slice_of("admin.ns\0.evil.example", 22);
    assert_false(authz_covers(&authorization, &c));
    c.identity.name = slice_of("admin.n", 7);
    assert_false(authz_covers(&authorization, &c));
}

static void lists(void **state)
{
    struct authz_network ten = {.net = net("10.0.0.0/8")}, eleven = {.net = net("11.0.0.0/8")};
    struct authorization of_policy = {&ten, 1, AUTHZ_UNAUTHENTICATED}, of_route = {&eleven, 1, AUTHZ_UNAUTHENTICATED};
    struct inbound_route route = {.authorizations = &of_route, .authorization_count = 1}, bare = {0};
    struct inbound_policy *policy = inbound_policy_new();
    struct authz_client a = client("10.0.0.1", NULL), b = client("11.0.0.1", NULL), local = client("127.0.0.1", NULL),
                        local6 = client("::1", NULL), other = client("127.0.0.2", NULL);
    const struct authorization *by;

    policy->authorizations = &of_policy;
    policy->authorization_count = 1;
    assert_null(authz_connection(policy, &local));
    assert_int_equal(inbound_policy_prepare(policy), 0);
    assert_non_null(authz_connection(policy, &a));
    assert_null(authz_connection(policy, &b));
    assert_null(authz_connection(policy, &other));
    by = authz_connection(policy, &local);
    assert_true(by && slice_eq(by->metadata.name, SLICE_LIT("localhost")));
    assert_ptr_equal(authz_connection(policy, &local6), by);
    assert_ptr_equal(authz_request(policy, &route, &b), &of_route);
    assert_true(authz_request(policy, &route, &a) != NULL);
    assert_null(authz_request(policy, &bare, &b));
    assert_ptr_equal(authz_request(policy, &bare, &local), by);
    inbound_policy_unref(policy);
}

static void defaults(void **state)
{
    static const struct {
        const char *name;
        bool allowed[5]; /* see below */
    } cases[] = {
        {"all-unauthenticated", {true, true, true, true, true}},
        {"all-authenticated", {false, true, false, true, false}},
        {"cluster-unauthenticated", {true, true, false, false, false}},
        {"cluster-authenticated", {false, true, false, false, false}},
        {"audit", {true, true, true, true, true}},
        {"deny", {false, false, false, false, false}},
    };
    struct authz_client clients[] = {
        client("10.0.0.1", NULL), client("10.0.0.1", "web.ns"), client("192.0.2.1", NULL),
        client("192.0.2.1", "web.ns"), client("2001:db8::1", ""),
    };
    struct cidr cluster[] = {net("10.0.0.0/8"), net("fd00::/8")};

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum default_policy kind;
        struct inbound_policy *policy;

        assert_int_equal(default_policy_parse(slice_str(cases[i].name), &kind), 0);
        assert_true(slice_eq(default_policy_name(kind), slice_str(cases[i].name)));
        policy = default_policy_new(kind, cluster, 2, 10);
        assert_int_equal(policy->protocol, INBOUND_DETECT);
        assert_int_equal(policy->route_count, 1);
        for (size_t j = 0; j < 5; j++) {
            const struct authorization *by = authz_request(policy, policy->routes, &clients[j]);

            if ((by != NULL) != cases[i].allowed[j])
                fail_msg("%s, client %zu", cases[i].name, j);
            assert_true(!by || slice_eq(by->metadata.name, slice_str(cases[i].name)));
            assert_true(!by || authz_is_audit(by) == (kind == DEFAULT_AUDIT));
            assert_ptr_equal(authz_connection(policy, &clients[j]), by);
        }
        inbound_policy_unref(policy);
    }
}

static void default_names_are_checked(void **state)
{
    static const char *const bad[] = {"", "allow", "Deny", "deny ", "all-unauthenticate", "cluster"};
    enum default_policy kind;

    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(default_policy_parse(slice_str(bad[i]), &kind), -EINVAL);
    assert_int_equal(default_policy_require_identity(DEFAULT_ALL_UNAUTHENTICATED), DEFAULT_ALL_AUTHENTICATED);
    assert_int_equal(default_policy_require_identity(DEFAULT_CLUSTER_UNAUTHENTICATED), DEFAULT_CLUSTER_AUTHENTICATED);
    assert_int_equal(default_policy_require_identity(DEFAULT_DENY), DEFAULT_DENY);
}

/* A cluster without networks: nobody, not everybody. */
static void cluster_without_networks(void **state)
{
    struct inbound_policy *policy = default_policy_new(DEFAULT_CLUSTER_UNAUTHENTICATED, NULL, 0, 10);
    struct authz_client c = client("10.0.0.1", "web.ns");

    assert_null(authz_connection(policy, &c));
    inbound_policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks),
        cmocka_unit_test(no_network_covers_nobody),
        cmocka_unit_test(several_networks),
        cmocka_unit_test(authentication),
        cmocka_unit_test(identity_without_tls),
        cmocka_unit_test(nul_in_a_name),
        cmocka_unit_test(lists),
        cmocka_unit_test(defaults),
        cmocka_unit_test(default_names_are_checked),
        cmocka_unit_test(cluster_without_networks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "sim/identity.h"

#include "base/duration.h"
#include "net/x509/x509_issuer.h"

#define MUST(what)                                                                              \
    do {                                                                                        \
        if (!(what)) {                                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                          \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

static const struct x509_validity YEAR = {INT64_C(365) * 86400 * NS_PER_S, 20 * NS_PER_S};

/* An anchor and an issuer below it, as `linkerd certs` makes them. */
struct authority {
    struct x509_key *anchor_key, *key;
    struct x509_cert *anchor, *cert;
    struct x509_bundle anchors, chain;
    struct x509_issuer *issuer;
};

struct identities {
    struct authority authorities[2]; /* by enum issuer; the second one nobody believes */
};

static int64_t wall(const struct world *world)
{
    return world->wall_ns + world->now_ns;
}

static void authority_init(struct authority *authority, const char *name, int64_t wall_ns)
{
    *authority = (struct authority){0};
    MUST(x509_key_new(&authority->anchor_key) == 0 && x509_key_new(&authority->key) == 0);
    MUST(x509_make_anchor(authority->anchor_key, slice_str(name), wall_ns, &YEAR, NULL, &authority->anchor) == 0);
    MUST(x509_make_issuer(authority->anchor_key, authority->anchor, authority->key, SLICE_LIT("identity.linkerd.cluster.local"),
                          wall_ns, &YEAR, NULL, &authority->cert) == 0);
    MUST(x509_bundle_add(&authority->anchors, authority->anchor) == 0 && x509_bundle_add(&authority->chain, authority->cert) == 0);
    MUST(x509_issuer_new(authority->key, &authority->chain, &authority->anchors, wall_ns, NULL, &authority->issuer) == 0);
}

static void authority_release(struct authority *authority)
{
    x509_issuer_free(authority->issuer);
    x509_bundle_release(&authority->anchors);
    x509_bundle_release(&authority->chain);
    x509_cert_unref(authority->anchor);
    x509_cert_unref(authority->cert);
    x509_key_unref(authority->anchor_key);
    x509_key_unref(authority->key);
}

static struct identities *identities_of(struct world *world)
{
    if (!world->identities) {
        world->identities = calloc(1, sizeof(*world->identities));
        MUST(world->identities);
        authority_init(&world->identities->authorities[ISSUER_OF_MESH], "root.linkerd.cluster.local", wall(world));
        authority_init(&world->identities->authorities[ISSUER_UNKNOWN], "root.elsewhere", wall(world));
    }
    return world->identities;
}

/* The leaf and what lies between it and the anchor. */
static void issue(const struct authority *authority, const struct x509_key *key, struct san name, int64_t wall_ns, int64_t lifetime_ns,
                  struct x509_bundle *ret_chain)
{
    struct x509_validity validity = {lifetime_ns, 1 * NS_PER_S};
    struct x509_csr *csr;
    struct x509_cert *leaf;
    struct buffer der;

    *ret_chain = (struct x509_bundle){0};
    buffer_init(&der, 65536);
    MUST(x509_csr_new(key, name, &der) == 0 && x509_csr_read(buffer_slice(&der), NULL, &csr) == 0);
    MUST(x509_issue(authority->issuer, csr, name, wall_ns, &validity, NULL, &leaf) == 0);
    MUST(x509_bundle_add(ret_chain, leaf) == 0 && x509_bundle_add(ret_chain, authority->cert) == 0);
    x509_cert_unref(leaf);
    x509_csr_free(csr);
    buffer_release(&der);
}

/* A stranger believes those whom it is to deceive. */
struct tls_credentials *identity_issue(struct world *world, const char *name, int64_t lifetime_ns, enum issuer issuer)
{
    struct identities *identities = identities_of(world);
    struct san own = san_parse(slice_str(name));
    struct tls_credentials *credentials;
    struct x509_bundle chain, anchors = {0};
    struct x509_key *key;

    MUST(x509_key_new(&key) == 0);
    issue(&identities->authorities[issuer], key, own, wall(world), lifetime_ns, &chain);
    MUST(x509_bundle_add(&anchors, identities->authorities[ISSUER_OF_MESH].anchor) == 0);
    if (issuer != ISSUER_OF_MESH)
        MUST(x509_bundle_add(&anchors, identities->authorities[issuer].anchor) == 0);
    MUST(tls_credentials_new(key, &chain, own, &anchors, wall(world), NULL, &credentials) == 0);
    x509_bundle_release(&chain);
    x509_bundle_release(&anchors);
    x509_key_unref(key);
    return credentials;
}

void identity_release(struct world *world)
{
    if (!world->identities)
        return;
    authority_release(&world->identities->authorities[ISSUER_OF_MESH]);
    authority_release(&world->identities->authorities[ISSUER_UNKNOWN]);
    free(world->identities);
    world->identities = NULL;
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cni/network.h"

#define ENTRY "{\"type\":\"linkerd-cni\"}"
#define LIST "{ \"cniVersion\": \"1.0.0\",\n  \"plugins\": [ {\"type\": \"bridge\"} ]\n}\n"
#define SINGLE "{ \"cniVersion\": \"0.4.0\", \"name\": \"n\", \"type\": \"bridge\" }\n"

/* A directory of the test's own; from call `dies_at` on nothing changes any more, as if the program were gone. */
struct world {
    char path[64];
    struct folder folder;
    struct network network;
    struct buffer problems;
    struct errmsg msg;
    unsigned calls, dies_at;
};

static int gate(void *owner, const char *call, const char *name)
{
    struct world *world = owner;

    return world->dies_at && ++world->calls >= world->dies_at ? -EIO : 0;
}

static void begin(struct world *world)
{
    *world = (struct world){.path = "/tmp/network-test-XXXXXX"};
    assert_non_null(mkdtemp(world->path));
    assert_int_equal(folder_open(&world->folder, world->path, &world->msg), 0);
    world->folder.gate = gate;
    world->folder.owner = world;
    buffer_init(&world->problems, 65536);
}

static bool all(struct slice name)
{
    return !slice_eq(name, SLICE_LIT(".")) && !slice_eq(name, SLICE_LIT(".."));
}

static void empty(struct world *world)
{
    struct folder_names names;

    assert_int_equal(folder_names(&world->folder, all, &names, NULL), 0);
    for (size_t i = 0; i < names.count; i++)
        assert_int_equal(unlinkat(world->folder.fd, names.names[i], 0), 0);
    folder_names_release(&names);
}

static void end(struct world *world)
{
    empty(world);
    folder_close(&world->folder);
    rmdir(world->path);
    buffer_release(&world->problems);
}

static void write_file(struct world *world, const char *name, const char *text)
{
    int fd = openat(world->folder.fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, 0640), 0);
    close(fd);
}

/* Everything there: "name mode text" of each file. */
static void snapshot(struct world *world, char *to, size_t size)
{
    struct folder_names names;
    size_t at = 0;

    to[0] = 0;
    assert_int_equal(folder_names(&world->folder, all, &names, NULL), 0);
    for (size_t i = 0; i < names.count && at < size; i++) {
        struct buffer text;
        struct stat status;

        buffer_init(&text, LIMIT_CNI_CONFIG);
        assert_int_equal(folder_read(&world->folder, names.names[i], &text, &status, NULL), 0);
        at += (size_t)snprintf(to + at, size - at, "%s %o %.*s\n", names.names[i], (unsigned)status.st_mode, SLICE_ARGS(buffer_slice(&text)));
        buffer_release(&text);
    }
    folder_names_release(&names);
}

static int apply_at(struct world *world, int64_t now, enum network_state *ret_state)
{
    buffer_clear(&world->problems);
    return network_apply(&world->network, &world->folder, SLICE_LIT(ENTRY), now, &world->problems, ret_state, &world->msg);
}

static enum network_state apply(struct world *world)
{
    enum network_state state = NETWORK_NONE;

    world->network = (struct network){0};
    assert_int_equal(apply_at(world, 0, &state), 0);
    return state;
}

static bool revert(struct world *world)
{
    bool changed = false;

    buffer_clear(&world->problems);
    assert_int_equal(network_revert(&world->folder, &world->problems, &changed, &world->msg), 0);
    return changed;
}

static const struct {
    const char *first, *text, *chosen;
} nodes[] = {
    {"10-a.conflist", LIST, "10-a.conflist"},
    {"10-a.conf", SINGLE, "10-a.conflist"},
    {"10-a.json", SINGLE, "10-a.conflist"},
};

static void fill(struct world *world, size_t node)
{
    empty(world);
    write_file(world, "05-broken.conflist", "{");
    write_file(world, nodes[node].first, nodes[node].text);
    write_file(world, "20-b.conflist", LIST);
    write_file(world, "99-loopback.conf", "{\"cniVersion\":\"1.0.0\",\"type\":\"loopback\"}");
    write_file(world, "whatever", "x");
}

static const char *read_file(struct world *world, const char *name)
{
    static char text[4096];
    struct buffer bytes;

    buffer_init(&bytes, LIMIT_CNI_CONFIG);
    assert_int_equal(folder_read(&world->folder, name, &bytes, NULL, &world->msg), 0);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(buffer_slice(&bytes)));
    buffer_release(&bytes);
    return text;
}

static void test_there_and_back(void **state)
{
    static char before[8192], with[8192], after[8192];
    struct world world;

    begin(&world);
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        fill(&world, i);
        snapshot(&world, before, sizeof(before));
        assert_int_equal(apply(&world), NETWORK_WRITTEN);
        assert_non_null(strstr(world.problems.data, "05-broken.conflist cannot take our entry"));
        assert_non_null(strstr(read_file(&world, nodes[i].chosen), "}," ENTRY));
        assert_null(strstr(read_file(&world, "20-b.conflist"), "linkerd"));
        snapshot(&world, with, sizeof(with));
        assert_int_equal(apply(&world), NETWORK_IS_THERE);
        snapshot(&world, after, sizeof(after));
        assert_string_equal(with, after);
        assert_true(revert(&world));
        assert_false(revert(&world));
        snapshot(&world, after, sizeof(after));
        assert_string_equal(before, after);
    }
    end(&world);
}

/* Applies, or reverts, and dies at every call that changes something; whoever comes next finishes it. */
static void test_killed_at_every_call(void **state)
{
    static char before[8192], after[8192];
    struct world world;
    unsigned deaths = 0;

    begin(&world);
    for (size_t node = 0; node < sizeof(nodes) / sizeof(nodes[0]); node++)
        for (unsigned how = 0; how < 4; how++) /* bit 0: dies in revert; bit 1: the next one applies before it reverts */
            for (unsigned dies_at = 1, survived = 0; !survived; dies_at++, deaths++) {
                enum network_state ignored;
                bool changed;
                int r;

                assert_true(dies_at < 100);
                fill(&world, node);
                snapshot(&world, before, sizeof(before));
                if (how & 1)
                    apply(&world);
                world.network = (struct network){0};
                world.calls = 0;
                world.dies_at = dies_at;
                r = how & 1 ? network_revert(&world.folder, &world.problems, &changed, &world.msg) : apply_at(&world, 0, &ignored);
                survived = world.calls < dies_at;
                assert_true(survived || r < 0);
                world.dies_at = 0;
                assert_int_equal(folder_sweep(&world.folder, &world.msg), 0);
                if (how & 2) {
                    apply(&world);
                    assert_non_null(strstr(read_file(&world, nodes[node].chosen), ENTRY));
                }
                revert(&world);
                snapshot(&world, after, sizeof(after));
                assert_string_equal(before, after);
            }
    assert_true(deaths > 50);
    end(&world);
}

static void test_others_write(void **state)
{
    struct world world;

    begin(&world);
    /* a new first file takes over */
    write_file(&world, "10-a.conflist", LIST);
    assert_int_equal(apply(&world), NETWORK_WRITTEN);
    write_file(&world, "00-new.conf", SINGLE);
    assert_int_equal(apply(&world), NETWORK_WRITTEN);
    assert_string_equal(read_file(&world, "10-a.conflist"), LIST);
    assert_non_null(strstr(read_file(&world, "00-new.conflist"), ENTRY));
    /* its owner writes it once more, and differently */
    write_file(&world, "00-new.conf", SINGLE " ");
    assert_int_equal(apply(&world), NETWORK_WRITTEN);
    assert_non_null(strstr(read_file(&world, "00-new.conflist"), ENTRY "\n ]}"));
    revert(&world);
    assert_string_equal(read_file(&world, "00-new.conf"), SINGLE " ");
    assert_false(folder_has(&world.folder, "00-new.conflist"));
    /* another program adds to what we made of it: that is not lost */
    apply(&world);
    write_file(&world, "00-new.conflist", "{\"cniVersion\":\"0.4.0\",\"plugins\":[{\"type\":\"bridge\"},{\"type\":\"theirs\"}," ENTRY "]}");
    revert(&world);
    assert_string_equal(read_file(&world, "00-new.conflist"), "{\"cniVersion\":\"0.4.0\",\"plugins\":[{\"type\":\"bridge\"},{\"type\":\"theirs\"}]}");
    assert_true(folder_has(&world.folder, "00-new.conf.linkerd-cni"));
    assert_non_null(strstr(world.problems.data, "changed by others since"));
    end(&world);
}

static void test_left_alone(void **state)
{
    enum network_state found;
    struct world world;
    bool changed;

    begin(&world);
    assert_int_equal(apply(&world), NETWORK_NONE);
    /* a list of the same name that somebody else wrote; the next file is the list itself */
    write_file(&world, "10-a.conf", SINGLE);
    write_file(&world, "10-a.conflist", LIST);
    assert_int_equal(apply(&world), NETWORK_WRITTEN);
    assert_non_null(strstr(world.problems.data, "remove one of the two"));
    assert_string_equal(read_file(&world, "10-a.conf"), SINGLE);
    assert_true(revert(&world));
    assert_string_equal(read_file(&world, "10-a.conflist"), LIST);
    empty(&world);
    /* links lead out of what is mounted */
    assert_int_equal(symlinkat("/etc/hostname", world.folder.fd, "10-a.conflist"), 0);
    assert_int_equal(apply_at(&world, 0, &found), 0);
    assert_int_equal(found, NETWORK_NONE);
    assert_non_null(strstr(world.problems.data, "no ordinary file"));
    assert_false(revert(&world));
    empty(&world);
    /* what names us and cannot be edited keeps the binary on the node */
    write_file(&world, "10-a.conflist", "{\"plugins\":[{\"type\":\"linkerd-cni\"}");
    assert_int_equal(network_revert(&world.folder, &world.problems, &changed, &world.msg), -EBUSY);
    end(&world);
}

static void test_fights_slow_down(void **state)
{
    struct world world;
    unsigned writes = 0;

    begin(&world);
    for (int64_t now = 0; now < 600 * NS_PER_S; now += NS_PER_S / 10) {
        enum network_state found;

        write_file(&world, "10-a.conflist", LIST);
        assert_int_equal(apply_at(&world, now, &found), 0);
        assert_true(found == NETWORK_WRITTEN || found == NETWORK_WAITS);
        if (found == NETWORK_WAITS)
            assert_true(world.network.not_before_ns - now <= NETWORK_SLOWEST_NS);
        writes += found == NETWORK_WRITTEN;
    }
    assert_in_range(writes, 15, 30);
    assert_int_equal(apply_at(&world, 700 * NS_PER_S, &(enum network_state){0}), 0);
    assert_int_equal(world.network.writes, 1);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_killed_at_every_call), cmocka_unit_test(test_others_write),
        cmocka_unit_test(test_left_alone),     cmocka_unit_test(test_fights_slow_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

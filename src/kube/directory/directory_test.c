#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "kube/kube_fixture.h"

#define NEXT "\n---\n"
#define SA(name) "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " name "}}" NEXT
#define SA_NEW(name) "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " name ", labels: {v: '2'}}}" NEXT
#define SA_BROKEN(name) "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " name ", labels: 7}}" NEXT

static void commit(struct fixture *f)
{
    assert_int_equal(directory_commit(f->directory), 0);
}

static void drop(struct fixture *f, const char *file)
{
    directory_drop(f->directory, slice_str(file));
    commit(f);
}

static void assert_names(struct fixture *f, const char *want)
{
    struct kube_set set = store_all(f->store, KUBE_SERVICE_ACCOUNT);
    struct buffer out;

    buffer_init(&out, 1u << 16);
    for (size_t i = 0; i < set.count; i++)
        buffer_printf(&out, "%s%.*s", i ? " " : "", SLICE_ARGS(set.items[i]->name));
    buffer_add_byte(&out, '\0');
    assert_string_equal(out.data, want);
    buffer_release(&out);
}

static void only_what_changed_is_told(void **state)
{
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(&f, "a.yaml", SA("a") SA("b") SA("c"));
    fixture_expect_events(&f, "+ ServiceAccount default/a\n+ ServiceAccount default/b\n+ ServiceAccount default/c\n");
    fixture_apply(&f, "a.yaml", SA("a") SA("b") SA("c"));
    fixture_expect_events(&f, "");
    /* Words, quotes and lines are no change; the line is followed. */
    fixture_apply(&f, "a.yaml",
                  "# words\n\n" SA("a") "kind: ServiceAccount\napiVersion: v1\nmetadata:\n  name: 'b'\n---\n" SA("c"));
    fixture_expect_events(&f, "~ ServiceAccount default/b\n"); /* another order of keys is: digests are of the tree */
    assert_int_equal(store_get(f.store, KUBE_SERVICE_ACCOUNT, SLICE_LIT("default"), SLICE_LIT("a"))->origin.line, 3);
    assert_int_equal(store_get(f.store, KUBE_SERVICE_ACCOUNT, SLICE_LIT("default"), SLICE_LIT("c"))->origin.line, 10);
    fixture_apply(&f, "a.yaml", SA("a") SA_NEW("c"));
    fixture_expect_events(&f, "~ ServiceAccount default/c\n- ServiceAccount default/b\n");
    drop(&f, "a.yaml");
    fixture_expect_events(&f, "- ServiceAccount default/a\n- ServiceAccount default/c\n");
    fixture_expect_reports(&f, "");
    fixture_release(&f);
}

static void a_broken_document_keeps_its_last_good_version(void **state)
{
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(&f, "a.yaml", SA("a") SA("b") SA("c"));
    fixture_expect_events(&f, "+ ServiceAccount default/a\n+ ServiceAccount default/b\n+ ServiceAccount default/c\n");
    /* b breaks; a changes, c goes, d comes: all but b happens. */
    fixture_apply(&f, "a.yaml", SA_NEW("a") SA_BROKEN("b") SA("d"));
    fixture_expect_events(&f, "~ ServiceAccount default/a\n+ ServiceAccount default/d\n- ServiceAccount default/c\n");
    fixture_expect_reports(
        &f, "error a.yaml:3: ServiceAccount default/b: metadata.labels: expected a map of texts, found the number 7\n"
            "warning a.yaml: ServiceAccount default/b: the last good version (then on line 3) stays in force\n");
    assert_int_equal(directory_counts(f.directory).broken, 1);
    /* Repaired as it was: nothing to tell. */
    fixture_apply(&f, "a.yaml", SA_NEW("a") SA("b") SA("d"));
    fixture_expect_events(&f, "");
    assert_int_equal(directory_counts(f.directory).broken, 0);
    /* Broken from the start: there is nothing to keep. */
    fixture_apply(&f, "b.yaml", SA_BROKEN("x") SA("k"));
    fixture_expect_events(&f, "+ ServiceAccount default/k\n");
    fixture_expect_reports(
        &f, "error b.yaml:1: ServiceAccount default/x: metadata.labels: expected a map of texts, found the number 7\n");
    /* A broken one that is then removed goes. */
    fixture_apply(&f, "a.yaml", SA_NEW("a") SA_BROKEN("b") SA("d"));
    buffer_clear(&f.reports);
    fixture_apply(&f, "a.yaml", SA_NEW("a") SA("d"));
    fixture_expect_events(&f, "- ServiceAccount default/b\n");
    fixture_release(&f);
}

static void while_a_document_is_unreadable_nothing_is_removed(void **state)
{
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(&f, "a.yaml", SA("a") SA("b") SA("c"));
    fixture_expect_events(&f, "+ ServiceAccount default/a\n+ ServiceAccount default/b\n+ ServiceAccount default/c\n");
    fixture_apply(&f, "a.yaml", SA_NEW("a") "kind: [ServiceAccount\n---\n" SA("d"));
    fixture_expect_events(&f, "~ ServiceAccount default/a\n+ ServiceAccount default/d\n");
    fixture_expect_reports(
        &f, "error a.yaml:3: this is not valid YAML: flow sequence without a closing bracket\n"
            "warning a.yaml: until every document can be read, nothing that this file said before is removed\n");
    fixture_apply(&f, "a.yaml", SA_NEW("a") "{apiVersion: v1, kind: ServiceAccount}\n---\n" SA("d"));
    fixture_expect_events(&f, "");
    buffer_clear(&f.reports);
    /* Half of the file, cut in the middle of a word. */
    fixture_apply(&f, "a.yaml", "{apiVersion: v1, kind: ServiceAcc");
    fixture_expect_events(&f, "");
    buffer_clear(&f.reports);
    fixture_apply(&f, "a.yaml", SA_NEW("a") SA("d"));
    fixture_expect_events(&f, "- ServiceAccount default/b\n- ServiceAccount default/c\n");
    fixture_expect_reports(&f, "");
    fixture_release(&f);
}

static void files_that_cannot_be_read_stay(void **state)
{
    char *large = malloc(LIMIT_YAML_FILE + 1);
    struct fixture f;

    assert_non_null(large);
    memset(large, '#', LIMIT_YAML_FILE + 1);
    fixture_init(&f, false);
    fixture_apply(&f, "a.yaml", SA("a"));
    fixture_expect_events(&f, "+ ServiceAccount default/a\n");
    directory_keep(f.directory, SLICE_LIT("a.yaml"), "Permission denied");
    assert_int_equal(directory_apply(f.directory, SLICE_LIT("a.yaml"), slice_of(large, LIMIT_YAML_FILE + 1)), 0);
    directory_keep(f.directory, SLICE_LIT("b.yaml"), "Permission denied");
    commit(&f);
    fixture_expect_events(&f, "");
    fixture_expect_reports(
        &f, "error a.yaml: cannot be read: Permission denied; what it said before stays in force\n"
            "error a.yaml: cannot be read: it is larger than 16 MiB; what it said before stays in force\n"
            "error b.yaml: cannot be read: Permission denied\n");
    fixture_release(&f);
    free(large);
}

static void duplicates_wait(void **state)
{
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(&f, "b.yaml", SA("a"));
    fixture_expect_events(&f, "+ ServiceAccount default/a\n");
    /* The one in force stays, though the other file comes first by name. */
    fixture_apply(&f, "a.yaml", SA_NEW("a") SA("b"));
    fixture_expect_events(&f, "+ ServiceAccount default/b\n");
    fixture_expect_reports(&f, "error a.yaml:1: ServiceAccount default/a: is in b.yaml already, on line 1; this one is "
                               "not used: remove one of them\n");
    assert_int_equal(directory_counts(f.directory).duplicates, 1);
    /* Said once, until it changes. */
    fixture_apply(&f, "b.yaml", SA("a") SA("c"));
    fixture_expect_events(&f, "+ ServiceAccount default/c\n");
    fixture_expect_reports(&f, "");
    /* It takes over when the first goes: a change, not a removal. */
    drop(&f, "b.yaml");
    fixture_expect_events(&f, "~ ServiceAccount default/a\n- ServiceAccount default/c\n");
    fixture_expect_reports(&f, "");
    assert_int_equal(directory_counts(f.directory).duplicates, 0);
    fixture_release(&f);

    /* In one reading the first file wins, in one file the first document. */
    fixture_init(&f, false);
    assert_int_equal(directory_apply(f.directory, SLICE_LIT("b.yaml"), SLICE_LIT(SA("a"))), 0);
    assert_int_equal(directory_apply(f.directory, SLICE_LIT("a.yaml"), SLICE_LIT(SA_NEW("a") SA("a"))), 0);
    commit(&f);
    fixture_expect_events(&f, "+ ServiceAccount default/a\n");
    fixture_expect_reports(&f, "error a.yaml:3: ServiceAccount default/a: is here already, on line 1; this one is not "
                               "used: remove one of them\n"
                               "error b.yaml:1: ServiceAccount default/a: is in a.yaml already, on line 1; this one is "
                               "not used: remove one of them\n");
    fixture_release(&f);
}

static void moving_a_document_is_a_change(void **state)
{
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(&f, "a.yaml", SA("a") SA("b"));
    fixture_expect_events(&f, "+ ServiceAccount default/a\n+ ServiceAccount default/b\n");
    assert_int_equal(directory_apply(f.directory, SLICE_LIT("a.yaml"), SLICE_LIT(SA("a"))), 0);
    assert_int_equal(directory_apply(f.directory, SLICE_LIT("b.yaml"), SLICE_LIT(SA("b"))), 0);
    commit(&f);
    fixture_expect_events(&f, "~ ServiceAccount default/b\n");
    /* A file that is renamed. */
    directory_drop(f.directory, SLICE_LIT("a.yaml"));
    assert_int_equal(directory_apply(f.directory, SLICE_LIT("c.yaml"), SLICE_LIT(SA("a"))), 0);
    commit(&f);
    fixture_expect_events(&f, "~ ServiceAccount default/a\n");
    fixture_expect_reports(&f, "");
    fixture_release(&f);
}

/* After any edits the order is that of a fresh reading. */
static void order_survives_edits(void **state)
{
    static const char *const edits[][2] = {
        {SA("a") SA("b") SA("c"), "a b c"},
        {SA("a") SA("x") SA("b") SA("c"), "a x b c"},
        {SA("w") SA("a") SA("x") SA("k") SA("b") SA("c") SA("z"), "w a x k b c z"},
        {SA("c") SA("a"), "c a"},
        {SA("c") SA_NEW("a") SA("d"), "c a d"},
        {SA("d") SA("c") SA("b"), "d c b"},
    };
    struct fixture f;
    char text[4000], *at = text;

    fixture_init(&f, false);
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        fixture_apply(&f, "a.yaml", edits[i][0]);
        assert_names(&f, edits[i][1]);
    }
    /* An insertion tells of nothing else. */
    fixture_apply(&f, "a.yaml", SA("d") SA("c"));
    buffer_clear(&f.events);
    fixture_apply(&f, "a.yaml", SA("d") SA("m") SA("c"));
    fixture_expect_events(&f, "+ ServiceAccount default/m\n");
    /* Always at the same place, until there is no room between two and all get new numbers. */
    fixture_apply(&f, "a.yaml", SA("a") SA("z"));
    for (int i = 0; i < 30; i++) {
        at = text + snprintf(text, sizeof(text), "%s", SA("a"));
        for (int j = i; j >= 0; j--)
            at += snprintf(at, sizeof(text) - (size_t)(at - text),
                           "{apiVersion: v1, kind: ServiceAccount, metadata: {name: n%d}}\n---\n", j);
        snprintf(at, sizeof(text) - (size_t)(at - text), "%s", SA("z"));
        fixture_apply(&f, "a.yaml", text);
    }
    assert_names(&f,
                 "a n29 n28 n27 n26 n25 n24 n23 n22 n21 n20 n19 n18 n17 n16 n15 n14 n13 n12 n11 n10 n9 n8 n7 n6 n5 n4 "
                 "n3 n2 n1 n0 z");
    fixture_expect_reports(&f, "");
    fixture_release(&f);
}

static void json_files(void **state)
{
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(&f, "a.json",
                  "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n"
                  "{\"apiVersion\": \"v1\", \"kind\": \"ServiceAccount\", \"metadata\": {\"name\": \"a\"}}]}");
    fixture_expect_events(&f, "+ ServiceAccount default/a\n");
    fixture_apply(&f, "a.json", "{\"apiVersion\": \"v1\", ");
    fixture_expect_events(&f, "");
    assert_int_equal(directory_counts(f.directory).broken, 1);
    fixture_release(&f);
}

/* ---- real files ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[300];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void remove_in(const char *dir, const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(remove(path), 0);
}

static void load_once(void **state)
{
    static const char *const names[] = {"b.yaml", "a.yml", "c.json", "sub/d.yaml", ".hidden.yaml", "notes.txt"};
    char dir[] = "/tmp/clinkerd-directory-XXXXXX", path[300];
    struct errmsg msg = {""};
    struct store *store;
    struct fixture f;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/sub", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/pipe.yaml", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    write_file(dir, "b.yaml", SA("b") SA_BROKEN("bad"));
    write_file(dir, "a.yml", SA("a"));
    write_file(dir, "c.json",
               "{\"apiVersion\": \"v1\", \"kind\": \"ServiceAccount\", \"metadata\": {\"name\": \"c\"}}");
    write_file(dir, "sub/d.yaml", SA("d"));
    write_file(dir, ".hidden.yaml", SA("hidden"));
    write_file(dir, "notes.txt", "not ours");
    fixture_init(&f, false);
    assert_int_equal(directory_load(dir, &f.reporter, &store, &msg), 0);
    fixture_expect_reports(
        &f,
        "error b.yaml:3: ServiceAccount default/bad: metadata.labels: expected a map of texts, found the number 7\n");
    assert_true(store_is_synced(store));
    assert_int_equal(store_all(store, KUBE_SERVICE_ACCOUNT).count, 4);
    assert_non_null(store_get(store, KUBE_NAMESPACE, SLICE_NULL, SLICE_LIT("default")));
    store_free(store);

    /* What is gone from the directory goes from the store. */
    assert_int_equal(directory_read_all(f.directory, dir, NULL, NULL, &msg), 0);
    assert_names(&f, "a b c d");
    remove_in(dir, "a.yml");
    remove_in(dir, "sub/d.yaml");
    assert_int_equal(directory_read_all(f.directory, dir, NULL, NULL, &msg), 0);
    assert_names(&f, "b c");
    buffer_clear(&f.reports);
    fixture_release(&f);

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (i != 1 && i != 3)
            remove_in(dir, names[i]);
    remove_in(dir, "pipe.yaml");
    remove_in(dir, "sub");
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(directory_load(dir, NULL, &store, &msg), -ENOENT);
    assert_non_null(strstr(msg.text, "cannot read the directory /tmp/clinkerd-directory-"));
    assert_non_null(strstr(msg.text, "No such file or directory; name a directory with manifests"));
}

static void names_that_are_read(void **state)
{
    assert_true(directory_reads(SLICE_LIT("a.yaml")));
    assert_true(directory_reads(SLICE_LIT("a.yml")));
    assert_true(directory_reads(SLICE_LIT("a.json")));
    assert_false(directory_reads(SLICE_LIT(".a.yaml")));
    assert_false(directory_reads(SLICE_LIT("a.yaml~")));
    assert_false(directory_reads(SLICE_LIT("a.yaml.swp")));
    assert_false(directory_reads(SLICE_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_changed_is_told),
        cmocka_unit_test(a_broken_document_keeps_its_last_good_version),
        cmocka_unit_test(while_a_document_is_unreadable_nothing_is_removed),
        cmocka_unit_test(files_that_cannot_be_read_stay),
        cmocka_unit_test(duplicates_wait),
        cmocka_unit_test(moving_a_document_is_a_change),
        cmocka_unit_test(order_survives_edits),
        cmocka_unit_test(json_files),
        cmocka_unit_test(load_once),
        cmocka_unit_test(names_that_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

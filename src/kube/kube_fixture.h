/* What the tests of the store, the directory and the derived objects share: everything that happens, as text. */
#pragma once

#include "base/buffer.h"
#include "kube/directory/derive.h"
#include "kube/directory/directory.h"

struct fixture {
    struct store *store;
    struct derive *derive; /* NULL unless asked for */
    struct directory *directory;
    struct reporter reporter;
    struct subscriber subscriber;
    struct buffer events;  /* "+ Service default/web\n", "~ ...", "- ..."; derived ones end in " (derived)" */
    struct buffer reports; /* "error a.yaml:3: ...\n" */
};

void fixture_init(struct fixture *fixture, bool derive);
void fixture_release(struct fixture *fixture);
/* Applies and commits. */
void fixture_apply(struct fixture *fixture, const char *file, const char *text);
/* Compare and forget. */
void fixture_expect_events(struct fixture *fixture, const char *text);
void fixture_expect_reports(struct fixture *fixture, const char *text);

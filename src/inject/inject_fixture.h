/* For tests: an injector with the values of the chart, some of them changed. */
#pragma once

#include "inject/inject.h"

#ifndef TESTDATA
#define TESTDATA "src/inject/testdata" /* the build says it where it makes tests */
#endif

struct fixture {
    struct template_set *templates;
    json_t *values;
    struct injector *injector;
};

#define FIXTURE_ANCHORS "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

/* `changes` is an object that is merged into the values, or NULL. */
void fixture_setup(struct fixture *fixture, const json_t *changes);
void fixture_teardown(struct fixture *fixture);
/* A file of testdata. */
json_t *fixture_load(const char *name);
/* The object of a case, with its annotations and what is merged into it. */
json_t *fixture_object(const json_t *objects, const json_t *test);

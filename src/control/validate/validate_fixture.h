/* Cases of the files in testdata/: an object, and what is said about it in the world of testdata/world/. */
#pragma once

#include "control/validate/validate.h"

#ifndef TESTDATA
#define TESTDATA "src/control/validate/testdata" /* the build says it where it makes tests */
#endif

/* A list. Fails the test when it cannot be read. */
json_t *validate_cases(const char *name);
/* A store with the objects of testdata/world/. */
struct store *validate_world(void);
/* The review that an API server would send about the case. */
json_t *validate_question(const json_t *each);
/* What is answered: "refused: FIELD: REASON" for each problem, "warning: FIELD: REASON" for each warning. */
json_t *validate_said(const json_t *each, const struct validate_context *context);

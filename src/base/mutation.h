/*
 * Faults on purpose, for tests of the tests. In the flavour `mutations`, and only
 * there, the environment's CLINKERD_MUTATION names one fault, and the code that
 * guards against it looks away; test/mutations/table.tsv says which test must
 * then fail, and scripts/mutations tries them all. In every other flavour
 * mutation() is the constant false, and nothing of it is left in the program.
 *
 * Names are words with dashes that say what goes wrong ("tcp-authorized-always").
 */
#pragma once

#include <stdbool.h>

#ifdef CLINKERD_MUTATIONS
bool mutation(const char *name);
#else
static inline bool mutation(const char *name)
{
    (void)name;
    return false;
}
#endif

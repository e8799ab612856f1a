#include "template/copy.h"

#include <stdint.h>

static json_t *mutable(const json_t *tree)
{
    return (json_t *)(uintptr_t)tree; /* jansson's functions read it only */
}

static json_t *whole(json_t *copy, const json_t *tree)
{
    if (copy && json_equal(copy, tree))
        return copy;
    json_decref(copy);
    return NULL;
}

json_t *copy_shallow(const json_t *tree)
{
    return whole(json_copy(mutable(tree)), tree);
}

json_t *copy_deep(const json_t *tree)
{
    return whole(json_deep_copy(tree), tree);
}

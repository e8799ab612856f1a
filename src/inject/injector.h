/* What inject.c and injector.c share. */
#pragma once

#include "inject/inject.h"
#include "inject/rendered.h"

struct injector {
    const struct template_set *templates;
    json_t *values; /* owned; `proxy`, `proxyInit` and `debugContainer` are objects */
    char *namespace_, *created_by;
    struct rendered_cache *rendered; /* owned */
    char *trust_root; /* SHA-256 of the anchors in hexadecimal digits; "" without */
};

/* The values for one pod: those objects that annotations may change are copies. NULL when there is no memory. */
json_t *injector_values(const struct injector *injector);

/*
 * The containers and volumes of an injected pod, as the chart's definitions say (chart/linkerd-control-plane/templates/_proxy.tpl says what
 * they are given). Nothing of a container is known here.
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "inject/overrides.h"
#include "template/template.h"

struct injector;

struct sidecar {
    const struct template_set *templates;
    json_t *root;     /* Values and Release, owned */
    json_t *data;     /* pod, proxy, root: what the definitions are given, owned */
    json_t *made;     /* what they gave, perhaps for an earlier pod (inject/rendered.h), owned */
};

/*
 * The values of `overriding` with what the pod itself says: its ports, and capabilities of its first container. They do not change any more
 * after this. 0 or -ENOMEM; release it in any case.
 */
int sidecar_init(struct sidecar *sidecar, const struct injector *injector, json_t *values, const json_t *spec);
void sidecar_release(struct sidecar *sidecar);

/*
 * What a definition renders to, as a tree. `whole_name`: the image's name has its registry. 0, -ENOMEM, or -EINVAL with what the chart
 * says is wrong with the values.
 */
int sidecar_render(struct sidecar *sidecar, const char *definition, bool whole_name, struct errmsg *msg, json_t **ret_tree);

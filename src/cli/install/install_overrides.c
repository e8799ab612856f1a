#include "cli/install/install_overrides.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/limits.h"
#include "template/value.h"

/* Without what the next program says itself. */
static json_t *kept_of(json_t *values)
{
    json_t *kept = json_copy(values);

    if (kept)
        json_object_del(kept, "cliVersion");
    return kept;
}

static int add_base64(struct slice bytes, struct buffer *out)
{
    char *room = buffer_room(out, 4 * ((bytes.len + 2) / 3) + 1); /* and a NUL */

    if (!room)
        return buffer_error(out);
    buffer_grew(out, (size_t)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)bytes.ptr, (int)bytes.len));
    return 0;
}

static void add_head(const char *namespace_, struct buffer *out)
{
    buffer_printf(out,
                  "---\n"
                  "apiVersion: v1\n"
                  "kind: Secret\n"
                  "metadata:\n"
                  "  name: linkerd-config-overrides\n"
                  "  namespace: %s\n"
                  "  labels:\n"
                  "    linkerd.io/control-plane-ns: %s\n"
                  "data:\n"
                  "  linkerd-config-overrides: ",
                  namespace_, namespace_);
}

int install_overrides(json_t *values, const char *namespace_, struct buffer *ret_text)
{
    json_t *kept = kept_of(values);
    struct buffer yaml;
    int r;

    if (!kept)
        return -ENOMEM;
    buffer_init(&yaml, LIMIT_TEMPLATE_FILE);
    value_to_yaml(kept, &yaml);
    buffer_add_byte(&yaml, '\n');
    add_head(namespace_, ret_text);
    r = buffer_error(&yaml) ? buffer_error(&yaml) : add_base64(buffer_slice(&yaml), ret_text);
    buffer_add_byte(ret_text, '\n');
    if (yaml.data)
        explicit_bzero(yaml.data, yaml.len);
    buffer_release(&yaml);
    json_decref(kept);
    return r < 0 ? r : buffer_error(ret_text);
}

/* render-template TEMPLATE VALUES.json: what the file renders to with these values; exit status 1 with a sentence when it is refused. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "template/template.h"

static int render(const char *path, json_t *data, struct errmsg *msg, struct buffer *out)
{
    char text[65536];
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(text, 1, sizeof(text), file) : 0;
    struct template_set *set;
    int r = template_set_new(&set);

    if (file)
        fclose(file);
    if (r == 0)
        r = template_set_add(set, SLICE_LIT("t.yaml"), slice_of(text, len), msg);
    if (r == 0)
        r = template_render(set, SLICE_LIT("t.yaml"), data, msg, out);
    template_set_free(set);
    return r;
}

int main(int argc, char *argv[])
{
    json_t *values = argc == 3 ? json_load_file(argv[2], JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, NULL) : NULL;
    json_t *data = json_pack("{s:o}", "Values", values);
    struct errmsg msg = {"usage: render-template TEMPLATE VALUES.json"};
    struct buffer out;
    int r = -1;

    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT);
    if (data)
        r = render(argv[1], data, &msg, &out);
    if (r == 0)
        fwrite(out.data, 1, out.len, stdout);
    else
        fprintf(stderr, "%s\n", msg.text);
    buffer_release(&out);
    json_decref(data);
    return r == 0 ? 0 : 1;
}

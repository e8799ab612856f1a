#include "proxy/request/reset_reason.h"

#include "codec/h2/h2.h"

enum reason reason_of_client_reset(struct http_reset reset)
{
    switch (reset.error) {
    case HTTP_ERROR_PROTOCOL:
        return REASON_BAD_REQUEST;
    case HTTP_ERROR_LIMIT:
        return REASON_STALLED;
    default:
        return REASON_CLIENT_GONE;
    }
}

enum reason reason_of_server_reset(struct http_reset reset)
{
    switch (reset.error) {
    case HTTP_ERROR_RESET:
        return REASON_SERVER_RESET;
    case HTTP_ERROR_REFUSED:
        /* HTTP/1 has no word for it: a connection that was kept closed just then. */
        return reset.code == H2_REFUSED_STREAM ? REASON_SERVER_REFUSED : REASON_CONNECTION_LOST;
    case HTTP_ERROR_GOAWAY:
        return REASON_SERVER_GOAWAY;
    case HTTP_ERROR_PROTOCOL:
        return REASON_BAD_RESPONSE;
    case HTTP_ERROR_LIMIT:
        return REASON_STALLED;
    case HTTP_ERROR_MEMORY:
        return REASON_OUT_OF_MEMORY;
    default:
        return REASON_CONNECTION_LOST;
    }
}

#include "codec/http1/http1.h"

/* By class and the two digits behind it; RFC 9110 section 15 and the IANA registry. */
static const char *const phrases[5][32] = {
    {[0] = "Continue", [1] = "Switching Protocols", [2] = "Processing", [3] = "Early Hints"},
    {[0] = "OK",
     [1] = "Created",
     [2] = "Accepted",
     [3] = "Non-Authoritative Information",
     [4] = "No Content",
     [5] = "Reset Content",
     [6] = "Partial Content",
     [7] = "Multi-Status",
     [8] = "Already Reported",
     [26] = "IM Used"},
    {[0] = "Multiple Choices",
     [1] = "Moved Permanently",
     [2] = "Found",
     [3] = "See Other",
     [4] = "Not Modified",
     [5] = "Use Proxy",
     [7] = "Temporary Redirect",
     [8] = "Permanent Redirect"},
    {[0] = "Bad Request",
     [1] = "Unauthorized",
     [2] = "Payment Required",
     [3] = "Forbidden",
     [4] = "Not Found",
     [5] = "Method Not Allowed",
     [6] = "Not Acceptable",
     [7] = "Proxy Authentication Required",
     [8] = "Request Timeout",
     [9] = "Conflict",
     [10] = "Gone",
     [11] = "Length Required",
     [12] = "Precondition Failed",
     [13] = "Content Too Large",
     [14] = "URI Too Long",
     [15] = "Unsupported Media Type",
     [16] = "Range Not Satisfiable",
     [17] = "Expectation Failed",
     [21] = "Misdirected Request",
     [22] = "Unprocessable Content",
     [23] = "Locked",
     [24] = "Failed Dependency",
     [25] = "Too Early",
     [26] = "Upgrade Required",
     [28] = "Precondition Required",
     [29] = "Too Many Requests",
     [31] = "Request Header Fields Too Large"},
    {[0] = "Internal Server Error",
     [1] = "Not Implemented",
     [2] = "Bad Gateway",
     [3] = "Service Unavailable",
     [4] = "Gateway Timeout",
     [5] = "HTTP Version Not Supported",
     [6] = "Variant Also Negotiates",
     [7] = "Insufficient Storage",
     [8] = "Loop Detected",
     [10] = "Not Extended",
     [11] = "Network Authentication Required"},
};

struct slice http1_reason(unsigned status)
{
    static const char *const classes[5] = {"Informational", "Success", "Redirection", "Client Error", "Server Error"};
    unsigned class = status / 100, code = status % 100;

    if (status == 451)
        return SLICE_LIT("Unavailable For Legal Reasons");
    if (class < 1 || class > 5)
        return SLICE_NULL;
    if (code < 32 && phrases[class - 1][code])
        return slice_str(phrases[class - 1][code]);
    return slice_str(classes[class - 1]);
}

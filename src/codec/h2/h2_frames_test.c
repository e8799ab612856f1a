/* Frames in, events and frames out, by table: RFC 9113 sections 4 to 8, both roles. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/h2/h2_frame.h"
#include "codec/h2/h2_script.h"

struct row {
    const char *name, *lines, *expect;
};

#define OPEN "in HEADERS 1 es eh GET\n"
#define OPEN_POST "in HEADERS 1 eh POST\n"
#define GET_EVENT "head 1 GET http://a/ end\n"
#define POST_EVENT "head 1 POST http://a/\n"
#define CONN_BAD(last, code, why) "out GOAWAY " last " " code "\nfailed " code " " why "\n"
#define REFUSED(why) "reset 1 us PROTOCOL_ERROR " why "\nrefused 0 PROTOCOL_ERROR\nout RST_STREAM 1 PROTOCOL_ERROR\n"

static const struct row server_rows[] = {
    {"a request and its answer", OPEN "do respond 1 200\ndo data 1 hello end\ndo release 1",
     GET_EVENT "out HEADERS 1 :status=200\ntaken: 5\nout DATA 1 hello es\n"},
    {"a head alone as answer", OPEN "do respond 1 204 end", GET_EVENT "out HEADERS 1 :status=204 es\n"},
    {"an interim answer, then trailers",
     OPEN_POST "do respond 1 100\nin DATA 1 es abc\ndo respond 1 200 a=b\ndo trailers 1 grpc-status=0",
     POST_EVENT
     "out HEADERS 1 :status=100\ndata 1 abc end\nout HEADERS 1 :status=200 a=b\nout HEADERS 1 grpc-status=0 es\n"},
    {"trailers without fields are an empty end", OPEN "do respond 1 200\ndo trailers 1 connection=x",
     GET_EVENT "out HEADERS 1 :status=200\nout DATA 1 es\n"},
    {"request trailers", OPEN_POST "in DATA 1 abc\nin HEADERS 1 es eh x=y", POST_EVENT "data 1 abc\ntrailers 1 x=y\n"},
    {"padding and priority", "in HEADERS 1 eh pad=3 prio=0 POST\nin DATA 1 es pad=200 abc",
     POST_EVENT "data 1 abc end\n"},
    {"padding alone", OPEN_POST "in DATA 1 pad=5\nin DATA 1 es pad=0", POST_EVENT "data 1  end\n"},
    {"an empty end", OPEN_POST "in DATA 1 es", POST_EVENT "data 1  end\n"},
    {"CONTINUATION",
     "in HEADERS 1 es :method=GET :scheme=http\nin CONTINUATION 1 :authority=a\nin CONTINUATION 1 eh :path=/",
     GET_EVENT},
    {"a block cut inside a field", "raw 000006 01 01 00000001 82 86 84 00 01 78\nraw 000002 09 04 00000001 01 79",
     "head 1 GET http:/// x=y end\n"},
    {"ping", "in PING 0 1 2", "out PING 0 ack\n"},
    {"pong", "do ping\nin PING 0 ack 0 77", "out PING 0\npong 77\n"},
    {"unknown frames and settings are ignored", "in 99 0 abc\nin 99 7 abc\nin SETTINGS 0 99=5",
     "settings\nout SETTINGS 0 ack\n"},
    {"GOAWAY of a client", "in GOAWAY 0 0 NO_ERROR\n" OPEN, "goaway 0 NO_ERROR\n" GET_EVENT},
    {"PRIORITY of any stream", "in PRIORITY 7 1\n" OPEN "in PRIORITY 1 3", GET_EVENT},
    {"reset by the peer", OPEN "in RST_STREAM 1 CANCEL", GET_EVENT "reset 1 peer CANCEL\n"},
    {"reset by the owner: what was on its way is ignored, and its HPACK state kept",
     OPEN_POST "do reset 1 CANCEL\nin DATA 1 abc\nin HEADERS 1 es eh +k=v\nin RST_STREAM 1 CANCEL\n"
               "raw 000004 01 05 00000003 82 86 84 be",
     POST_EVENT "out RST_STREAM 1 CANCEL\nhead 3 GET http:/// k=v end\n"},
    {"released while open", OPEN_POST "do release 1", POST_EVENT "out RST_STREAM 1 CANCEL\n"},
    {"released after an early answer", OPEN_POST "do respond 1 200 end\ndo release 1",
     POST_EVENT "out HEADERS 1 :status=200 es\nout RST_STREAM 1 NO_ERROR\n"},
    {"no second answer", OPEN "do respond 1 200 end\ndo respond 1 200\ndo data 1 x\ndo trailers 1 a=b",
     GET_EVENT "out HEADERS 1 :status=200 es\nrespond: EPIPE\ntaken: EPIPE\ntrailers: EPIPE\n"},
    {"GOAWAY in two steps",
     OPEN "do notice\nin HEADERS 3 es eh GET\ndo goaway\nin HEADERS 5 eh POST\nin DATA 5 es abc\ndo respond 1 200 end",
     GET_EVENT "out GOAWAY 0 2147483647 NO_ERROR\nhead 3 GET http://a/ end\nout GOAWAY 0 3 NO_ERROR\nout HEADERS 1 "
               ":status=200 es\n"},
    {"the connection ends", OPEN "do close\ndo respond 1 200",
     GET_EVENT "reset 1 connection NO_ERROR\nrespond: EPIPE\n"},
    {"the settings of the peer", "in SETTINGS 0 1=0 4=100 5=20000 6=1000", "settings\nout SETTINGS 0 ack\n"},
    {"more than the peer takes", "in SETTINGS 0 6=60\n" OPEN "do respond 1 200 a=b\ndo respond 1 200",
     "settings\nout SETTINGS 0 ack\n" GET_EVENT "respond: EMSGSIZE\nout HEADERS 1 :status=200\n"},

    /* section 4, 5.1 */
    {"a frame that is too long", "raw 004001 00 00 00000001",
     CONN_BAD("0 0", "FRAME_SIZE_ERROR", "a frame longer than SETTINGS_MAX_FRAME_SIZE")},
    {"DATA on an idle stream", "in DATA 1 abc", CONN_BAD("0 0", "PROTOCOL_ERROR", "DATA on an idle stream")},
    {"RST_STREAM on an idle stream", "in RST_STREAM 1 0",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "RST_STREAM on an idle stream")},
    {"WINDOW_UPDATE on an idle stream", "in WINDOW_UPDATE 1 5",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "WINDOW_UPDATE on an idle stream")},
    {"DATA on a stream of ours", "in DATA 2 abc", CONN_BAD("0 0", "PROTOCOL_ERROR", "DATA on an idle stream")},
    {"HEADERS on a stream of ours", "in HEADERS 2 es eh GET",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "HEADERS on an idle stream")},
    {"HEADERS on stream 0", "in HEADERS 0 es eh GET",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "a stream's frame on stream 0")},
    {"DATA on stream 0", "in DATA 0 a", CONN_BAD("0 0", "PROTOCOL_ERROR", "a stream's frame on stream 0")},
    {"DATA after the end", OPEN "in DATA 1 abc",
     GET_EVENT
     "reset 1 us STREAM_CLOSED DATA after the end\nrefused 0 STREAM_CLOSED\nout RST_STREAM 1 STREAM_CLOSED\n"},
    {"HEADERS after the end", OPEN "in HEADERS 1 es eh x=y",
     GET_EVENT
     "reset 1 us STREAM_CLOSED HEADERS after the end\nrefused 0 STREAM_CLOSED\nout RST_STREAM 1 STREAM_CLOSED\n"},
    {"DATA on a closed stream",
     OPEN "do respond 1 200 end\nin WINDOW_UPDATE 1 5\nin RST_STREAM 1 0\nin PRIORITY 1 0\nin DATA 1 abc",
     GET_EVENT "out HEADERS 1 :status=200 es\n" CONN_BAD("0 1", "STREAM_CLOSED", "DATA on a closed stream")},
    {"HEADERS on a closed stream", OPEN "do respond 1 200 end\nin HEADERS 1 es eh GET",
     GET_EVENT "out HEADERS 1 :status=200 es\n" CONN_BAD("0 1", "STREAM_CLOSED", "HEADERS on a closed stream")},
    {"HEADERS after the peer's reset", OPEN "in RST_STREAM 1 0\nin HEADERS 1 es eh GET",
     GET_EVENT "reset 1 peer NO_ERROR\n" CONN_BAD("0 1", "STREAM_CLOSED", "HEADERS on a closed stream")},
    {"a lower id", "in HEADERS 5 es eh GET\nin HEADERS 3 es eh GET",
     "head 5 GET http://a/ end\n" CONN_BAD("0 5", "PROTOCOL_ERROR", "HEADERS on a stream below the newest")},
    {"nothing is read after the failure", "in DATA 1 abc\n" OPEN "do ping\ndo close",
     "out GOAWAY 0 0 PROTOCOL_ERROR\nping: EPROTO\nfailed PROTOCOL_ERROR DATA on an idle stream\n"},

    /* section 5.3 */
    {"HEADERS that depend on themselves", "in HEADERS 1 es eh prio=1 GET", REFUSED("a stream depends on itself")},
    {"the same in CONTINUATION", "in HEADERS 1 es prio=1 :method=GET\nin CONTINUATION 1 eh :path=/",
     REFUSED("a stream depends on itself")},
    {"PRIORITY that depends on itself", OPEN_POST "in PRIORITY 1 1", POST_EVENT REFUSED("a stream depends on itself")},
    {"the same when idle", "in PRIORITY 1 1", CONN_BAD("0 0", "PROTOCOL_ERROR", "a stream depends on itself")},

    /* section 6 */
    {"more padding than DATA", OPEN_POST "raw 000002 00 08 00000001 02 61",
     POST_EVENT CONN_BAD("0 1", "PROTOCOL_ERROR", "more padding than frame")},
    {"padding without its length", OPEN_POST "raw 000000 00 08 00000001",
     POST_EVENT CONN_BAD("0 1", "FRAME_SIZE_ERROR", "padded DATA without its length of padding")},
    {"more padding than HEADERS", "raw 000002 01 0c 00000001 02 82",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "more padding than frame")},
    {"HEADERS too short for priority", "raw 000002 01 24 00000001 00 00",
     CONN_BAD("0 0", "FRAME_SIZE_ERROR", "HEADERS too short for their priority")},
    {"HEADERS too short for padding", "raw 000000 01 0c 00000001",
     CONN_BAD("0 0", "FRAME_SIZE_ERROR", "padded HEADERS without their length of padding")},
    {"PRIORITY of a wrong length", "raw 000004 02 00 00000001 00000000",
     CONN_BAD("0 0", "FRAME_SIZE_ERROR", "a frame of the wrong length")},
    {"RST_STREAM of a wrong length", OPEN "raw 000003 03 00 00000001 000000",
     GET_EVENT CONN_BAD("0 1", "FRAME_SIZE_ERROR", "a frame of the wrong length")},
    {"SETTINGS on a stream", "in SETTINGS 1", CONN_BAD("0 0", "PROTOCOL_ERROR", "a connection's frame on a stream")},
    {"SETTINGS of a wrong length", "raw 000005 04 00 00000000 0000000000",
     CONN_BAD("0 0", "FRAME_SIZE_ERROR", "SETTINGS of a length that is no multiple of 6")},
    {"SETTINGS ack with a payload", "in SETTINGS 0 ack 4=5",
     CONN_BAD("0 0", "FRAME_SIZE_ERROR", "SETTINGS acknowledgement with a payload")},
    {"ENABLE_PUSH 2", "in SETTINGS 0 2=2", CONN_BAD("0 0", "PROTOCOL_ERROR", "bad SETTINGS_ENABLE_PUSH")},
    {"INITIAL_WINDOW_SIZE 2^31", "in SETTINGS 0 4=2147483648",
     CONN_BAD("0 0", "FLOW_CONTROL_ERROR", "bad SETTINGS_INITIAL_WINDOW_SIZE")},
    {"MAX_FRAME_SIZE too small", "in SETTINGS 0 5=16383",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "bad SETTINGS_MAX_FRAME_SIZE")},
    {"MAX_FRAME_SIZE too large", "in SETTINGS 0 5=16777216",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "bad SETTINGS_MAX_FRAME_SIZE")},
    {"ENABLE_CONNECT_PROTOCOL 2", "in SETTINGS 0 8=2",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "bad SETTINGS_ENABLE_CONNECT_PROTOCOL")},
    {"PUSH_PROMISE", OPEN "raw 000004 05 04 00000001 00000002",
     GET_EVENT CONN_BAD("0 1", "PROTOCOL_ERROR", "PUSH_PROMISE")},
    {"PING on a stream", "in PING 1 0 0", CONN_BAD("0 0", "PROTOCOL_ERROR", "a connection's frame on a stream")},
    {"PING of a wrong length", "in PING 0 0", CONN_BAD("0 0", "FRAME_SIZE_ERROR", "a frame of the wrong length")},
    {"GOAWAY on a stream", "in GOAWAY 1 0 0", CONN_BAD("0 0", "PROTOCOL_ERROR", "a connection's frame on a stream")},
    {"GOAWAY too short", "in GOAWAY 0 0", CONN_BAD("0 0", "FRAME_SIZE_ERROR", "a frame of the wrong length")},
    {"WINDOW_UPDATE of a wrong length", "raw 000003 08 00 00000000 000001",
     CONN_BAD("0 0", "FRAME_SIZE_ERROR", "a frame of the wrong length")},
    {"WINDOW_UPDATE of 0", "in WINDOW_UPDATE 0 0", CONN_BAD("0 0", "PROTOCOL_ERROR", "WINDOW_UPDATE of 0")},
    {"WINDOW_UPDATE of 0 on a stream", OPEN "in WINDOW_UPDATE 1 0", GET_EVENT REFUSED("WINDOW_UPDATE of 0")},
    {"WINDOW_UPDATE beyond 2^31-1", "in WINDOW_UPDATE 0 2147483647",
     CONN_BAD("0 0", "FLOW_CONTROL_ERROR", "connection window beyond 2^31-1")},
    {"WINDOW_UPDATE beyond 2^31-1 on a stream", OPEN "in WINDOW_UPDATE 1 2147483647",
     GET_EVENT "reset 1 us FLOW_CONTROL_ERROR stream window beyond 2^31-1\nrefused 0 FLOW_CONTROL_ERROR\nout "
               "RST_STREAM 1 FLOW_CONTROL_ERROR\n"},
    {"SETTINGS that put a stream beyond 2^31-1", OPEN "in WINDOW_UPDATE 1 2147418112\nin SETTINGS 0 4=65536",
     GET_EVENT
     "out SETTINGS 0 ack\n" CONN_BAD("0 1", "FLOW_CONTROL_ERROR", "initial window puts a stream beyond 2^31-1")},
    {"CONTINUATION alone", "in CONTINUATION 1 eh x=y",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "CONTINUATION without HEADERS")},
    {"CONTINUATION after the end", OPEN "in CONTINUATION 1 eh x=y",
     GET_EVENT CONN_BAD("0 1", "PROTOCOL_ERROR", "CONTINUATION without HEADERS")},
    {"CONTINUATION of another stream", "in HEADERS 1 :method=GET\nin CONTINUATION 3 eh x=y",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "a header block was interrupted")},
    {"an interrupted block", "in HEADERS 1 :method=GET\nin PING 0 0 0",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "a header block was interrupted")},
    {"an unknown frame in a block", "in HEADERS 1 :method=GET\nin 99 0",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "a header block was interrupted")},
    {"bad HPACK", "raw 000001 01 05 00000001 80", CONN_BAD("0 1", "COMPRESSION_ERROR", "bad header compression")},

    /* the windows */
    {"more than the stream's window", OPEN_POST "in DATA 1 *16384\nin DATA 1 *16384\nin DATA 1 *16384",
     POST_EVENT "data 1 *16384\ndata 1 *16384\nout WINDOW_UPDATE 1 32768\ndata 1 *16384\n"},
};

static const struct row client_rows[] = {
    {"a request and its answer",
     "do request GET / end accept=*/*\nin HEADERS 1 eh 200 a=b\nin DATA 1 es hello\ndo release 1",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ accept=*/* es\nhead 1 200 a=b\ndata 1 hello end\n"},
    {"interim answers and trailers",
     "do request POST /p\ndo data 1 abc end\nin HEADERS 1 eh :status=103 l=x\nin HEADERS 1 eh 200\nin DATA 1 x\nin "
     "HEADERS 1 es eh grpc-status=0",
     "out HEADERS 1 :method=POST :scheme=http :authority=a :path=/p\ntaken: 3\nout DATA 1 abc es\nhead 1 103 l=x\nhead "
     "1 200\ndata 1 x\ntrailers 1 grpc-status=0\n"},
    {"fields that are not sent",
     "do request GET / end Connection=X-Hop,close,host X-Hop=1 Host=a Keep-Alive=5 Upgrade=x TE=gzip,trailers "
     "Transfer-Encoding=chunked HTTP2-Settings=x Proxy-Connection=x X-Other=Y",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ te=trailers x-other=Y es\n"},
    {"CONNECT has neither scheme nor path", "do request CONNECT -", "out HEADERS 1 :method=CONNECT :authority=a\n"},
    {"a tunnel",
     "do request CONNECT -\nin HEADERS 1 eh 200 content-length=5\nin DATA 1 abcdefgh\ndo data 1 up\nin DATA 1 es\ndo "
     "data 1 - end",
     "out HEADERS 1 :method=CONNECT :authority=a\nhead 1 200 content-length=5\ndata 1 abcdefgh\ntaken: 2\nout DATA 1 "
     "up\ndata 1  end\nout DATA 1 es\n"},
    {"HEAD", "do request HEAD / end\nin HEADERS 1 es eh 200 content-length=5",
     "out HEADERS 1 :method=HEAD :scheme=http :authority=a :path=/ es\nhead 1 200 content-length=5 end\n"},
    {"HEAD with a body", "do request HEAD / end\nin HEADERS 1 eh 200 content-length=5\nin DATA 1 es abcde",
     "out HEADERS 1 :method=HEAD :scheme=http :authority=a :path=/ es\nhead 1 200 content-length=5\n" REFUSED(
         "a body where none may be")},
    {"304 with a length and no body", "do request GET / end\nin HEADERS 1 es eh :status=304 content-length=5",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\nhead 1 304 content-length=5 end\n"},
    {"DATA before the head", "do request GET / end\nin DATA 1 abc",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\n" REFUSED("DATA before the head")},
    {"an interim answer that ends", "do request GET / end\nin HEADERS 1 es eh :status=100",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\n" REFUSED(
         "an interim response that ends the stream")},
    {"status 101", "do request GET / end\nin HEADERS 1 es eh :status=101",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\n" REFUSED(":status 101")},
    {"a request as answer", "do request GET / end\nin HEADERS 1 es eh GET",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\n" REFUSED("an unknown pseudo field")},
    {"no status", "do request GET / end\nin HEADERS 1 es eh a=b",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\n" REFUSED("no :status")},
    {"odd status", "do request GET / end\nin HEADERS 1 es eh :status=20",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\n" REFUSED("bad :status")},
    {"refused by the peer", "do request GET / end\nin RST_STREAM 1 REFUSED_STREAM",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\nreset 1 peer REFUSED_STREAM\n"},
    {"GOAWAY: above the last id may be tried again",
     "do request GET /1 end\ndo request GET /3 end\nin GOAWAY 0 1 NO_ERROR\ndo request GET /5 end\nin HEADERS 1 es eh "
     "200",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/1 es\nout HEADERS 3 :method=GET :scheme=http "
     ":authority=a :path=/3 es\n"
     "reset 3 peer REFUSED_STREAM not processed before GOAWAY\ngoaway 1 NO_ERROR\nrequest: EPIPE\nhead 1 200 end\n"},
    {"the limit of the peer",
     "in SETTINGS 0 3=1\ndo request GET /1 end\ndo request GET /3 end\nin HEADERS 1 es eh 200\ndo request GET /3 end",
     "settings\nout SETTINGS 0 ack\nout HEADERS 1 :method=GET :scheme=http :authority=a :path=/1 es\nrequest: "
     "EAGAIN\nhead 1 200 end\n"
     "out HEADERS 3 :method=GET :scheme=http :authority=a :path=/3 es\n"},
    {"ENABLE_PUSH of a server", "in SETTINGS 0 2=1", CONN_BAD("0 0", "PROTOCOL_ERROR", "bad SETTINGS_ENABLE_PUSH")},
    {"PUSH_PROMISE", "do request GET / end\nraw 000005 05 04 00000001 00000002 82",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\n" CONN_BAD("0 0", "PROTOCOL_ERROR",
                                                                                 "PUSH_PROMISE")},
    {"HEADERS on a pushed stream", "in HEADERS 2 es eh 200",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "HEADERS on an idle stream")},
    {"HEADERS on a stream not opened", "in HEADERS 1 es eh 200",
     CONN_BAD("0 0", "PROTOCOL_ERROR", "HEADERS on an idle stream")},
    {"an answer that comes late", "do request GET / end\ndo reset 1 CANCEL\nin HEADERS 1 eh 200\nin DATA 1 es abc",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\nout RST_STREAM 1 CANCEL\n"},
    {"an answer before the end of the request, then NO_ERROR",
     "do request POST /\nin HEADERS 1 es eh 200\nin RST_STREAM 1 NO_ERROR",
     "out HEADERS 1 :method=POST :scheme=http :authority=a :path=/\nhead 1 200 end\nreset 1 peer NO_ERROR\n"},
    {"less than content-length", "do request GET / end\nin HEADERS 1 eh 200 content-length=5\nin DATA 1 es abc",
     "out HEADERS 1 :method=GET :scheme=http :authority=a :path=/ es\nhead 1 200 content-length=5\n" REFUSED(
         "less data than content-length")},
};

/* A request of stream 1 whose fields are given; whether it passes and how, or why not. */
static const struct head_row {
    const char *fields, *expect;
} head_rows[] = {
    {"GET accept=*/*", "head 1 GET http://a/ accept=*/* end\n"},
    {":method=GET :scheme=https :path=/?q=1 :authority=h:80 x=", "head 1 GET https://h:80/?q=1 x= end\n"},
    {":method=GET :scheme=http :path=/ host=b", "head 1 GET http://b/ end\n"},
    {"GET host=A", "head 1 GET http://a/ end\n"},
    {":method=GET :scheme=http :path=/", "head 1 GET http:/// end\n"},
    {":method=OPTIONS :scheme=http :authority=a :path=*", "head 1 OPTIONS http://a* end\n"},
    {":method=CONNECT :authority=a:443", "head 1 CONNECT ://a:443 end\n"},
    {"GET te=trailers", "head 1 GET http://a/ te=trailers end\n"},
    {"GET te=Trailers", "head 1 GET http://a/ te=Trailers end\n"},
    {"GET cookie=a=1 x=y cookie=b=2 cookie=c=3", "head 1 GET http://a/ cookie=a=1; b=2; c=3 x=y end\n"},
    {"GET !authorization=s x=y", "head 1 GET http://a/ authorization=s! x=y end\n"},
    {"GET content-length=0", "head 1 GET http://a/ content-length=0 end\n"},
    {"GET x=%c3%a4 y=a%09b", "head 1 GET http://a/ x=\xc3\xa4 y=a\tb end\n"},
    {"GET http2-settings=x", "head 1 GET http://a/ end\n"},
    {":method=GET :scheme=http :authority=a :path=/%c3%a4", "head 1 GET http://a/\xc3\xa4 end\n"},

    {"GET Accept=x", REFUSED("bad characters in a name")},
    {"GET a~b=x", REFUSED("bad characters in a name")},
    {"GET a:b=x", REFUSED("bad characters in a name")},
    {"GET %00=x", REFUSED("bad characters in a name")},
    {"GET a=x%00y", REFUSED("bad characters in a value")},
    {"GET a=x%0dy", REFUSED("bad characters in a value")},
    {"GET a=x%0ay", REFUSED("bad characters in a value")},
    {"GET a=0123456789012345%0ay", REFUSED("bad characters in a value")},
    {"GET a=0123456789012345%7fy", REFUSED("bad characters in a value")},
    {"GET a=0123%1f56789012345y", REFUSED("bad characters in a value")},
    {"GET a=~x", REFUSED("bad characters in a value")},
    {"GET a=x~", REFUSED("bad characters in a value")},
    {"GET a=%09", REFUSED("bad characters in a value")},
    {"GET connection=close", REFUSED("a field of HTTP/1 connections")},
    {"GET keep-alive=1", REFUSED("a field of HTTP/1 connections")},
    {"GET proxy-connection=close", REFUSED("a field of HTTP/1 connections")},
    {"GET transfer-encoding=chunked", REFUSED("a field of HTTP/1 connections")},
    {"GET upgrade=h2c", REFUSED("a field of HTTP/1 connections")},
    {"GET te=gzip", REFUSED("te other than trailers")},
    {"GET content-length=1", REFUSED("less data than content-length")},
    {"GET content-length=0 content-length=0", REFUSED("content-length twice")},
    {"GET content-length=+1", REFUSED("bad content-length")},
    {"GET content-length=", REFUSED("bad content-length")},
    {"GET content-length=1,1", REFUSED("bad content-length")},
    {"GET content-length=9223372036854775808", REFUSED("bad content-length")},
    {"GET host=b", REFUSED("Host is not :authority")},
    {":method=GET :scheme=http :path=/ host=b host=b", REFUSED("two Hosts")},
    {":method=GET :scheme=http :path=/ host=b/c", REFUSED("bad Host")},
    {"GET :method=GET", REFUSED("a pseudo field twice")},
    {"GET :path=/", REFUSED("a pseudo field twice")},
    {"GET :authority=a", REFUSED("a pseudo field twice")},
    {":method=GET x=y :scheme=http :path=/", REFUSED("a pseudo field behind the others")},
    {"GET :status=200", REFUSED("an unknown pseudo field")},
    {"GET :protocol=websocket", REFUSED("an unknown pseudo field")},
    {"GET :=x", REFUSED("an unknown pseudo field")},
    {":scheme=http :path=/", REFUSED("no :method")},
    {":method=GET :path=/", REFUSED("no :scheme or no :path")},
    {":method=GET :scheme=http", REFUSED("no :scheme or no :path")},
    {":method=GET :scheme=http :path=", REFUSED("bad :path")},
    {":method=GET :scheme=http :path=x", REFUSED(":path does not begin with /")},
    {":method=GET :scheme=http :path=*", REFUSED(":path does not begin with /")},
    {":method=GET :scheme=http :path=/a~b", REFUSED("bad :path")},
    {":method=GET :scheme=http :path=/a#b", REFUSED("bad :path")},
    {":method=GET :scheme=http :path=/a%00", REFUSED("bad characters in a value")},
    {":method=G~T :scheme=http :path=/", REFUSED("bad :method")},
    {":method= :scheme=http :path=/", REFUSED("bad :method")},
    {":method=GET :scheme=ht/tp :path=/", REFUSED("bad :scheme")},
    {":method=GET :scheme=1http :path=/", REFUSED("bad :scheme")},
    {":method=GET :scheme=http :path=/ :authority=u@h", REFUSED("bad :authority")},
    {":method=GET :scheme=http :path=/ :authority=a~b", REFUSED("bad :authority")},
    {":method=GET :scheme=http :path=/ :authority=a/b", REFUSED("bad :authority")},
    {":method=CONNECT :authority=a :path=/", REFUSED("CONNECT needs :authority alone")},
    {":method=CONNECT :authority=a :scheme=http", REFUSED("CONNECT needs :authority alone")},
    {":method=CONNECT host=a", REFUSED("CONNECT needs :authority alone")},
    {":method=CONNECT :authority=", REFUSED("CONNECT needs :authority alone")},
};

/* A POST's body and end against its head. */
static const struct row body_rows[] = {
    {"all of it", "in HEADERS 1 eh POST content-length=6\nin DATA 1 abc\nin DATA 1 es def",
     "head 1 POST http://a/ content-length=6\ndata 1 abc\ndata 1 def end\n"},
    {"the end apart", "in HEADERS 1 eh POST content-length=3\nin DATA 1 abc\nin DATA 1 es",
     "head 1 POST http://a/ content-length=3\ndata 1 abc\ndata 1  end\n"},
    {"too much", "in HEADERS 1 eh POST content-length=2\nin DATA 1 abc",
     "head 1 POST http://a/ content-length=2\n" REFUSED("more data than content-length")},
    {"too much in two", "in HEADERS 1 eh POST content-length=4\nin DATA 1 abc\nin DATA 1 def",
     "head 1 POST http://a/ content-length=4\ndata 1 abc\n" REFUSED("more data than content-length")},
    {"too little", "in HEADERS 1 eh POST content-length=4\nin DATA 1 es abc",
     "head 1 POST http://a/ content-length=4\n" REFUSED("less data than content-length")},
    {"too little before trailers", "in HEADERS 1 eh POST content-length=4\nin DATA 1 abc\nin HEADERS 1 es eh x=y",
     "head 1 POST http://a/ content-length=4\ndata 1 abc\n" REFUSED("less data than content-length")},
    {"trailers that do not end", OPEN_POST "in HEADERS 1 eh x=y",
     POST_EVENT REFUSED("trailers that do not end the stream")},
    {"a pseudo field in trailers", OPEN_POST "in HEADERS 1 es eh :path=/",
     POST_EVENT REFUSED("a pseudo field in trailers")},
    {"trailers of HTTP/1", OPEN_POST "in HEADERS 1 es eh connection=x",
     POST_EVENT REFUSED("a field of HTTP/1 connections")},
    {"framing in trailers is dropped", OPEN_POST "in HEADERS 1 es eh content-length=5 host=b x=y",
     POST_EVENT "trailers 1 x=y\n"},
};

static void check(enum h2_role role, const char *name, const char *lines, const char *expect, size_t cut)
{
    struct script script;
    const char *got;

    script_init(&script, role);
    script.cut = cut;
    got = script_run(&script, lines);
    if (strcmp(got, expect) != 0)
        print_error("%s (pieces of %zu)\n", name, cut);
    assert_string_equal(got, expect);
    script_release(&script);
}

static void check_rows(enum h2_role role, const struct row *rows, size_t count, size_t cut)
{
    for (size_t i = 0; i < count; i++)
        check(role, rows[i].name, rows[i].lines, rows[i].expect, cut);
}

static void test_server(void **state)
{
    check_rows(H2_SERVER, server_rows, sizeof(server_rows) / sizeof(server_rows[0]), 0);
}

static void test_client(void **state)
{
    check_rows(H2_CLIENT, client_rows, sizeof(client_rows) / sizeof(client_rows[0]), 0);
}

static void test_bodies(void **state)
{
    check_rows(H2_SERVER, body_rows, sizeof(body_rows) / sizeof(body_rows[0]), 0);
}

static void test_heads(void **state)
{
    for (size_t i = 0; i < sizeof(head_rows) / sizeof(head_rows[0]); i++) {
        char lines[200];

        snprintf(lines, sizeof(lines), "in HEADERS 1 es eh %s", head_rows[i].fields);
        check(H2_SERVER, head_rows[i].fields, lines, head_rows[i].expect, 0);
    }
}

/* The same in pieces, down to single bytes. */
static void test_pieces(void **state)
{
    static const size_t cuts[] = {1, 2, 3, 5, 8, 9, 10, 17, 1000};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        check_rows(H2_SERVER, server_rows, sizeof(server_rows) / sizeof(server_rows[0]), cuts[i]);
        check_rows(H2_CLIENT, client_rows, sizeof(client_rows) / sizeof(client_rows[0]), cuts[i]);
        check_rows(H2_SERVER, body_rows, sizeof(body_rows) / sizeof(body_rows[0]), cuts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server), cmocka_unit_test(test_client), cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_heads),  cmocka_unit_test(test_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

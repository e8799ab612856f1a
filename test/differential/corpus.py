"""Requests that two servers may read differently, by class. Each has what ours does with it:

    REFUSE   an error (400, 414, 431, 501, 505) or the end of the connection, and nothing reaches the application
    PASS     forwarded, as one message unless `count` says otherwise
    CUT      `count` messages are passed on; what follows them, or the rest of one whose body is broken, reaches nobody
    OPAQUE   on a port that is said to be HTTP refused; where the protocol is detected it is not HTTP to us, and its bytes go
             on as they are (to those who may send opaque bytes). No other server may take it for a request

`why` is the reason where another server does something else; the table in docs/http1-differences.md is made of it.
"""

import re
from dataclasses import dataclass

REFUSE, PASS, CUT, OPAQUE = "refuse", "pass", "cut", "opaque"
END = b"\r\n\r\n"
GET, POST = b"GET /a HTTP/1.1\r\nHost: web\r\n", b"POST /a HTTP/1.1\r\nHost: web\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: web\r\n\r\n"
HIDDEN = b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: web\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
ONE = b"5\r\nhello\r\n0\r\n\r\n"
BLANKS = "RFC 9110 section 5.5: blanks around a value are spaces and tabs; nginx takes spaces only"
CONTROLS = [*range(0, 9), 0x0b, 0x0c, *range(0x0e, 0x20), 0x7f]


@dataclass
class Case:
    name: str
    request: bytes
    ours: str
    why: str = ""
    count: int = 1


def lengths():
    why = "RFC 9112 section 6.3: a length that is not a plain number makes the framing unknown"
    bad = [b"+4", b"-4", b"-0", b"0x4", b"4_0", b"1_0", b"4,5", b"4, 4", b"4,4", b"4;4", b"4 4", b"4\t4", b"4.0", b"4e0", b"", b" ", b"four",
           b"\"4\"", b"04x", b"x4", b"0b1", b"\xd9\xa4", b"\xef\xbc\x94", b"4\x0b", b"\x0b4", b"4\x0c", b"\xa04", b"4\xa0", b"4\x7f",
           b"18446744073709551615", b"18446744073709551616", b"18446744073709551620", b"9223372036854775808", b"4294967300" + b"0" * 20,
           b"9" * 200, b"NaN", b"null", b"-1", b"4\0", b"4#", b"4,", b",4", b"(4)"]
    for value in bad:
        yield Case(f"length {value[:24]!r}", POST + b"Content-Length: " + value + END + b"abcd" + NEXT, REFUSE, why)
    twice = "ours takes no repeated length, equal ones neither: whoever repeats it is broken or means harm"
    for other in (b"4", b"5", b"0", b"", b"04"):
        yield Case(f"two lengths, 4 and {other!r}", POST + b"Content-Length: 4\r\nContent-Length: " + other + END + b"abcd" + NEXT, REFUSE, twice)
        yield Case(f"two lengths, {other!r} and 4", POST + b"Content-Length: " + other + b"\r\ncontent-length: 4" + END + b"abcd" + NEXT,
                   REFUSE, twice)
    yield Case("length 0", POST + b"Content-Length: 0" + END + NEXT, PASS, count=2)
    yield Case("length 4", POST + b"Content-Length: 4" + END + b"abcd" + NEXT, PASS, count=2)
    yield Case("length 004", POST + b"Content-Length: 004" + END + b"abcd" + NEXT, PASS, count=2)
    yield Case("length with blanks around", POST + b"Content-Length: \t 4 \t" + END + b"abcd" + NEXT, PASS, BLANKS, 2)
    yield Case("length without blank", POST + b"Content-Length:4" + END + b"abcd" + NEXT, PASS, count=2)
    yield Case("length in a GET", GET + b"Content-Length: 4" + END + b"abcd" + NEXT, PASS, count=2)
    yield Case("no length in a POST", POST + b"\r\n" + NEXT, PASS, count=2)


def codings():
    why = "RFC 9112 sections 6.1 and 6.3: a coding that is not exactly `chunked` frames nothing that all agree on"
    bad = [b"xchunked", b"chunkedx", b"chunked, identity", b"identity, chunked", b"identity", b"chunked, chunked", b"chunked,", b",chunked",
           b"gzip, chunked", b"gzip", b"chunked, gzip", b"\x0bchunked", b"chunked\x0b", b"\x0cchunked", b"", b" ", b"chunked;q=1",
           b"chunked; a=b", b"\"chunked\"", b"'chunked'", b"chun ked", b"chunk", b"chunked\x7f", b"chunked\0", b"\0chunked", b"chunked\xa0",
           b"\xa0chunked", b"cow", b"chunked cow", b"trailers", b"x, chunked", b"chunKed, x", b"deflate,chunked", b"ch\xc3\xbcnked",
           b"chunked\x1f", b"\x85chunked", b"c%68unked", b"=?chunked?="]
    for value in bad:
        yield Case(f"coding {value!r}", POST + b"Transfer-Encoding: " + value + END + HIDDEN, REFUSE, why)
    both = "RFC 9112 section 6.1 lets a server drop the length; ours refuses, since whoever sends both means harm"
    for coding in (b"chunked", b"Chunked", b"identity", b"xchunked", b"\tchunked", b"chunked, identity"):
        for length in (b"4", b"0", b"35"):
            yield Case(f"CL.TE: {length.decode()} and {coding!r}",
                       POST + b"Content-Length: " + length + b"\r\nTransfer-Encoding: " + coding + END + HIDDEN, REFUSE, both)
            yield Case(f"TE.CL: {coding!r} and {length.decode()}",
                       POST + b"Transfer-Encoding: " + coding + b"\r\nContent-Length: " + length + END + HIDDEN, REFUSE, both)
    for first, second in ((b"chunked", b"identity"), (b"identity", b"chunked"), (b"chunked", b"chunked"), (b"chunked", b"x"), (b"x", b"chunked"),
                          (b"gzip", b"chunked"), (b"", b"chunked"), (b"chunked", b"")):
        yield Case(f"TE.TE: {first!r} and {second!r}", POST + b"Transfer-Encoding: " + first + b"\r\nTransfer-encoding: " + second + END + HIDDEN,
                   REFUSE, why)
    names = [b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding", b"\tTransfer-Encoding", b"Transfer-Encoding\x0b", b"\x0bTransfer-Encoding",
             b"Transfer\x0bEncoding", b"Transfer-Encoding\0", b"Transfer-Encoding\r", b"\rTransfer-Encoding", b"X: y\nTransfer-Encoding",
             b"X: y\rTransfer-Encoding", b"Transfer-Encoding:", b"Transfer Encoding", b"Transfer-Encoding\xa0", b"(Transfer-Encoding", b"X\0Transfer-Encoding"]
    odd = "what one server takes for another's Transfer-Encoding must not be passed on"
    for name in names:
        yield Case(f"field {name!r}", POST + b"Content-Length: 4\r\n" + name + b": chunked" + END + HIDDEN, REFUSE, odd)
        yield Case(f"field {name!r} alone", POST + name + b": chunked" + END + HIDDEN, REFUSE, odd)
    yield Case("chunked in HTTP/1.0", b"POST /a HTTP/1.0\r\nHost: web\r\nTransfer-Encoding: chunked" + END + HIDDEN, REFUSE,
               "RFC 9112 section 6.1: HTTP/1.0 has no chunks, so the framing is faulty")
    for value in (b"chunked", b"CHUNKED", b"cHuNkEd", b" \tchunked\t "):
        yield Case(f"coding {value!r}, body behind", POST + b"Transfer-Encoding:" + value + END + ONE + NEXT, PASS, BLANKS, 2)
    yield Case("chunked in a GET", GET + CHUNKED + ONE + NEXT, PASS, count=2)
    yield Case("Transfer_Encoding beside a length", POST + b"Content-Length: 4\r\nTransfer_Encoding: chunked" + END + b"abcd" + NEXT, PASS,
               "nginx drops names with an underscore; ours passes them as the tokens that they are, so that nothing changes in meaning", 2)
    yield Case("Transfer-Encoding nominated", POST + b"Connection: Transfer-Encoding, close\r\n" + CHUNKED + ONE, PASS)
    yield Case("Content-Length nominated", POST + b"Connection: Content-Length, close\r\nContent-Length: 4" + END + b"abcd", PASS)
    yield Case("Host nominated", GET + b"Connection: Host, close" + END, PASS)


def chunks():
    why = "RFC 9112 section 7.1: the size is hexadecimal digits, and each line ends in CRLF"
    bad = {"no number": b"zz\r\nhello\r\n", "0x": b"0x5\r\nhello\r\n", "negative": b"-5\r\nhello\r\n", "plus": b"+5\r\nhello\r\n",
           "blank in front": b" 5\r\nhello\r\n", "tab in front": b"\t5\r\nhello\r\n", "too big": b"fffffffffffffffff\r\nhello\r\n", "17 digits": b"10000000000000005\r\nhello\r\n",
           "ends in LF": b"5\nhello\r\n", "ends in CR": b"5\rhello\r\n", "data ends in LF": b"5\r\nhello\n", "data ends in CR": b"5\r\nhello\r0",
           "data longer": b"5\r\nhelloX\r\n", "data shorter": b"6\r\nhello\r\n", "two sizes": b"5 5\r\nhello\r\n", "5_": b"5_\r\nhello\r\n",
           "nul in the size": b"5\0\r\nhello\r\n", "nul in the extension": b"5;a=\0\r\nhello\r\n", "LF in the extension": b"5;a\nb\r\nhello\r\n",
           "CR in the extension": b"5;a\rb\r\nhello\r\n", "extension without ;": b"5 a=b\r\nhello\r\n", "empty size": b"\r\nhello\r\n", "size ;": b";a=b\r\nhello\r\n",
           "comma": b"5,5\r\nhello\r\n", "decimal": b"5.0\r\nhello\r\n", "vertical tab": b"5\x0b\r\nhello\r\n", "DEL": b"5\x7f\r\nhello\r\n", "0xa0": b"5\xa0\r\nhello\r\n",
           "long extension": b"5;" + b"a" * 20000 + b"\r\nhello\r\n", "size in quotes": b"\"5\"\r\nhello\r\n", "h": b"5h\r\nhello\r\n", "CR CR LF": b"5\r\r\nhello\r\n",
           "quoted LF in the extension": b"5;a=\"\n\"\r\nhello\r\n", "LF CR": b"5\n\rhello\r\n", "no CRLF behind the data": b"5\r\nhello5\r\nhello\r\n"}
    for name, chunk in bad.items():
        yield Case(f"chunk: {name}", POST + CHUNKED + chunk + b"0\r\n\r\n" + NEXT, CUT, why, 0)
    trailer = "RFC 9112 section 7.1.2: trailers are fields, by the same rules as the head's"
    for name, lines in {"no colon": b"bad trailer\r\n", "folded": b" X: y\r\n", "bare LF": b"X: y\n", "space before the colon": b"X : y\r\n", "nul": b"X: \0\r\n",
                        "empty name": b": y\r\n", "bare CR": b"X: a\rb\r\n", "fold within": b"X: a\r\n b\r\n", "control": b"X: \x01\r\n", "space in the name": b"X Y: a\r\n"}.items():
        yield Case(f"trailer: {name}", POST + CHUNKED + b"5\r\nhello\r\n0\r\n" + lines + b"\r\n" + NEXT, CUT, trailer, 0)
    for name in (b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: other", b"Authorization: x", b"l5d-client-id: forged", b"Trailer: x",
                 b"X-Checksum: abc", b"Content-Type: x/y", b"Cookie: a=b"):
        yield Case(f"trailer {name.decode()}", POST + CHUNKED + b"5\r\nhello\r\n0\r\n" + name + END + NEXT, PASS, count=2)
    for name, body in {"last chunk 00": b"5\r\nhello\r\n00\r\n\r\n", "leading zeros": b"0005\r\nhello\r\n0\r\n\r\n", "upper case": b"A\r\n0123456789\r\n0\r\n\r\n",
                       "extension": b"5;a=b\r\nhello\r\n0\r\n\r\n", "extension without value": b"5;a\r\nhello\r\n0\r\n\r\n",
                       "quoted extension": b"5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", "extension of the last": b"5\r\nhello\r\n0;a=b\r\n\r\n",
                       "many": b"1\r\nx\r\n" * 500 + b"0\r\n\r\n", "data is CRLF": b"4\r\n\r\n\r\n\r\n0\r\n\r\n"}.items():
        yield Case(f"chunks, {name}", POST + CHUNKED + body + NEXT, PASS, count=2)
    yield Case("chunk size with blanks behind", POST + CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n" + NEXT, CUT,
               "RFC 9112 section 7.1.1 allows blanks only around extensions (BWS); a size is where smuggling begins", 0)
    yield Case("blanks around an extension", POST + CHUNKED + b"5 ; a = b\r\nhello\r\n0\r\n\r\n" + NEXT, CUT,
               "BWS around chunk extensions: nobody sends it, and a size is where smuggling begins", 0)


def control_bytes():
    why = "RFC 9110 section 5.5: control bytes are refused, never replaced"
    for byte in CONTROLS:
        c = bytes([byte])
        yield Case(f"byte {byte:#04x} in a value", GET + b"X: a" + c + b"b" + END, REFUSE, why)
        yield Case(f"byte {byte:#04x} in a name", GET + b"X" + c + b"Y: a" + END, REFUSE, why)
        yield Case(f"byte {byte:#04x} in the target", b"GET /a" + c + b"b HTTP/1.1\r\nHost: web" + END, REFUSE, why)
        yield Case(f"byte {byte:#04x} in the host", b"GET /a HTTP/1.1\r\nHost: we" + c + b"b" + END, REFUSE, why)
        yield Case(f"byte {byte:#04x} before the colon", GET + b"X" + c + b": a" + END, REFUSE, why)
        yield Case(f"byte {byte:#04x} ends a value", GET + b"X: a" + c + END, REFUSE, why)
    for byte in (0x80, 0x85, 0xa0, 0xff):
        yield Case(f"byte {byte:#04x} in a value", GET + b"X: a" + bytes([byte]) + b"b" + END, PASS)
        yield Case(f"byte {byte:#04x} in a name", GET + b"X" + bytes([byte]) + b": a" + END, REFUSE, "names are tokens (RFC 9110 section 5.1)")


def lines():
    bare = "RFC 9112 section 2.2 lets a server take a bare LF; ours refuses: what one takes for an end another takes for a byte"
    yield Case("bare LF everywhere", b"GET /a HTTP/1.1\nHost: web\n\n", REFUSE, bare)
    yield Case("bare LF after the start line", b"GET /a HTTP/1.1\nHost: web" + END, REFUSE, bare)
    yield Case("bare LF after a field", b"GET /a HTTP/1.1\r\nHost: web\nX: a" + END, REFUSE, bare)
    yield Case("bare LF as the empty line", b"GET /a HTTP/1.1\r\nHost: web\r\n\n" + NEXT, REFUSE, bare)
    yield Case("LF LF", b"GET /a HTTP/1.1\r\nHost: web\n\n" + NEXT, REFUSE, bare)
    yield Case("bare CR in a value", GET + b"X: a\rContent-Length: 9" + END, REFUSE, bare)
    yield Case("CR CR LF", GET + b"X: a\r\r\n\r\n", REFUSE, bare)
    yield Case("CR as the end of a field", b"GET /a HTTP/1.1\r\nHost: web\rX: a" + END, REFUSE, bare)
    yield Case("LF CR", b"GET /a HTTP/1.1\n\rHost: web\n\r\n\r", REFUSE, bare)
    fold = "RFC 9112 section 5.2: folded lines are refused, not joined"
    yield Case("folded value", GET + b"X: a\r\n b" + END, REFUSE, fold)
    yield Case("folded by a tab", GET + b"X: a\r\n\tb" + END, REFUSE, fold)
    yield Case("folded into a coding", POST + b"Transfer-Encoding:\r\n chunked" + END + HIDDEN, REFUSE, fold)
    yield Case("folded into a length", POST + b"Content-Length:\r\n 4" + END + b"abcd", REFUSE, fold)
    yield Case("folded Host", b"GET /a HTTP/1.1\r\nHost:\r\n web" + END, REFUSE, fold)
    yield Case("folded empty", GET + b"X: a\r\n \r\n\r\n", REFUSE, fold)
    yield Case("first field folded", b"GET /a HTTP/1.1\r\n Host: web" + END, REFUSE, fold)
    yield Case("start line folded", b"GET /a\r\n HTTP/1.1\r\nHost: web" + END, REFUSE, fold)
    name = "RFC 9112 section 5.1: no blank between name and colon, and no line without a colon"
    for line in (b"X : a", b"X\t: a", b": a", b" : a", b"X", b"X a", b"X Y: a", b"X,Y: a", b"X/Y: a", b"X(Y): a", b"X@Y: a", b"X=Y: a", b"X[Y]: a", b"X{Y}: a",
                 b"\"X\": a", b"X\\Y: a", b"X<Y: a", b"X;Y: a", b"X?Y: a"):
        yield Case(f"line {line!r}", GET + line + END, REFUSE, name)
        yield Case(f"line {line!r} before Host", b"GET /a HTTP/1.1\r\n" + line + b"\r\nHost: web" + END, REFUSE, name)
    for line in (b"X:", b"X: ", b"X:a", b"X:\ta\t", b"!#$%&'*+-.^_`|~: a", b"X_Y: a", b"x: \"a\\\"b\"", b"X: a:b", b"X.Y: a", b"1: a"):
        yield Case(f"line {line!r}", GET + line + END, PASS, "nginx drops names that are not letters, digits and hyphens; RFC 9110 allows them")
    yield Case("empty line in front", b"\r\n" + GET + b"\r\n", PASS)
    yield Case("two empty lines in front", b"\r\n\r\n" + GET + b"\r\n", REFUSE, "one empty line is passed over (RFC 9112 section 2.2), no more")
    yield Case("bare LF in front", b"\n" + GET + b"\r\n", REFUSE, bare)
    yield Case("blank in front", b" " + GET + b"\r\n", REFUSE, "no blank in front of a start line")
    yield Case("NUL in front", b"\0" + GET + b"\r\n", OPAQUE, "not HTTP to us")
    yield Case("CR in front", b"\r" + GET + b"\r\n", REFUSE, bare)
    yield Case("byte order mark in front", b"\xef\xbb\xbf" + GET + b"\r\n", OPAQUE, "not HTTP to us")


def start_lines():
    why = "RFC 9112 section 3: method, one space, target, one space, version, CRLF"
    for line in (b"GET  /a HTTP/1.1", b"GET /a  HTTP/1.1", b"GET /a HTTP/1.1 ", b"GET\t/a HTTP/1.1", b"GET /a\tHTTP/1.1", b"GET /a b HTTP/1.1", b"GET /a HTTP/1.1 x",
                 b"GET /a", b"GET", b"GET ", b"GET /a ", b"GET /a HTTP/", b"GET /a HTTP/1", b"GET /a HTTP/1.", b"GET /a HTTP/.1", b"GET /a HTTP/1.1.1", b"GET /a HTTP/01.1",
                 b"GET /a HTTP/1.01", b"GET /a HTTP/1.10", b"GET /a HTTP/11", b"GET /a HTTP/+1.1", b"GET /a HTTP/1,1", b"GET /a http/1.1",
                         b"GET /a Http/1.1", b"GET /a HTTPS/1.1", b"GET /a HTTP 1.1",
                 b"GET /a HTTP/2.0", b"GET /a HTTP/3.0", b"GET /a HTTP/0.9", b"GET /a HTTP/1.2", b"GET /a HTTP/1.9", b"GET /a HTTP/9.9",
                         b"GET /a HTTP/1.a", b"GET /a ICAP/1.0", b"GET /a RTSP/1.0",
                 b"GET a HTTP/1.1", b"GET ?a HTTP/1.1", b"GET a/b HTTP/1.1", b"GET * HTTP/1.1", b"GET web:80 HTTP/1.1", b"GET /a#b HTTP/1.1",
                         b"GET # HTTP/1.1", b"G@T /a HTTP/1.1", b"GET, /a HTTP/1.1",
                 b"G\xc3\x8bT /a HTTP/1.1", b"(GET) /a HTTP/1.1", b"GET:/a HTTP/1.1", b"GET /a HTTP/1.1, HTTP/1.0", b"GET /a\x0bHTTP/1.1", b"GET\x0b/a HTTP/1.1",
                 b"GET\x0c/a HTTP/1.1", b"GET /a\x0cHTTP/1.1", b"GET\xa0/a HTTP/1.1", b"GET /a HTTP/1.1\x0b", b"GET /a HTTP/1.1\0", b"GET \\a HTTP/1.1", b"GET \"/a\" HTTP/1.1"):
        no_http = line in (b"GET", b"GET ") or not re.match(rb"[A-Z]+[ \t\x0b\x0c\xa0]", line)
        yield Case(f"start line {line!r}", line + b"\r\nHost: web" + END, OPAQUE if no_http else REFUSE, why)
    for line in (b"GET / HTTP/1.1", b"OPTIONS * HTTP/1.1", b"M-SEARCH /a HTTP/1.1", b"PROPFIND /a HTTP/1.1", b"X /a HTTP/1.1", b"GET //a HTTP/1.1", b"GET /../a HTTP/1.1", b"GET /a%00b HTTP/1.1",
                 b"GET /%2e%2e/a HTTP/1.1", b"GET /a%0d%0ab HTTP/1.1", b"GET /a?b=c&d HTTP/1.1", b"GET /a;b HTTP/1.1", b"GET /a'b HTTP/1.1", b"get /a HTTP/1.1", b"DELETE /a HTTP/1.1",
                 b"GET /%zz HTTP/1.1", b"PATCH /a HTTP/1.1", b"QUERY /a HTTP/1.1"):
        yield Case(f"start line {line!r}", line + b"\r\nHost: web" + END, PASS, "paths and methods are the application's to judge")
    for byte in b"\"<>\\^`{|}":
        yield Case(f"target with {chr(byte)!r}", b"GET /a" + bytes([byte]) + b"b HTTP/1.1\r\nHost: web" + END, PASS, "paths are the application's to judge")
    for raw in (b"\x80", b"\xff", b"\xc3\xa4"):
        yield Case(f"target with {raw!r}", b"GET /a" + raw + b" HTTP/1.1\r\nHost: web" + END, PASS, "as nginx has it: not RFC 3986, but sent by old clients, and read by nobody as anything else")
    yield Case("target too long", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: web" + END, REFUSE, "LIMIT_HTTP_START_LINE: 16 KiB")
    yield Case("method too long", b"G" * 20000 + b" /a HTTP/1.1\r\nHost: web" + END, REFUSE, "LIMIT_HTTP_START_LINE: 16 KiB")
    yield Case("many fields", GET + b"x: y\r\n" * 200 + b"\r\n", REFUSE, "LIMIT_HTTP_FIELDS: 128")
    yield Case("big fields", GET + b"x: " + b"y" * 70000 + END, REFUSE, "LIMIT_HTTP_HEAD: 64 KiB")


def hosts():
    why = "RFC 9112 section 3.2: one Host, and one that is a host"
    for value in (b"a b", b"a@web", b"web:80:80", b"web:x", b"web:-1", b"web:99999", b"web,other", b"web/x", b"web?x", b"web#x", b"[::1", b"::1", b"[::1]x", b"[x]",
                  b"web\\x", b"http://web", b"web\x80", b"<web>", b"\"web\"", b"web:80 x", b"%77eb"):
        yield Case(f"Host {value!r}", b"GET /a HTTP/1.1\r\nHost: " + value + END, REFUSE, why)
    for value in (b"web", b"WEB", b"web:80", b"web.", b"web:", b"10.0.0.1", b"[::1]", b"[::1]:80", b"we_b", b"web;x", b"a.b.c:8080", b"-web"):
        yield Case(f"Host {value!r}", b"GET /a HTTP/1.1\r\nHost: " + value + END, PASS)
    yield Case("Host empty", b"GET /a HTTP/1.1\r\nHost:" + END, PASS, "an empty Host is one (RFC 9110 section 7.2); the address takes its place")
    for a, b in ((b"web", b"web"), (b"web", b"other"), (b"", b"web"), (b"web", b"")):
        yield Case(f"two Hosts, {a!r} and {b!r}", b"GET /a HTTP/1.1\r\nHost: " + a + b"\r\nHost: " + b + END, REFUSE, why)
    yield Case("two Hosts, case differs", GET + b"hOST: web" + END, REFUSE, why)
    yield Case("two Hosts, blank before the colon", GET + b"Host : other" + END, REFUSE, why)
    yield Case("two Hosts, second folded", GET + b"X: y\r\n Host: other" + END, REFUSE, why)
    yield Case("no Host", b"GET /a HTTP/1.1\r\nX: y" + END, REFUSE, why)
    yield Case("no Host in HTTP/1.0", b"GET /a HTTP/1.0\r\nX: y" + END, PASS)
    yield Case("HTTP/1.0", b"GET /a HTTP/1.0\r\nHost: web" + END, PASS)
    yield Case("HTTP/1.0 with two Hosts", b"GET /a HTTP/1.0\r\nHost: web\r\nHost: other" + END, REFUSE, why)
    yield Case("absolute form", b"GET http://web/a HTTP/1.1\r\nHost: web" + END, PASS)
    yield Case("absolute form, other Host", b"GET http://web/a HTTP/1.1\r\nHost: other" + END, PASS,
               "RFC 9112 section 3.2.2: the target wins, and Host is rewritten, so that nobody behind sees two; HAProxy refuses")
    yield Case("absolute form, no Host", b"GET http://web/a HTTP/1.1\r\nX: y" + END, PASS,
               "the target has the authority; Host is made of it")
    yield Case("absolute form, port differs", b"GET http://web:81/a HTTP/1.1\r\nHost: web:80" + END, PASS, "as above")
    yield Case("absolute form, user", b"GET http://u@web/a HTTP/1.1\r\nHost: web" + END, REFUSE, "RFC 9110 section 4.2.4: no userinfo")
    yield Case("absolute form, no host", b"GET http:///a HTTP/1.1\r\nHost: web" + END, REFUSE, why)
    yield Case("absolute form, upper case", b"GET HTTP://web/a HTTP/1.1\r\nHost: web" + END, PASS)
    yield Case("absolute form, no path", b"GET http://web HTTP/1.1\r\nHost: web" + END, PASS)
    yield Case("absolute form, query only", b"GET http://web?a HTTP/1.1\r\nHost: web" + END, REFUSE,
               "a query without a path is read as part of the host by some")
    yield Case("absolute form, ftp", b"GET ftp://web/a HTTP/1.1\r\nHost: web" + END, REFUSE, "only http and https are forwarded")
    yield Case("absolute form, no scheme", b"GET ://web/a HTTP/1.1\r\nHost: web" + END, REFUSE, why)
    yield Case("network path", b"GET //other/a HTTP/1.1\r\nHost: web" + END, PASS)
    connect = "CONNECT takes host:port and nothing else (RFC 9110 section 9.3.6)"
    for target in (b"/a", b"*", b"web", b"http://web:80", b"web:", b"web:x", b":80", b"u@web:80", b"web:80/a", b""):
        yield Case(f"CONNECT {target!r}", b"CONNECT " + target + b" HTTP/1.1\r\nHost: web" + END, REFUSE, connect)


def sequences():
    yield Case("pipelined", GET + b"\r\n" + NEXT + NEXT, PASS, count=3)
    yield Case("after close", GET + b"Connection: close" + END + NEXT, PASS)
    yield Case("after HTTP/1.0", b"GET /a HTTP/1.0\r\nHost: web" + END + NEXT, PASS)
    yield Case("after an error", b"GET /a HTTP/1.1\r\nHost: web\r\nHost: web" + END + NEXT, REFUSE,
               "HAProxy folds two equal Hosts into one")
    yield Case("an error second", GET + b"\r\nGET /b HTTP/1.1\r\nHost: a b" + END + NEXT, CUT, "what follows a refused request is never read")
    yield Case("garbage second", GET + b"\r\n\x16\x03\x01\x02\x00" + NEXT, CUT, "what follows a refused request is never read")
    yield Case("empty line between", GET + b"\r\n\r\n" + NEXT, PASS, count=2)
    yield Case("spaces between", GET + b"\r\n  " + NEXT, CUT, "what follows a refused request is never read")
    yield Case("preface second", GET + b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CUT, "the preface opens a connection and nothing else")
    yield Case("Expect: 100-continue", POST + b"Expect: 100-continue\r\nContent-Length: 4" + END + b"abcd" + NEXT, PASS, count=2)
    yield Case("Expect: other", POST + b"Expect: the-moon\r\nContent-Length: 4" + END + b"abcd" + NEXT, PASS,
               "an expectation that we do not know is the application's to refuse (417)", 2)
    yield Case("Upgrade: h2c", GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__" + END + NEXT, PASS, count=2)
    yield Case("body cut short", POST + b"Content-Length: 10" + END + b"abcd", CUT,
               "HAProxy gives up before it has a connection to the server", 0)
    yield Case("chunk cut short", POST + CHUNKED + b"a\r\nabcd", CUT,
               "HAProxy gives up before it has a connection to the server", 0)
    yield Case("head cut short", GET + b"X: ", REFUSE)
    yield Case("HEAD with a body", b"HEAD /a HTTP/1.1\r\nHost: web\r\nContent-Length: 4" + END + b"abcd" + NEXT, PASS, count=2)
    yield Case("Keep-Alive fields", GET + b"Connection: keep-alive, Keep-Alive\r\nKeep-Alive: timeout=5" + END + NEXT, PASS, count=2)
    yield Case("many options in Connection", GET + b"Connection: " + b", ".join(b"a%d" % i for i in range(100)) + END, REFUSE, "LIMIT_HTTP_CONNECTION_OPTIONS")


def corpus():
    found = {}
    for make in (lengths, codings, chunks, control_bytes, lines, start_lines, hosts, sequences):
        for case in make():
            name = f"{make.__name__.replace('_', ' ')}: {case.name}"
            assert name not in found, name
            found[name] = case
    return found

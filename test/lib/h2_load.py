"""An HTTP/2 client (prior knowledge) that checks each answer and follows GOAWAY as the RFC says: streams beyond the last id were not
processed and are asked again over a new connection; all others must be answered. Anything else is an error. Frame by frame, since
the h2 library takes the first GOAWAY for the end of the connection.

    client = H2Client(lambda: host.connect("10.99.0.1", 80))
    client.ask(["/bytes/10"] * 5)      # at once, over one connection; [(status, length), ...]
"""

import hpack
import hyperframe.frame as frames

REFUSED_STREAM = 7


class Stream:
    def __init__(self, path):
        self.path, self.status, self.length = path, None, 0


class H2Client:
    def __init__(self, connect, authority="a"):
        self.connect, self.authority = connect, authority
        self.sock = None
        self.connections = 0

    def _open(self):
        self.sock = self.connect()
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer, self.next_id, self.going_away = b"", 1, False
        self._send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames.SettingsFrame(0).serialize())
        self.connections += 1

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def _send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it said before it closed is read

    def ask(self, paths):
        """Status and length of each answer, in the order in which they ended."""
        answers, waiting, rounds = [], list(paths), 0
        while waiting:
            assert rounds < 10, f"sent away {rounds} times"
            rounds += 1
            if not self.sock:
                self._open()
            waiting = self._round(waiting, answers)
        return answers

    def _round(self, paths, answers):
        """What was not processed, to be asked again."""
        running, again = {}, []
        for path in paths:
            block = self.encoder.encode([(":method", "GET"), (":scheme", "http"), (":authority", self.authority), (":path", path)])
            running[self.next_id] = Stream(path)
            self._send(frames.HeadersFrame(self.next_id, block, flags=["END_HEADERS", "END_STREAM"]).serialize())
            self.next_id += 2
        while running:
            self._note(self._receive(running), running, answers, again)
        if self.going_away:
            self.close()
        return again

    def _receive(self, running):
        while True:
            if len(self.buffer) >= 9:
                frame, length = frames.Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) >= 9 + length:
                    frame.parse_body(memoryview(self.buffer[9:9 + length]))
                    self.buffer = self.buffer[9 + length:]
                    return frame
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError(f"closed with streams unanswered: {sorted(running)}")
            self.buffer += data

    def _note(self, frame, running, answers, again):
        stream = running.get(frame.stream_id)
        if isinstance(frame, frames.SettingsFrame) and "ACK" not in frame.flags:
            self._send(frames.SettingsFrame(0, flags=["ACK"]).serialize())
        elif isinstance(frame, frames.PingFrame) and "ACK" not in frame.flags:
            self._send(frames.PingFrame(0, frame.opaque_data, flags=["ACK"]).serialize())
        elif isinstance(frame, frames.HeadersFrame):
            headers = dict(self.decoder.decode(frame.data))
            stream.status = stream.status or int(headers[":status"])
        elif isinstance(frame, frames.DataFrame):
            stream.length += len(frame.data)
            if frame.flow_controlled_length:
                self._send(frames.WindowUpdateFrame(0, frame.flow_controlled_length).serialize())
        elif isinstance(frame, frames.RstStreamFrame):
            if frame.error_code != REFUSED_STREAM or stream.status:
                raise ConnectionError(f"{stream.path}: reset with {frame.error_code}")
            again.append(running.pop(frame.stream_id).path)
        elif isinstance(frame, frames.GoAwayFrame):
            if frame.error_code:
                raise ConnectionError(f"GOAWAY with {frame.error_code}")
            self.going_away = True
            again += [running.pop(number).path for number in list(running) if number > frame.last_stream_id]
        if stream and "END_STREAM" in frame.flags:
            answers.append((stream.status, stream.length))
            del running[frame.stream_id]

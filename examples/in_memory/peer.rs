// A scripted server for tests: it sends what the script says, also what no server should send.

use std::io::{Read, Write};

use landline::proto::frame::{Header, Opcode};
use landline::proto::handshake::Key;
use landline::proto::mask::mask_into;

/// The server's end of a connection, over any stream. It panics if the client ends unexpectedly, so
/// that the test fails.
pub(crate) struct Peer<S> {
    pub(crate) stream: S,
}

impl<S: Read + Write> Peer<S> {
    /// Does the opening handshake.
    pub(crate) fn open(stream: S) -> Self {
        let (mut peer, request) = Self::request(stream);
        let mut lines = request.lines();
        let key = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = Key::from_header(key.expect("a request has a key")).accept();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        peer.write(answer.as_bytes());
        peer
    }

    /// Reads the request, and leaves the answer to the script.
    pub(crate) fn request(stream: S) -> (Self, String) {
        let mut peer = Self { stream };
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.extend(peer.read(1));
        }
        (peer, String::from_utf8(request).expect("a request is text"))
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, opcode: Opcode, payload: impl AsRef<[u8]>) {
        let payload = payload.as_ref();
        let mut frame = Vec::new();
        let len = payload.len() as u64;
        Header { fin: true, rsv: 0, opcode, mask: None, len }.encode(&mut frame);
        frame.extend_from_slice(payload);
        self.write(&frame);
    }

    /// Sends a Close with this code.
    pub(crate) fn close(&mut self, code: u16) {
        self.send(Opcode::Close, code.to_be_bytes());
    }

    /// Receives a frame: its opcode, and the payload without the mask.
    pub(crate) fn receive(&mut self) -> (Opcode, Vec<u8>) {
        let mut head = Vec::new();
        let header = loop {
            head.extend(self.read(1));
            if let Some((header, _)) = Header::decode(&head).expect("a client keeps the rules") {
                break header;
            }
        };
        let masked = self.read(usize::try_from(header.len).expect("a test sends little"));
        let mut payload = Vec::new();
        mask_into(&mut payload, &masked, header.mask.expect("a client masks"), 0);
        (header.opcode, payload)
    }

    /// Sends any bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the client is there");
    }

    fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).expect("the client is there");
        bytes
    }
}

//! The core and a scripted server are connected in memory, in virtual time. Nothing is lost, the
//! order is kept, and each side sends one Close.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::proto_support;

use std::time::{Duration, Instant};

use landline::proto::frame::Opcode;
use landline::proto::keepalive::{Due, Timer};
use landline::proto::recv::{Decoder, DeliveryMode, Limits};
use landline::proto::send::{Encoder, MaskKeys};
use landline::{CloseCode, CloseFrame, Keepalive};

use proto_support::{
    Binary, Close, Numbers, OwnedEvent, Ping, Pong, Steps, Text, close_payload, frame,
    take_client_frame,
};

const TICK: Duration = Duration::from_millis(1);

/// A client made of the three parts of the core, and of the driver that `proto` describes.
struct Client {
    encoder: Encoder,
    decoder: Decoder,
    timer: Timer,
    steps: Steps,
    /// The number of events that were handled.
    seen: usize,
    messages: Vec<OwnedEvent>,
    received_close: Option<CloseFrame>,
    pings_sent: u32,
    dead_at: Option<Instant>,
    delivery: DeliveryMode,
}

impl Client {
    fn new(seed: u64, keepalive: Keepalive, delivery: DeliveryMode, now: Instant) -> Self {
        let mut numbers = Numbers::new(seed);
        let keys = MaskKeys::new(move |pool| {
            pool.fill_with(|| numbers.next().to_be_bytes()[7]);
            Ok(())
        });
        Self {
            encoder: Encoder::new(keys),
            decoder: Decoder::new(Limits::default()),
            timer: Timer::new(keepalive, now, seed),
            steps: Steps::default(),
            seen: 0,
            messages: Vec::new(),
            received_close: None,
            pings_sent: 0,
            dead_at: None,
            delivery,
        }
    }

    /// Reads bytes that arrived, and writes answers to `wire`.
    fn read(&mut self, mut bytes: &[u8], wire: &mut Vec<u8>, now: Instant) {
        while !bytes.is_empty() {
            self.timer.heard(now);
            bytes = &bytes[self.decoder.feed(bytes)..];
            self.steps.take(&mut self.decoder, self.delivery, false).unwrap();
            while let Some(event) = self.steps.events.get(self.seen).cloned() {
                self.seen += 1;
                self.answer(event, wire, now);
            }
        }
    }

    fn answer(&mut self, event: OwnedEvent, wire: &mut Vec<u8>, now: Instant) {
        match event {
            Ping(payload) if !self.encoder.is_closed() => {
                self.encoder.control(Opcode::Pong, &payload, wire).unwrap();
            }
            Ping(_) => {}
            Pong(payload) => self.timer.pong(&payload, now),
            Close(close) => {
                assert_eq!(self.received_close, None, "a second Close");
                if !self.encoder.is_closed() {
                    self.encoder.close(&CloseFrame::from(close.code.unwrap()), wire).unwrap();
                }
                self.received_close = Some(close);
            }
            message => {
                assert_eq!(self.received_close, None, "a message after the Close");
                self.messages.push(message);
            }
        }
    }

    /// Does what is due after time has passed.
    fn tick(&mut self, wire: &mut Vec<u8>, now: Instant) {
        match self.timer.due(now) {
            Due::Ping(payload) if !self.encoder.is_closed() => {
                self.encoder.control(Opcode::Ping, &payload, wire).unwrap();
                self.pings_sent += 1;
            }
            Due::Dead => self.dead_at = self.dead_at.or(Some(now)),
            _ => {}
        }
    }
}

/// A server, written from the RFC. It shares no code with the crate.
#[derive(Default)]
struct Server {
    bytes: Vec<u8>,
    open: Option<(u8, Vec<u8>)>,
    messages: Vec<OwnedEvent>,
    pongs: Vec<Vec<u8>>,
    pings_answered: u32,
    sent_close: bool,
    received_close: Option<Vec<u8>>,
    silent: bool,
}

impl Server {
    fn read(&mut self, bytes: &[u8], wire: &mut Vec<u8>) {
        self.bytes.extend_from_slice(bytes);
        while let Some(client) = take_client_frame(&mut self.bytes) {
            assert_eq!(self.received_close, None, "a frame after the client's Close");
            match client.first {
                0x89 if self.sent_close || self.silent => {}
                0x89 => {
                    self.pings_answered += 1;
                    wire.extend(frame(0x8a, &client.payload));
                }
                0x8a => self.pongs.push(client.payload),
                0x88 => {
                    if !self.sent_close {
                        wire.extend(frame(0x88, &client.payload));
                        self.sent_close = true;
                    }
                    self.received_close = Some(client.payload);
                }
                0x00 | 0x80 | 0x01 | 0x02 | 0x81 | 0x82 => self.data(client.first, client.payload),
                first => panic!("the client sent a frame that begins with {first:02x}"),
            }
        }
    }

    fn data(&mut self, first: u8, payload: Vec<u8>) {
        let (kind, mut message) = match (first % 16, self.open.take()) {
            (0, Some(open)) => open,
            (0, None) => panic!("a continuation of nothing"),
            (kind, None) => (kind, Vec::new()),
            (_, Some(_)) => panic!("a message inside a message"),
        };
        message.extend(payload);
        if first < 128 {
            self.open = Some((kind, message));
        } else if kind == 1 {
            self.messages.push(Text(String::from_utf8(message).unwrap()));
        } else {
            self.messages.push(Binary(message));
        }
    }

    fn close(&mut self, code: u16, wire: &mut Vec<u8>) {
        assert!(!std::mem::replace(&mut self.sent_close, true));
        wire.extend(frame(0x88, &close_payload(code, b"")));
    }
}

/// Both ends, and the bytes on their way between them.
struct Net {
    client: Client,
    server: Server,
    up: Vec<u8>,
    down: Vec<u8>,
    now: Instant,
    numbers: Numbers,
}

impl Net {
    fn new(seed: u64, keepalive: Keepalive, delivery: DeliveryMode) -> Self {
        let now = Instant::now();
        Self {
            client: Client::new(seed + 1, keepalive, delivery, now),
            server: Server::default(),
            up: Vec::new(),
            down: Vec::new(),
            now,
            numbers: Numbers::new(seed),
        }
    }

    /// Lets a millisecond pass. Some of the bytes under way arrive, cut anywhere.
    fn pass(&mut self) {
        self.now += TICK;
        let Self { client, server, up, down, now, numbers } = self;
        client.tick(up, *now);
        let most = [1, 7, 100, 3_000, 80_000][numbers.below(5)];
        let arriving: Vec<u8> = up.drain(..numbers.below(most + 1).min(up.len())).collect();
        server.read(&arriving, down);
        let arriving: Vec<u8> = down.drain(..numbers.below(most + 1).min(down.len())).collect();
        client.read(&arriving, up, *now);
    }

    /// Lets time pass until no bytes are under way.
    fn run_until_quiet(&mut self) {
        let mut ticks = 0;
        while !self.up.is_empty() || !self.down.is_empty() {
            self.pass();
            ticks += 1;
            assert!(ticks < 1_000_000, "bytes that never arrive");
        }
    }

    fn message(&mut self) -> OwnedEvent {
        let len = [0, 1, 20, 125, 126, 300, 5_000, 70_000][self.numbers.below(8)];
        if self.numbers.below(2) == 0 {
            let chars = ['a', 'é', '€', '𐍈', '\0'];
            Text((0..len / 2).map(|_| chars[self.numbers.below(5)]).collect())
        } else {
            Binary((0..len).map(|_| self.numbers.next().to_be_bytes()[7]).collect())
        }
    }

    /// Cuts a message anywhere into fragments, of which some may be empty. Returns for each whether
    /// it is the last one, the opcode, and the payload.
    fn fragments(&mut self, message: &OwnedEvent) -> Vec<(bool, u8, Vec<u8>)> {
        let (kind, mut rest) = match message {
            Text(text) => (1, text.as_bytes()),
            Binary(bytes) => (2, &bytes[..]),
            _ => unreachable!(),
        };
        let count = 1 + self.numbers.below(4);
        let mut fragments = Vec::new();
        for at in 1..=count {
            let last = at == count;
            let len = if last { rest.len() } else { self.numbers.below(rest.len() + 1) };
            let (part, after) = rest.split_at(len);
            rest = after;
            fragments.push((last, if at == 1 { kind } else { 0 }, part.to_vec()));
        }
        fragments
    }

    /// Lets the server send a message, with pings between its fragments.
    fn server_sends(&mut self, message: &OwnedEvent, pings: &mut Vec<Vec<u8>>) {
        for (last, opcode, part) in self.fragments(message) {
            self.down.extend(frame(u8::from(last) << 7 | opcode, &part));
            if self.numbers.below(3) == 0 {
                let payload = vec![pings.len().to_le_bytes()[0]; self.numbers.below(126)];
                self.down.extend(frame(0x89, &payload));
                pings.push(payload);
            }
        }
    }

    /// Lets the client send a message. Time passes between its fragments.
    fn client_sends(&mut self, message: &OwnedEvent) {
        for (last, opcode, part) in self.fragments(message) {
            let opcode = Opcode::from_bits(opcode).unwrap();
            let len = part.len() as u64;
            let mut body = self.client.encoder.begin(opcode, last, len, &mut self.up).unwrap();
            for bytes in part.chunks(1 + self.numbers.below(9_000)) {
                body.append(bytes, &mut self.up);
            }
            self.pass();
        }
    }

    fn client_closes(&mut self, code: u16) {
        let close = CloseFrame::from(CloseCode::new(code));
        self.client.encoder.close(&close, &mut self.up).unwrap();
    }

    /// Checks that each side received exactly one Close, with the right code.
    fn assert_closed(&self, by_client: u16, by_server: u16) {
        let heard = self.client.received_close.as_ref().expect("no Close from the server");
        assert_eq!(heard.code.unwrap().value(), by_server);
        let heard = self.server.received_close.as_ref().expect("no Close from the client");
        assert_eq!(heard[..2], by_client.to_be_bytes());
        assert!(self.client.encoder.is_closed() && self.server.sent_close);
        assert!(self.server.bytes.is_empty(), "half a frame");
    }
}

#[test]
fn messages_and_pings_go_both_ways_and_nothing_is_lost() {
    for seed in 0..24 {
        let delivery = if seed % 2 == 0 { DeliveryMode::Whole } else { DeliveryMode::Fragments };
        let mut net = Net::new(seed, Keepalive::OFF, delivery);
        let (mut up, mut down, mut pings) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..30 {
            let message = net.message();
            if net.numbers.below(2) == 0 {
                net.client_sends(&message);
                up.push(message);
            } else {
                net.server_sends(&message, &mut pings);
                down.push(message);
            }
            net.pass();
        }
        net.run_until_quiet();
        assert!(net.server.messages == up, "client to server, seed {seed}");
        assert!(net.client.messages == down, "server to client, seed {seed}");
        assert_eq!(net.server.pongs, pings, "one pong for each ping, seed {seed}");
    }
}

#[test]
fn the_client_closes_and_everything_before_it_arrives() {
    for seed in 100..116 {
        let mut net = Net::new(seed, Keepalive::OFF, DeliveryMode::Whole);
        let (up, down) = (net.message(), net.message());
        net.server_sends(&down, &mut Vec::new());
        net.client_sends(&up);
        net.client_closes(1000);
        net.run_until_quiet();
        net.assert_closed(1000, 1000);
        assert!(net.server.messages == [up] && net.client.messages == [down], "seed {seed}");
    }
}

#[test]
fn the_server_closes_and_the_client_echoes_its_code_once() {
    for (seed, code) in (200..).zip([1000, 1001, 1008, 1011, 1014, 3000, 4999]) {
        let mut net = Net::new(seed, Keepalive::OFF, DeliveryMode::Whole);
        let (up, down) = (net.message(), net.message());
        net.client_sends(&up);
        net.server_sends(&down, &mut Vec::new());
        net.server.close(code, &mut net.down);
        net.run_until_quiet();
        net.assert_closed(code, code);
        assert!(net.server.messages == [up] && net.client.messages == [down], "seed {seed}");
    }
}

#[test]
fn the_closes_cross_on_the_wire_and_each_side_sends_one() {
    for seed in 300..316 {
        let mut net = Net::new(seed, Keepalive::OFF, DeliveryMode::Fragments);
        let down = net.message();
        net.server_sends(&down, &mut Vec::new());
        net.server.close(1001, &mut net.down);
        net.client_closes(4000);
        net.run_until_quiet();
        net.assert_closed(4000, 1001);
        assert!(net.client.messages == [down], "seed {seed}");
    }
}

#[test]
fn the_server_closes_inside_its_own_message_and_the_client_does_not_deliver_it() {
    let mut net = Net::new(400, Keepalive::OFF, DeliveryMode::Whole);
    net.down.extend(frame(0x01, b"half"));
    net.server.close(1000, &mut net.down);
    net.down.extend(frame(0x80, b" a message"));
    net.run_until_quiet();
    net.assert_closed(1000, 1000);
    assert_eq!(net.client.messages, []);
}

fn keepalive(interval: u64, timeout: u64) -> Keepalive {
    Keepalive::new(Duration::from_millis(interval), Duration::from_millis(timeout))
}

#[test]
fn the_server_answers_pings_for_a_virtual_minute_and_stays_alive() {
    let mut net = Net::new(500, keepalive(500, 400), DeliveryMode::Whole);
    for _ in 0..60_000 {
        net.pass();
        assert_eq!(net.client.dead_at, None);
    }
    net.run_until_quiet();
    assert_eq!(net.client.pings_sent, 120);
    assert_eq!(net.server.pings_answered, net.client.pings_sent);
    let latency = net.client.timer.latency().unwrap();
    assert!(latency < Duration::from_millis(400), "{latency:?}");
}

#[test]
fn the_server_falls_silent_and_the_client_gives_it_up_at_the_pong_deadline() {
    let mut net = Net::new(600, keepalive(500, 400), DeliveryMode::Whole);
    let open = net.now;
    net.server.silent = true;
    for _ in 0..2_000 {
        net.pass();
    }
    assert_eq!(net.client.dead_at, Some(open + Duration::from_millis(900)));
    assert_eq!(net.client.pings_sent, 1);
}

#[test]
fn the_server_never_pongs_but_sends_data_and_is_not_given_up() {
    let mut net = Net::new(700, keepalive(500, 400), DeliveryMode::Whole);
    net.server.silent = true;
    let mut sent = Vec::new();
    for at in 0..30 {
        let message = Text(format!("message {at}"));
        net.server_sends(&message, &mut Vec::new());
        sent.push(message);
        for _ in 0..100 {
            net.pass();
        }
    }
    net.run_until_quiet();
    assert_eq!(net.client.dead_at, None);
    assert!(net.client.messages == sent);
}

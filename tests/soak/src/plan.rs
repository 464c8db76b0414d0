//! The plan of one session: what it does, and which fault it meets. The plan is drawn from the
//! seed, so that the same seed gives the same schedule.

use std::time::Duration;

use fastrand::Rng;
use landline::Keepalive;

use crate::server::Manner;

/// Plans one connection, from its opening to its end.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed, the slot and the number, for diagnostics.
    pub name: String,
    pub secure: bool,
    pub style: Style,
    pub bounds: Bounds,
    pub messages: u64,
    /// The limit of the size of all messages but the big one.
    pub largest: usize,
    /// The number of bytes of the big message, if there is one.
    pub big: Option<usize>,
    pub manner: Manner,
    /// The way through a proxy; with `None` the session connects to the server directly.
    pub link: Option<Link>,
    pub end: End,
    /// The pause before the next session, if this one could not be opened.
    pub pause: Duration,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One thread sends and receives.
    OneThread,
    /// One thread sends while another receives.
    Split,
    /// Two threads send while another receives.
    TwoSenders,
}

impl Style {
    pub fn is_alone(self) -> bool {
        self == Self::OneThread
    }

    pub fn senders(self) -> usize {
        if self == Self::TwoSenders { 2 } else { 1 }
    }
}

/// Says how the session is meant to end, if nothing else ends it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// We close when all messages have come back.
    Close,
    /// We close right after the last message. All messages must still come back.
    EarlyClose,
    /// Another thread aborts after this time, wherever the session is then.
    Abort(Duration),
    /// A thread that sends aborts after this number of messages, while another one blocks in
    /// `recv`.
    AbortBySender(u64),
    /// Both halves are dropped after this number of messages.
    Drop(u64),
    /// The server closes after this number of messages; see [`Manner`].
    PeerClose(u64),
    /// The server cuts the connection after this number of messages; see [`Manner`].
    PeerDrop(u64),
}

/// Holds the timeouts of the client.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub open: Duration,
    pub write: Duration,
    pub close: Duration,
    pub keepalive: Keepalive,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Bounds {
    /// For sessions in which a timeout is a mistake.
    fn generous() -> Self {
        Self {
            open: seconds(30),
            write: seconds(30),
            close: seconds(30),
            keepalive: Keepalive::new(seconds(5), seconds(30)),
        }
    }

    /// For sessions in which a timeout must come. It must not come because the machine is busy.
    fn tight() -> Self {
        Self {
            open: seconds(10),
            write: seconds(8),
            close: seconds(8),
            keepalive: Keepalive::new(seconds(1), seconds(8)),
        }
    }

    /// Returns how long a peer may be silent.
    pub fn silence(self) -> Duration {
        self.keepalive.interval.unwrap_or_default() + self.keepalive.timeout.unwrap_or_default()
    }

    /// Returns the time after which each fault must have been noticed. The ping that notices it may
    /// wait for a message that is being written, and the timeout of the ping begins after that.
    pub fn fault(self) -> Duration {
        self.open.max(self.silence() + self.write).max(self.close + seconds(2))
    }
}

/// Describes the way to the server. A session must survive all of it but the fault.
#[derive(Clone, Debug)]
pub struct Link {
    pub up: Shape,
    pub down: Shape,
    /// The receive buffers on the way have 2 KiB.
    pub tiny_window: bool,
    pub fault: Option<LinkFault>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// The number of bytes of a segment.
    pub chop: Option<usize>,
    /// The longest delay of a read, in milliseconds.
    pub delay: Option<u64>,
    /// A number of bytes, and the pause after them in milliseconds.
    pub stall: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
pub struct LinkFault {
    pub kind: Fault,
    /// `after` counts bytes towards the server, and not those towards the client.
    pub up: bool,
    pub after: u64,
}

/// Names a fault, and so who causes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Reset,
    Fin,
    /// A FIN is sent towards the client only.
    HalfClose,
    /// All bytes are read and none is passed on.
    BlackHole,
    /// No byte is read any more.
    Freeze,
    /// One bit is flipped, under TLS.
    BitFlip,
    ServerKilled,
    PeerClose,
    PeerDrop,
    Abort,
    Drop,
}

const LINK_FAULTS: [Fault; 6] =
    [Fault::Reset, Fault::Fin, Fault::HalfClose, Fault::BlackHole, Fault::Freeze, Fault::BitFlip];

impl Plan {
    pub fn new(seed: u64, slot: u64, number: u64) -> Self {
        let mixed = seed ^ slot.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number.rotate_left(40);
        let rng = &mut Rng::with_seed(mixed);
        rng.u64(..); // The first numbers of close seeds are alike.
        let mut plan = Self {
            name: format!("seed {seed}, slot {slot}, session {number}"),
            secure: rng.bool(),
            style: [Style::OneThread, Style::Split, Style::TwoSenders][rng.usize(..3)],
            bounds: Bounds::generous(),
            messages: log_uniform(rng, 200),
            largest: 1 << 20,
            big: None,
            manner: Manner {
                seed: rng.u64(..),
                fragments: rng.bool(),
                pings: rng.bool(),
                close_after: 0,
                drop_after: 0,
            },
            link: None,
            end: if rng.bool() { End::Close } else { End::EarlyClose },
            pause: Duration::from_millis(rng.u64(10..500)),
            seed: rng.u64(..),
        };
        if rng.bool() {
            plan.shape(rng);
        }
        if rng.u8(..100) < 60 {
            plan.harm(rng);
        }
        plan.limit(rng);
        plan
    }

    /// Adds a way to the server that changes when and in which segments bytes arrive.
    fn shape(&mut self, rng: &mut Rng) {
        let shape = |rng: &mut Rng, smallest: usize| Shape {
            chop: (rng.u8(..3) == 0).then(|| rng.usize(smallest..64)),
            delay: (rng.u8(..4) == 0).then(|| rng.u64(1..10)),
            stall: (rng.u8(..3) == 0).then(|| (log_uniform(rng, 1 << 18), rng.u64(10..500))),
        };
        // The server regards a request in many tiny segments as an attack.
        let (up, down) = (shape(rng, 8), shape(rng, 1));
        self.link = Some(Link { up, down, tiny_window: rng.u8(..4) == 0, fault: None });
    }

    /// Adds a fault, or another end.
    fn harm(&mut self, rng: &mut Rng) {
        let after = rng.u64(1..=self.messages);
        let chosen = rng.usize(..LINK_FAULTS.len() + 5);
        if let Some(&kind) = LINK_FAULTS.get(chosen) {
            self.secure |= kind == Fault::BitFlip;
            let link = self.link.get_or_insert_with(|| Link {
                up: Shape::default(),
                down: Shape::default(),
                tiny_window: false,
                fault: None,
            });
            let after = log_uniform(rng, 1 << 18);
            link.fault = Some(LinkFault { kind, up: rng.bool(), after });
            // After a flipped bit the peer may wait for the rest of a longer record.
            if matches!(kind, Fault::BlackHole | Fault::Freeze | Fault::BitFlip) {
                self.bounds = Bounds::tight();
            }
            return;
        }
        self.end = match chosen - LINK_FAULTS.len() {
            0 => End::Abort(Duration::from_micros(log_uniform(rng, 1_000_000))),
            1 if self.style != Style::OneThread => End::AbortBySender(after),
            // A thread that sends when the receiver is gone may run into a timeout.
            2 => {
                self.bounds = Bounds::tight();
                End::Drop(after)
            }
            3 => {
                self.manner.close_after = after;
                End::PeerClose(after)
            }
            _ => {
                self.manner.drop_after = after;
                End::PeerDrop(after)
            }
        };
    }

    /// Reduces the messages, if the way is slow or the timeouts are tight.
    fn limit(&mut self, rng: &mut Rng) {
        let slow = self.link.as_ref().is_some_and(|link| {
            let slow = |shape: &Shape| shape.chop.is_some() || shape.delay.is_some();
            link.tiny_window || slow(&link.up) || slow(&link.down)
        });
        if slow || self.bounds.write < Bounds::generous().write {
            self.messages = self.messages.min(30);
            self.largest = if slow { 4 << 10 } else { 64 << 10 };
        } else if rng.u8(..50) == 0 {
            self.big = Some(rng.usize(1 << 20..=16 << 20));
        }
    }
}

/// Returns a number from 1 to `most`, small numbers as often as large ones.
pub fn log_uniform(rng: &mut Rng, most: u64) -> u64 {
    let most = (most as f64).ln();
    (rng.f64() * most).exp().round() as u64
}

/// Returns the size of a message: often 0, and often one at which the length is written in another
/// form (RFC 6455 section 5.2).
pub fn size(rng: &mut Rng, largest: usize) -> usize {
    const EDGES: [usize; 6] = [1, 125, 126, 127, 65_535, 65_536];
    match rng.u8(..10) {
        0 => 0,
        1 => EDGES[rng.usize(..EDGES.len())].min(largest),
        _ => log_uniform(rng, largest as u64) as usize,
    }
}

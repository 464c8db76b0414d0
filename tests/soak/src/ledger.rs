//! What was sent and must come back: right, in order, once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::payload::{Chain, LANES, Stamp};

/// Shared by the threads of one connection. Threads that send at the same time have a lane each:
/// between lanes there is no order.
pub struct Ledger {
    lanes: usize,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// The last one is for the server's answer, if there are several.
    expected: [VecDeque<Expected>; 3],
    outstanding: usize,
    pings: VecDeque<Vec<u8>>,
    chain: Chain,
    last: Option<Stamp>,
    figures: Figures,
    wrong: Vec<Wrong>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Echo(Stamp),
    /// The server's own checksum over all that it got.
    Answer,
}

/// Totals of one connection.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    pub sent: u64,
    pub sent_bytes: u64,
    pub received: u64,
    pub received_bytes: u64,
    pub skipped: u64,
    pub pings: u64,
    pub pongs: u64,
    pub answers: u64,
}

/// What must never happen.
#[derive(Clone, Debug)]
pub enum Wrong {
    Lost(u64),
    Duplicated,
    Corrupted(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(messages) => write!(f, "{messages} messages lost"),
            Self::Duplicated => f.write_str("a message came twice"),
            Self::Corrupted(what) => write!(f, "corrupted: {what}"),
        }
    }
}

/// A message as it came: its stamp, and its beginning.
#[derive(Debug)]
pub struct Received {
    pub stamp: Stamp,
    head: Vec<u8>,
}

impl Received {
    /// Long enough for the server's answer.
    pub const HEAD: usize = 64;

    pub fn of(text: bool, bytes: &[u8]) -> Self {
        Self::read(Stamp::of(text, bytes), bytes)
    }

    /// Of a message that is not in one piece.
    pub fn read(stamp: Stamp, beginning: &[u8]) -> Self {
        Self { stamp, head: beginning[..beginning.len().min(Self::HEAD)].to_vec() }
    }
}

impl Ledger {
    pub fn new(lanes: usize) -> Self {
        Self { lanes, book: Mutex::default() }
    }

    /// Call it before the message is sent: the echo may be faster than the call that sends.
    pub fn sending(&self, lane: usize, stamp: Stamp) {
        let mut book = self.book();
        book.expected[lane].push_back(Expected::Echo(stamp));
        book.outstanding += stamp.len;
        book.figures.sent += 1;
        book.figures.sent_bytes += stamp.len as u64;
    }

    /// Call it before the server is asked.
    pub fn asking(&self) {
        let lane = if self.lanes == 1 { 0 } else { 2 };
        self.book().expected[lane].push_back(Expected::Answer);
    }

    pub fn pinging(&self, payload: &[u8]) {
        let mut book = self.book();
        book.pings.push_back(payload.to_vec());
        book.figures.pings += 1;
    }

    /// Says whether this was the server's answer, which is the last message.
    pub fn received(&self, received: &Received) -> bool {
        let mut book = self.book();
        let lane = match LANES.iter().position(|lane| received.head.first() == Some(lane)) {
            _ if self.lanes == 1 => 0,
            Some(lane) => lane,
            None => 2,
        };
        match book.expected[lane].front() {
            Some(Expected::Answer) => {
                book.expected[lane].pop_front();
                book.figures.answers += 1;
                let ours = book.chain.to_string();
                if received.head != ours.as_bytes() {
                    let theirs = String::from_utf8_lossy(&received.head).into_owned();
                    book.wrong.push(Wrong::Corrupted(format!("server: {theirs}; here: {ours}")));
                }
                true
            }
            Some(Expected::Echo(stamp)) if *stamp == received.stamp => {
                book.come_back(lane, received.stamp);
                false
            }
            _ => {
                let wrong = book.explain(lane, received);
                book.wrong.push(wrong);
                false
            }
        }
    }

    /// Whether the next message is one that may be thrown away: known with a single lane only.
    pub fn may_skip(&self) -> bool {
        self.lanes == 1 && matches!(self.book().expected[0].front(), Some(Expected::Echo(_)))
    }

    /// The rest of the next message was thrown away.
    pub fn skipped(&self) {
        let mut book = self.book();
        if let Some(&Expected::Echo(stamp)) = book.expected[0].front() {
            book.come_back(0, stamp);
            book.figures.skipped += 1;
        }
    }

    /// A Pong answers one of the pings, in the order of the wire, which two threads do not know; and
    /// not each needs an answer (RFC 6455 section 5.5.3).
    pub fn pong(&self, payload: &[u8]) {
        let mut book = self.book();
        let Some(at) = book.pings.iter().position(|ping| ping == payload) else {
            let wrong = Wrong::Corrupted(format!("pong {payload:?} answers no ping"));
            return book.wrong.push(wrong);
        };
        book.pings.remove(at);
        book.figures.pongs += 1;
    }

    /// Bytes that are on their way.
    pub fn outstanding(&self) -> usize {
        self.book().outstanding
    }

    /// Messages that were not seen again.
    pub fn missing(&self) -> u64 {
        self.book().expected.iter().map(|lane| lane.len() as u64).sum()
    }

    pub fn figures(&self) -> Figures {
        self.book().figures
    }

    pub fn wrong(&self) -> Vec<Wrong> {
        self.book().wrong.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn come_back(&mut self, lane: usize, stamp: Stamp) {
        self.expected[lane].pop_front();
        self.chain.add(stamp);
        self.last = Some(stamp);
        self.outstanding -= stamp.len;
        self.figures.received += 1;
        self.figures.received_bytes += stamp.len as u64;
    }

    /// Of a message that is not the next one.
    fn explain(&mut self, lane: usize, received: &Received) -> Wrong {
        let stamp = received.stamp;
        let same = |expected: &Expected| *expected == Expected::Echo(stamp);
        if let Some(at) = self.expected[lane].iter().position(same) {
            self.expected[lane].drain(..at);
            self.come_back(lane, stamp);
            return Wrong::Lost(at as u64);
        }
        if self.last == Some(stamp) {
            return Wrong::Duplicated;
        }
        Wrong::Corrupted(format!("{stamp:?} begins {:?}", String::from_utf8_lossy(&received.head)))
    }
}

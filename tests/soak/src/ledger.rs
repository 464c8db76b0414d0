//! The messages that were sent. Each must come back unchanged, in order, and once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::payload::{Chain, LANES, Stamp};

/// Records the messages of one connection, for all its threads. Threads that send at the same time
/// have a lane each. Between lanes there is no order.
pub struct Ledger {
    lanes: usize,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// The last lane is for the server's answer, if there are two senders.
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
    /// The server's checksum over all that it got.
    Answer,
}

/// Counts what happened on one connection.
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

/// Names what must never happen.
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

/// Holds the stamp and the beginning of a message that was received.
#[derive(Debug)]
pub struct Received {
    pub stamp: Stamp,
    head: Vec<u8>,
}

impl Received {
    /// The number of bytes that are kept, enough for the server's answer.
    pub const HEAD: usize = 64;

    pub fn of(text: bool, bytes: &[u8]) -> Self {
        Self::read(Stamp::of(text, bytes), bytes)
    }

    /// Returns the record of a message that was read bit by bit.
    pub fn read(stamp: Stamp, beginning: &[u8]) -> Self {
        Self { stamp, head: beginning[..beginning.len().min(Self::HEAD)].to_vec() }
    }
}

impl Ledger {
    pub fn new(lanes: usize) -> Self {
        Self { lanes, book: Mutex::default() }
    }

    /// Records a message that is about to be sent. Call it before the message is sent, because the
    /// echo may be faster than the call that sends.
    pub fn sending(&self, lane: usize, stamp: Stamp) {
        let mut book = self.book();
        book.expected[lane].push_back(Expected::Echo(stamp));
        book.outstanding += stamp.len;
        book.figures.sent += 1;
        book.figures.sent_bytes += stamp.len as u64;
    }

    /// Records that the server is about to be asked for its checksum.
    pub fn asking(&self) {
        let lane = if self.lanes == 1 { 0 } else { 2 };
        self.book().expected[lane].push_back(Expected::Answer);
    }

    pub fn pinging(&self, payload: &[u8]) {
        let mut book = self.book();
        book.pings.push_back(payload.to_vec());
        book.figures.pings += 1;
    }

    /// Compares a message with what is expected. Returns whether it was the server's answer, which
    /// is the last message.
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

    /// Returns whether the next message may be skipped. This is known only if there is one lane.
    pub fn may_skip(&self) -> bool {
        self.lanes == 1 && matches!(self.book().expected[0].front(), Some(Expected::Echo(_)))
    }

    /// Records that the rest of the next message was skipped.
    pub fn skipped(&self) {
        let mut book = self.book();
        if let Some(&Expected::Echo(stamp)) = book.expected[0].front() {
            book.come_back(0, stamp);
            book.figures.skipped += 1;
        }
    }

    /// Records a Pong, which must answer one of the pings. Two threads do not know the order of
    /// their pings on the wire, and not each Ping needs an answer (RFC 6455 section 5.5.3).
    pub fn pong(&self, payload: &[u8]) {
        let mut book = self.book();
        let Some(at) = book.pings.iter().position(|ping| ping == payload) else {
            let wrong = Wrong::Corrupted(format!("pong {payload:?} answers no ping"));
            return book.wrong.push(wrong);
        };
        book.pings.remove(at);
        book.figures.pongs += 1;
    }

    /// Returns the number of bytes that were sent and have not come back.
    pub fn outstanding(&self) -> usize {
        self.book().outstanding
    }

    /// Returns the number of messages that have not come back.
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

    /// Says what is wrong with a message that is not the expected one.
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

//! Runs one session: it opens, talks and ends. `session/judge.rs` decides whether it went well.

mod judge;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use landline::tls::TlsOptions;
use landline::{AbortHandle, Builder, CloseCode, Error, Receiver, Sender, WebSocket};

use crate::explained;
use crate::ledger::Ledger;
use crate::plan::{End, Fault, Plan};
use crate::proxy::Proxy;
use crate::receiving::{Receiving, Source};
use crate::sending::Sending;
use crate::server_process::ServerProcess;
use crate::tally::Tally;
use crate::watch::Watch;

/// Holds what all sessions share.
pub struct World {
    pub server: ServerProcess,
    pub watch: Watch,
    pub tally: Mutex<Tally>,
    pub tls: TlsOptions,
    /// Locks that limit the number of big messages at a time.
    pub big: [Mutex<()>; 4],
}

/// Runs one session, and counts it. Returns whether it was ever open.
pub fn run(world: &World, plan: &Plan) -> bool {
    let permit = plan.big.map(|bytes| &world.big[bytes % world.big.len()]);
    let _permit = permit.map(|permit| permit.lock().unwrap_or_else(PoisonError::into_inner));
    let started = Instant::now();
    let epoch = world.server.epoch();
    let mut address = world.server.address();
    let proxy = plan.link.as_ref().map(|link| Proxy::start(address, link, plan.seed));
    let proxy = match proxy.transpose() {
        Ok(proxy) => proxy,
        Err(error) => {
            eprintln!("{}: no proxy: {error}", plan.name);
            world.tally.lock().unwrap_or_else(PoisonError::into_inner).wrong_ends += 1;
            return false;
        }
    };
    if let Some(proxy) = &proxy {
        address = proxy.address;
    }
    let scheme = if plan.secure { "wss" } else { "ws" };
    let url = format!("{scheme}://{address}/?{}", plan.manner.query());
    let session = Session {
        world,
        plan,
        url,
        ledger: Ledger::new(plan.style.senders()),
        abort: AbortHandle::new(),
        aborted: Mutex::default(),
        wrong: Mutex::default(),
    };
    let outcome = session.run();
    let told = Instant::now();

    let mut faults = Vec::new();
    if let (Some(broke), Some(link)) = (proxy.and_then(Proxy::finish), &plan.link) {
        faults.extend(link.fault.map(|fault| (fault.kind, Some(broke))));
    }
    if world.server.was_killed_since(epoch) {
        faults.push((Fault::ServerKilled, Some(world.server.killed_at().max(started))));
    }
    let opened = !matches!(outcome, Outcome::NotOpened(_));
    session.judge(outcome, faults, told);
    opened
}

struct Session<'a> {
    world: &'a World,
    plan: &'a Plan,
    url: String,
    ledger: Ledger,
    abort: AbortHandle,
    aborted: Mutex<Option<Instant>>,
    /// Says what went wrong.
    wrong: Mutex<Vec<String>>,
}

/// Says how a session ended.
enum Outcome {
    NotOpened(Error),
    /// The last error of the receiver.
    Over(Error),
    Dropped,
}

impl Session<'_> {
    fn run(&self) -> Outcome {
        thread::scope(|scope| {
            let (done, alarm) = mpsc::channel::<()>();
            if let End::Abort(after) = self.plan.end {
                scope.spawn(move || {
                    if alarm.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
                        self.note_abort();
                        self.abort.abort();
                    }
                });
            }
            let outcome = self.open();
            drop(done);
            outcome
        })
    }

    fn note_abort(&self) {
        *self.aborted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn open(&self) -> Outcome {
        let bounds = self.plan.bounds;
        let builder = Builder::new()
            .tls(self.world.tls.clone())
            .open_timeout(bounds.open)
            .write_timeout(bounds.write)
            .close_timeout(bounds.close)
            .keepalive(bounds.keepalive)
            .abort_handle(self.abort.clone());
        let ws = self.call("connect", bounds.open, || builder.connect(&self.url));
        let ws = match ws {
            Ok(ws) => ws,
            Err(error) => return Outcome::NotOpened(error),
        };
        match self.plan.style.is_alone() {
            true => self.alone(ws),
            false => {
                let (receiver, sender) = ws.split();
                self.apart(receiver, &sender)
            }
        }
    }

    /// Sends and receives on this thread.
    fn alone(&self, ws: WebSocket) -> Outcome {
        let sender = ws.sender();
        let mut sending = self.sending(&sender, 0);
        let mut receiving = Receiving::new(ws, &self.ledger, &self.world.watch, self.plan);
        match self.talk(&mut sending, &mut receiving) {
            Ok(true) => return Outcome::Dropped,
            Ok(false) if self.plan.end == End::EarlyClose => self.check_sent(sending.close()),
            Ok(false) => {
                let bound = self.plan.bounds.close + LINGER;
                let ws = &mut receiving.source;
                let closed = self.call("close", bound, || ws.close((CloseCode::NORMAL, "done")));
                if let Err(error) = closed {
                    self.wrong(format!("close: {error}"));
                }
            }
            Err(Side::Sending(error)) => self.check_sent(Err(error)),
            Err(Side::Receiving(error)) => return self.over(error, &mut receiving.source, &sender),
        }
        let error = receiving.until_the_end();
        self.over(error, &mut receiving.source, &sender)
    }

    /// Sends and receives in turns. Returns `true` if the connection is to be dropped. While this
    /// thread sends, no thread reads. So few bytes are outstanding that the system's buffers hold
    /// them.
    fn talk(
        &self,
        sending: &mut Sending<'_>,
        receiving: &mut Receiving<'_, WebSocket>,
    ) -> Result<bool, Side> {
        while sending.some().map_err(Side::Sending)? {
            if matches!(self.plan.end, End::Drop(after) if self.ledger.figures().sent >= after) {
                return Ok(true);
            }
            while self.ledger.outstanding() > 8 << 10 || self.ledger.missing() > 20 {
                receiving.one().map_err(Side::Receiving)?;
            }
        }
        sending.ask().map_err(Side::Sending)?;
        if self.plan.end != End::EarlyClose {
            while !receiving.one().map_err(Side::Receiving)? {}
        }
        Ok(false)
    }

    /// Receives on this thread, and sends from other threads.
    fn apart(&self, receiver: Receiver, sender: &Sender) -> Outcome {
        let (left, gone) = (AtomicUsize::new(self.plan.style.senders()), AtomicBool::new(false));
        let (left, gone) = (&left, &gone);
        thread::scope(|scope| {
            for lane in 0..self.plan.style.senders() {
                scope.spawn(move || self.check_sent(self.send_all(sender, lane, left, gone)));
            }
            let mut receiving =
                Receiving::new(receiver, &self.ledger, &self.world.watch, self.plan);
            let error = loop {
                let received = self.ledger.figures().received;
                if matches!(self.plan.end, End::Drop(after) if received >= after) {
                    gone.store(true, Ordering::Relaxed);
                    return Outcome::Dropped;
                }
                match receiving.one() {
                    // An error here shows in the next call.
                    Ok(true) => drop(sender.close((CloseCode::NORMAL, "done"))),
                    Ok(false) => {}
                    Err(error) => break error,
                }
            };
            self.over(error, &mut receiving.source, sender)
        })
    }

    fn send_all(
        &self,
        sender: &Sender,
        lane: usize,
        left: &AtomicUsize,
        gone: &AtomicBool,
    ) -> Result<(), Error> {
        let mut sending = self.sending(sender, lane);
        while sending.some()? {
            if gone.load(Ordering::Relaxed) {
                return Ok(());
            }
            let sent = self.ledger.figures().sent;
            if matches!(self.plan.end, End::AbortBySender(after) if sent >= after) {
                self.note_abort();
                sender.abort();
                return Ok(());
            }
        }
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            sending.ask()?;
            if self.plan.end == End::EarlyClose {
                sending.close()?;
            }
        }
        Ok(())
    }

    /// Checks that the end is final, and that later calls fail.
    fn over(&self, error: Error, source: &mut impl Source, sender: &Sender) -> Outcome {
        let class = explained::class(&error);
        match source.recv().map_err(|error| explained::class(&error)) {
            Err(again) if again == class => {}
            again => self.wrong(format!("recv said {class}, then {again:?}")),
        }
        if sender.is_open() || !matches!(sender.send("more"), Err(Error::Closed(_))) {
            self.wrong(format!("it can be sent after {class}"));
        }
        Outcome::Over(error)
    }

    fn sending<'a>(&'a self, sender: &'a Sender, lane: usize) -> Sending<'a> {
        Sending::new(sender, &self.ledger, &self.world.watch, self.plan, lane)
    }

    fn check_sent(&self, sent: Result<(), Error>) {
        if let Err(error) = sent
            && !explained::is_end_of_sending(&error)
        {
            self.wrong(format!("sending: {}", explained::class(&error)));
        }
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn call<T>(&self, what: &'static str, bound: Duration, call: impl FnOnce() -> T) -> T {
        self.world.watch.call(what, &self.plan.name, Some(bound), call)
    }
}

/// The limit of the wait for the end of the stream after both Close frames.
const LINGER: Duration = Duration::from_secs(2);

/// Says which half met the error.
enum Side {
    Sending(Error),
    Receiving(Error),
}

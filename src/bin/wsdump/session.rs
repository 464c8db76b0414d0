//! Holds the connection, receives, and connects again.

mod events;

use std::process;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landline::backoff::Failure;
use landline::{Error, Event, MessageRef, Receiver, Sender, Timeout, WebSocket};

use crate::args::Preamble;
use crate::control::{Control, Stop};
use crate::duration;
use crate::exit::{Status, is_ended_here};
use crate::input::{self, Coding, Ended, Outgoing, Shape};
use crate::keyboard;
use crate::notes::Notes;
use crate::output::Output;
use crate::ping;
use crate::plan::{Input, Plan};
use crate::preamble;
use crate::summary::Summary;
use crate::terminal::Terminal;
use crate::threads;

/// Does all that the plan says, and returns how it ended.
pub(crate) fn run(mut plan: Plan, notes: Notes) -> Status {
    let start = plan.format.start;
    let output = match plan.output() {
        Ok(output) => Arc::new(Mutex::new(output)),
        Err(wrong) => {
            notes.error(&wrong);
            return Status::Local;
        }
    };
    let control = Arc::new(Control::default());
    let summary = Arc::new(Summary::new(start));
    let outgoing = Outgoing {
        control: control.clone(),
        output: output.clone(),
        summary: summary.clone(),
        notes: notes.clone(),
        close: plan.close.clone(),
        reconnects: plan.retry.is_some(),
        json: plan.format.json,
        start,
    };
    watch_signals(&outgoing);
    let terminal = begin_input(&outgoing, &mut plan);
    if let Some(interval) = plan.ping {
        let outgoing = outgoing.clone();
        threads::start(&notes, move || ping::run(&outgoing, interval));
    }
    let deadline = plan.max_time.map(|time| start + time);
    let mut session = Session { plan, outgoing, deadline, left: 0, met: false };
    session.left = session.plan.goal.count.unwrap_or(0);
    let status = session.run();
    control.finish();
    if let Some(terminal) = terminal {
        terminal.end();
    }
    if session.plan.summary {
        notes.info(&summary.text());
    }
    if let Err(why) = session.plan.save_cookies() {
        session.outgoing.error(&why, None);
    }
    status
}

/// Closes at the first Ctrl-C, and leaves at once at the second.
fn watch_signals(outgoing: &Outgoing) {
    let (control, frame) = (outgoing.control.clone(), outgoing.close.clone());
    let watched = ctrlc::set_handler(move || {
        if control.interrupt(&frame) {
            keyboard::give_back();
            process::exit(Status::Interrupted as i32);
        }
    });
    if let Err(error) = watched {
        outgoing.notes.verbose(&format!("signals end the program at once: {error}"));
    }
}

/// Starts the threads that send. Returns the prompt if there is one.
fn begin_input(outgoing: &Outgoing, plan: &mut Plan) -> Option<Terminal> {
    if plan.input == Input::Prompt {
        let eof_wait = plan.eof_wait.unwrap_or_default();
        let terminal = Terminal::begin(outgoing, plan.format.colour, eof_wait);
        if terminal.is_some() {
            return terminal;
        }
        plan.input = Input::Stream(Shape { end: Some(b'\n'), coding: Coding::Text });
    }
    let (outgoing, eof_wait) = (outgoing.clone(), plan.eof_wait);
    if let Input::Stream(shape) = plan.input {
        let notes = outgoing.notes.clone();
        threads::start(&notes, move || input::pump(&outgoing, shape, eof_wait));
    }
    None
}

struct Session {
    plan: Plan,
    outgoing: Outgoing,
    deadline: Option<Instant>,
    /// The number of messages that are still to come, if they are counted.
    left: u64,
    /// Is set when what the program waits for has come.
    met: bool,
}

/// Sends what is sent first, and then lets the other threads send.
fn send_first(outgoing: &Outgoing, sender: &Sender, first: &[Preamble]) {
    match preamble::send(outgoing, sender, first) {
        Err(Ended::Failed(why)) => {
            outgoing.error(&why, None);
            outgoing.control.stop(Stop::Failed, &outgoing.close);
        }
        // The thread that receives says why the connection is lost.
        Err(Ended::Over) => {}
        Ok(()) => {
            if !outgoing.control.opened(sender.clone()) {
                // An error says that the connection is over already.
                drop(sender.close(outgoing.close.clone()));
            }
        }
    }
}

/// Tells how a connection, or an attempt to open one, ended.
enum End {
    Done(Status),
    Lost(Error),
}

/// A connection that lived for this long was no failure. It is the default of `App`.
const STABLE: Duration = Duration::from_secs(10);

impl Session {
    fn run(&mut self) -> Status {
        let (mut failures, mut has_stood, mut down_since) = (0, false, Instant::now());
        loop {
            let begun = Instant::now();
            let Some(abort) = self.outgoing.control.begin() else { return self.stopped() };
            let builder = self.plan.builder(self.deadline).abort_handle(abort);
            let (end, lived) = match self.plan.connect(&builder) {
                Ok(ws) => {
                    let opened = Instant::now();
                    let end = self.talk(ws, opened - begun, has_stood);
                    (end, Some(opened.elapsed()))
                }
                Err(error) => (End::Lost(error), None),
            };
            let is_stable = lived.is_some_and(|lived| lived >= STABLE);
            if is_stable {
                failures = 0;
            }
            if lived.is_some() && failures == 0 {
                down_since = Instant::now();
            }
            // A first connection that was lost soon has not stood: the next may end as it did.
            let stood = has_stood || is_stable;
            has_stood |= lived.is_some();
            self.outgoing.control.lost();
            let error = match end {
                End::Done(status) => return status,
                End::Lost(error) => error,
            };
            match self.outgoing.control.stopped() {
                // The server may have ended the connection before this side could.
                Some(Stop::Finished) if !is_ended_here(&error) => return self.failed(&error),
                Some(_) => return self.stopped(),
                None => {}
            }
            if self.outgoing.control.restarts() {
                failures = 0;
                continue;
            }
            failures += 1;
            let failure = Failure::new(&error, failures, down_since.elapsed()).with_stood(stood);
            match self.plan.retry.as_mut().and_then(|retry| retry.delay(&failure)) {
                Some(delay) if !self.is_late(delay) => self.wait(delay, &error, failures),
                _ => return self.failed(&error),
            }
        }
    }

    fn is_late(&self, delay: Duration) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() + delay >= deadline)
    }

    /// Waits before the next attempt, and says so.
    fn wait(&self, delay: Duration, error: &Error, failures: u32) {
        let notes = &self.outgoing.notes;
        notes.info(&format!("{error}; attempt {} in {}", failures + 1, duration::time(delay)));
        let mut output = self.output();
        let told = output.event("retry", |line| {
            line.text("error", &error.to_string());
            line.number("attempt", u64::from(failures) + 1);
            line.seconds("wait", delay);
        });
        // If it cannot be written, the next message cannot either, which says so.
        drop(told.and_then(|()| output.flush()));
        drop(output);
        self.outgoing.control.pause(delay);
    }

    /// Uses an open connection until its end.
    fn talk(&mut self, ws: WebSocket, took: Duration, reconnected: bool) -> End {
        self.outgoing.control.note_open(ws.sender());
        if let Err(error) = self.tell_opened(&ws, took, reconnected) {
            return self.unwritable(&error);
        }
        let (mut receiver, sender) = ws.split();
        // The peer may send before it reads, so what is sent first is sent by another thread.
        let (outgoing, first) = (self.outgoing.clone(), self.plan.preamble.clone());
        let (sending, (done, is_done)) = (sender.clone(), sync_channel::<()>(0));
        let notes = outgoing.notes.clone();
        threads::start(&notes, move || {
            send_first(&outgoing, &sending, &first);
            drop(done);
        });
        let end = self.receive(&mut receiver, &sender);
        // That thread notices the end too. It may still write what it did; it may also be reading
        // a file that does not end.
        let _ = is_done.recv_timeout(Duration::from_millis(100));
        let counters = receiver.counters();
        self.outgoing.summary.sent.add_compression(&counters.sent);
        self.outgoing.summary.received.add_compression(&counters.received);
        let written = self.end_message();
        if let Some(closed) = receiver.closed() {
            self.tell_closed(closed);
        }
        match written.and_then(|()| self.output().flush()) {
            Err(error) if !matches!(end, End::Done(_)) => self.unwritable(&error),
            _ => end,
        }
    }

    fn receive(&mut self, receiver: &mut Receiver, sender: &Sender) -> End {
        let mut heard = Instant::now();
        let mut waits = false;
        loop {
            // What is written is flushed before a wait only, not for each message.
            let left = |end: Instant| end.saturating_duration_since(Instant::now());
            let limit = if waits { self.end(heard).map(left) } else { Some(Duration::ZERO) };
            let event = match limit {
                Some(limit) => receiver.next_event_timeout(limit),
                None => receiver.next_event(),
            };
            let now = Instant::now();
            let handled = match event {
                Ok(event) => {
                    waits = false;
                    if !matches!(event, Event::Ping(_) | Event::Pong(_)) {
                        heard = now;
                    }
                    self.handle(event)
                }
                Err(Error::Timeout(Timeout::Recv)) if !waits => {
                    waits = true;
                    self.output().flush()
                }
                Err(Error::Timeout(Timeout::Recv)) => Ok(()),
                Err(error) => {
                    // Another thread may still have to send our answer to the server's Close.
                    self.close(receiver, sender);
                    return End::Lost(error);
                }
            };
            // The last message must not wait for the server's answer to our Close.
            let written =
                if self.met { handled.and_then(|()| self.output().flush()) } else { handled };
            if let Err(error) = written {
                // Nothing more can be written, so the server's answer is not waited for.
                drop(sender.close(self.plan.close.clone()));
                return self.unwritable(&error);
            }
            if self.met {
                self.close(receiver, sender);
                return End::Done(Status::Clean);
            }
            // A server that sends without a pause, pings for example, is noticed here too.
            if self.end(heard).is_some_and(|end| now >= end) {
                return self.timed_out(sender, heard);
            }
        }
    }

    /// Returns when the next message must have come; `None` if there is no limit.
    fn end(&self, heard: Instant) -> Option<Instant> {
        let idle = self.plan.timeout.map(|timeout| heard + timeout);
        [idle, self.deadline].into_iter().flatten().min()
    }

    /// Ends because the server is too slow, so its answer to the Close is not waited for.
    fn timed_out(&self, sender: &Sender, heard: Instant) -> End {
        if self.outgoing.control.stopped().is_some() {
            // This side ended before. Only the server's answer is missing.
            return End::Done(self.stopped());
        }
        let of_idle = self.plan.timeout.filter(|timeout| heard.elapsed() >= *timeout);
        drop(sender.close(self.plan.close.clone()));
        let text = match of_idle {
            Some(timeout) => format!("no message came for {} (--timeout)", duration::time(timeout)),
            None => "the time is over (--max-time)".to_owned(),
        };
        self.outgoing.error(&text, None);
        End::Done(Status::TimedOut)
    }

    fn handle(&mut self, event: Event<'_>) -> std::io::Result<()> {
        match event {
            Event::Text(text) => self.message(MessageRef::Text(text)),
            Event::Binary(bytes) => self.message(MessageRef::Binary(bytes)),
            Event::Fragment(fragment) => {
                self.outgoing.summary.received.add(0, fragment.data.len());
                self.output().fragment(&fragment)?;
                if fragment.last {
                    self.outgoing.summary.received.add(1, 0);
                    self.count();
                }
                Ok(())
            }
            Event::Ping(payload) => {
                self.outgoing.notes.verbose("the server sent a Ping, which is answered");
                self.output().event("ping", |line| {
                    line.text("dir", "in");
                    line.bytes("base64", payload);
                })
            }
            Event::Pong(payload) => ping::answered(&self.outgoing, payload),
            _ => Ok(()),
        }
    }

    fn message(&mut self, message: MessageRef<'_>) -> std::io::Result<()> {
        self.outgoing.summary.received.add(1, message.len());
        self.output().received(message)?;
        self.count();
        let (until, text) = (&self.plan.goal.until, message.as_text());
        if until.as_ref().zip(text).is_some_and(|(until, text)| until.is_match(text)) {
            self.met = true;
        }
        Ok(())
    }

    /// Counts a message, if they are counted.
    fn count(&mut self) {
        if self.plan.goal.count.is_some() {
            self.left = self.left.saturating_sub(1);
            self.met |= self.left == 0;
        }
    }

    /// Ends a message that the end of its connection has cut off, and says so.
    fn end_message(&self) -> std::io::Result<()> {
        let is_cut_off = self.output().cut_off()?;
        if is_cut_off {
            let text = "a message was cut off: the connection ended before the rest of it came";
            self.outgoing.error(text, None);
        }
        Ok(())
    }

    /// Does the closing handshake, and cuts the connection if the time is over before.
    fn close(&self, receiver: &mut Receiver, sender: &Sender) {
        let (done, is_done) = sync_channel::<()>(0);
        if let Some(deadline) = self.deadline {
            // The Close is sent also if the time is over already.
            drop(sender.close(self.plan.close.clone()));
            let sender = sender.clone();
            threads::start(&self.outgoing.notes, move || {
                let left = deadline.saturating_duration_since(Instant::now());
                if is_done.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                    sender.abort();
                }
            });
        }
        // The code was checked, so an error says that the connection is over already.
        drop(receiver.close(self.plan.close.clone()));
        drop(done);
    }

    /// Returns the status after this side has ended the connection, or the attempt.
    fn stopped(&self) -> Status {
        match self.outgoing.control.stopped() {
            Some(Stop::Interrupted) => Status::Interrupted,
            Some(Stop::Failed) => Status::Local,
            Some(Stop::Finished) | None => self.unless_unmet(Status::Clean),
        }
    }

    /// Returns the status after the connection is lost for good, or could not be opened.
    fn failed(&self, error: &Error) -> Status {
        let status = self.unless_unmet(Status::of(error));
        let text = error.to_string();
        if status == Status::Clean || status == Status::Unmet {
            if self.plan.input == Input::Prompt {
                self.outgoing.notes.info(&text);
            }
        } else {
            self.outgoing.error(&text, error.status());
            if let Some(body) = error.response().map(|response| response.body()) {
                self.outgoing.notes.verbose(String::from_utf8_lossy(body).trim_end());
            }
        }
        status
    }

    /// Returns `Unmet` in place of `Clean` if the program still waits for messages.
    fn unless_unmet(&self, status: Status) -> Status {
        if status != Status::Clean || self.met || !self.plan.goal.is_set() {
            return status;
        }
        let text = match self.plan.goal.count {
            Some(count) => format!(
                "the connection ended after {} of {count} messages",
                count.saturating_sub(self.left)
            ),
            None => "the connection ended before a message matched --until".to_owned(),
        };
        self.outgoing.error(&text, None);
        Status::Unmet
    }

    /// Ends because standard output cannot be written: quietly if nobody reads it any more.
    fn unwritable(&self, error: &std::io::Error) -> End {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            self.outgoing.notes.verbose("nobody reads standard output any more");
            return End::Done(Status::Clean);
        }
        self.outgoing.notes.error(&format!("cannot write the output: {error}"));
        End::Done(Status::Local)
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        self.outgoing.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The client: calls with an id from any thread, answers in any order, events between them.
//!
//! Copy this file for other protocols of this kind: JSON-RPC, OBS, Home Assistant. landline has no
//! API for them. They differ in where a message has its id, in what an error looks like, and in
//! what an event is for, so an API would need a parameter for each. Beside those lines there is
//! little here that `Sender` and `Receiver` do not do: a map of the calls that wait, and its end.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use landline::{Builder, CloseCode, Event, Receiver, Sender};
use serde_json::{Value, json};

/// Calls the methods of a browser. Clone it for other threads. Dropping the last clone closes the
/// connection.
#[derive(Clone)]
pub(crate) struct DevTools(Arc<Connection>);

struct Connection {
    sender: Sender,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    /// The id of the last call.
    last: u64,
    /// The calls that have no answer yet, by their ids.
    waiting: HashMap<u64, mpsc::Sender<Value>>,
    /// Says why the connection ended, once it has.
    over: Option<String>,
}

impl DevTools {
    /// Connects, and starts the thread that receives. It calls `on_event` with each event, so
    /// `on_event` must not call the browser itself: the answer could not be received.
    pub(crate) fn connect(
        url: &str,
        on_event: impl FnMut(&Value) + Send + 'static,
    ) -> Result<Self, landline::Error> {
        let ws = Builder::new()
            .proxy(None) // The browser is on this machine.
            .max_message_size(1 << 30) // A snapshot of the heap is one message.
            .connect(url)?;
        let (receiver, sender) = ws.split();
        let calls = Arc::<Mutex<Calls>>::default();
        let why = "the callback panicked".to_owned();
        let reader = Reader { receiver, calls: calls.clone(), why };
        thread::spawn(move || reader.run(on_event));
        Ok(Self(Arc::new(Connection { sender, calls })))
    }

    /// Calls a method of the browser, or of the page to which the session belongs, and waits for
    /// the result. A browser that does not read what it is sent may delay the end of the call by
    /// `Builder::write_timeout`.
    pub(crate) fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
        timeout: Duration,
    ) -> Result<Value, CallError> {
        let Connection { sender, calls } = &*self.0;
        let began = Instant::now();
        let (answers, answer) = mpsc::channel();
        let id = lock(calls).begin(answers)?;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        match sender.send(message.to_string()) {
            // The receiving thread learns why the connection is over, and ends this call.
            Err(error) if error.is_fatal() => {}
            Err(error) => {
                lock(calls).waiting.remove(&id);
                return Err(CallError::NotSent(error));
            }
            Ok(()) => {}
        }
        match answer.recv_timeout(timeout.saturating_sub(began.elapsed())) {
            Ok(mut answer) => match answer.get("error") {
                Some(error) => Err(CallError::Refused(error["message"].to_string())),
                None => Ok(answer["result"].take()),
            },
            Err(mpsc::RecvTimeoutError::Timeout) => {
                lock(calls).waiting.remove(&id);
                Err(CallError::Timeout(timeout))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(lock(calls).is_over()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.sender.close(CloseCode::NORMAL); // It may be over already.
    }
}

impl Calls {
    fn begin(&mut self, answers: mpsc::Sender<Value>) -> Result<u64, CallError> {
        if self.over.is_some() {
            return Err(self.is_over());
        }
        self.last += 1;
        self.waiting.insert(self.last, answers);
        Ok(self.last)
    }

    fn is_over(&self) -> CallError {
        CallError::Over(self.over.clone().unwrap_or_default())
    }
}

/// Is the receiving thread's part.
struct Reader {
    receiver: Receiver,
    calls: Arc<Mutex<Calls>>,
    /// Says why the connection ended.
    why: String,
}

impl Reader {
    fn run(mut self, mut on_event: impl FnMut(&Value)) {
        self.why = self.receive(&mut on_event);
    }

    /// Gives each answer to the call that waits for it, and the events to the callback. Returns why
    /// the connection ended.
    fn receive(&mut self, on_event: &mut impl FnMut(&Value)) -> String {
        loop {
            let text = match self.receiver.next_event() {
                Ok(Event::Text(text)) => text,
                Ok(_) => continue,
                Err(error) => return error.to_string(),
            };
            let Ok(message) = serde_json::from_str::<Value>(text) else {
                return format!("the browser sent what is not JSON: {text:?}");
            };
            let Some(id) = message["id"].as_u64() else {
                on_event(&message);
                continue;
            };
            // The call may have timed out.
            if let Some(answers) = lock(&self.calls).waiting.remove(&id) {
                let _ = answers.send(message);
            }
        }
    }
}

impl Drop for Reader {
    /// Ends all calls when the receiving thread ends, also if the callback panics.
    fn drop(&mut self) {
        let mut calls = lock(&self.calls);
        calls.over = Some(mem::take(&mut self.why));
        calls.waiting.clear();
    }
}

fn lock(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().expect("nothing that may panic runs under this lock")
}

/// Says why a call has no result.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The browser answered with an error. The connection goes on.
    Refused(String),
    /// The browser did not answer in time. The connection goes on.
    Timeout(Duration),
    /// Other threads kept the connection busy for too long. The connection goes on.
    NotSent(landline::Error),
    /// The connection is over: why it ended.
    Over(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(message) => write!(f, "the browser refuses the call: {message}"),
            Self::Timeout(timeout) => write!(f, "the browser did not answer within {timeout:?}"),
            Self::NotSent(error) => write!(f, "the call was not sent: {error}"),
            Self::Over(why) => write!(f, "the connection to the browser is over: {why}"),
        }
    }
}

impl std::error::Error for CallError {}

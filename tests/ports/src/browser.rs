//! Does what a browser driver does on top of its transport: calls with an id from any thread,
//! answers in any order, events to a listener.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};

use crate::transport::{On, Program, Transport, connect};

/// The limit for one call.
const CALL: Duration = Duration::from_secs(30);

pub struct Browser {
    transport: Box<dyn Transport>,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    last: u64,
    waiting: HashMap<u64, mpsc::Sender<Value>>,
}

impl Browser {
    /// Connects. Returns also the listener, which receives the events.
    pub fn connect(on: On, url: &str) -> (Self, mpsc::Receiver<Value>) {
        let calls = Arc::<Mutex<Calls>>::default();
        let (events, listener) = mpsc::channel();
        let waiting = calls.clone();
        let on_text = move |text: &str| {
            let message: Value = serde_json::from_str(text).unwrap();
            match message["id"].as_u64() {
                Some(id) => {
                    let answers = waiting.lock().unwrap().waiting.remove(&id);
                    answers.expect("each call is answered once").send(message).unwrap();
                }
                None => events.send(message).unwrap(),
            }
        };
        let transport = connect(Program::Browser, on, url, Box::new(on_text));
        (Self { transport, calls }, listener)
    }

    /// Calls a method, and waits for the result.
    pub fn call(&self, method: &str, params: u64) -> Value {
        let (answers, answer) = mpsc::channel();
        let id = {
            let mut calls = self.calls.lock().unwrap();
            calls.last += 1;
            let id = calls.last;
            calls.waiting.insert(id, answers);
            id
        };
        let message = json!({ "id": id, "method": method, "params": params });
        self.transport.send(message.to_string());
        answer.recv_timeout(CALL).expect("the call is answered")["result"].take()
    }

    /// Has an event sent every `milliseconds`.
    pub fn watch(&self, milliseconds: u64) {
        let message = json!({ "method": "watch", "params": milliseconds });
        self.transport.send(message.to_string());
    }

    pub fn stop(self) {
        self.transport.stop();
    }
}

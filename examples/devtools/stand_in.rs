//! A server that stands in for a browser: it knows the few methods and expressions that this
//! program uses.

use std::error::Error;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};
use tungstenite::Message;

/// Serves one connection.
pub(crate) struct StandIn {
    pub(crate) url: String,
    /// Receives the socket of the connection.
    accepted: mpsc::Receiver<TcpStream>,
}

impl StandIn {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("ws://{}/devtools/browser/stand-in", listener.local_addr()?);
        let (accept, accepted) = mpsc::channel();
        thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            // It is received when the stand-in is killed.
            let _ = accept.send(stream.try_clone()?);
            serve(stream)
        });
        Ok(Self { url, accepted })
    }

    /// Ends the connection without a Close, as a browser does that dies.
    pub(crate) fn kill(&self) -> io::Result<()> {
        match self.accepted.try_recv() {
            Ok(stream) => stream.shutdown(Shutdown::Both),
            Err(_) => Ok(()), // Nobody has connected, or this was called before.
        }
    }
}

fn serve(stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut client = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    let mut unfinished = Value::Null;
    loop {
        let Message::Text(text) = client.read()? else { continue };
        for message in answers(&serde_json::from_str(&text)?, &mut unfinished) {
            client.send(Message::text(message.to_string()))?;
        }
    }
}

/// Returns the messages that answer a call. `unfinished` is the id of the call that is answered
/// when `finish` is called.
fn answers(call: &Value, unfinished: &mut Value) -> Vec<Value> {
    let result = |result: Value| vec![json!({ "id": call["id"], "result": result })];
    let expression = call["params"]["expression"].as_str().unwrap_or_default();
    match call["method"].as_str().unwrap_or_default() {
        "Browser.getVersion" => result(json!({ "product": "a stand-in" })),
        "Target.createTarget" => result(json!({ "targetId": "target" })),
        "Target.attachToTarget" => result(json!({ "sessionId": "session" })),
        "Runtime.enable" => result(json!({})),
        "Runtime.evaluate" if expression.starts_with("finish(") => {
            let mut answers = result(json!({ "result": {} }));
            answers.push(json!({ "id": unfinished, "result": { "result": { "value": 42 } } }));
            answers
        }
        // A promise, which is not kept now.
        "Runtime.evaluate" if expression.contains("new Promise") => {
            if expression.contains("finish") {
                *unfinished = call["id"].clone();
            }
            let params = json!({ "args": [{ "type": "string", "value": "ready" }] });
            let event = json!({ "method": "Runtime.consoleAPICalled", "params": params });
            Vec::from_iter(expression.starts_with("console.log").then_some(event))
        }
        "Runtime.evaluate" => result(json!({ "result": { "value": product(expression) } })),
        other => {
            let message = format!("'{other}' wasn't found");
            vec![json!({ "id": call["id"], "error": { "code": -32601, "message": message } })]
        }
    }
}

fn product(expression: &str) -> Option<u64> {
    let (left, right) = expression.split_once(" * ")?;
    Some(left.parse::<u64>().ok()? * right.parse::<u64>().ok()?)
}

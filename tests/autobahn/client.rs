//! Runs through the cases of an Autobahn fuzzing server and echoes every message.
//!
//! `run`, in this folder, starts the server and judges its report; what a case did to
//! us is only counted here. Usage: `autobahn ws://127.0.0.1:PORT AGENT`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use landline::{Builder, Error, Event, Keepalive, Message, WebSocket};

/// The slowest case takes a few seconds, on a machine with other work half a minute: a case that
/// takes this long hangs.
const CASE_LIMIT: Duration = Duration::from_secs(300);

/// The time that the server may take to listen, and the interval at which it is tried.
const START_LIMIT: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [server, agent] = &args[..] else {
        eprintln!("usage: autobahn ws://127.0.0.1:PORT AGENT");
        return ExitCode::from(2);
    };
    match run_all(server, agent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("autobahn client: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(server: &str, agent: &str) -> Result<(), String> {
    let started = Instant::now();
    let count = case_count(server).map_err(|error| format!("no case count: {error}"))?;

    let mut endings = BTreeMap::new();
    let mut hung = None;
    for case in 1..=count {
        let url = format!("{server}/runCase?case={case}&agent={agent}");
        let Some(ending) = within_limit(move || run_case(&url)) else {
            hung = Some(case);
            break;
        };
        *endings.entry(ending).or_insert(0) += 1;
    }

    let seconds = started.elapsed().as_secs_f64();
    let ran: u32 = endings.values().sum();
    println!("{ran} of {count} cases in {seconds:.1} s, which ended so: {endings:?}");
    // The server writes its report when it is asked to, so ask after a hang too.
    update_reports(server, agent).map_err(|error| format!("no report: {error}"))?;
    hung.map_or(Ok(()), |case| Err(format!("case number {case} hung or panicked")))
}

fn case_count(server: &str) -> Result<u32, String> {
    let mut ws = first_connection(server).map_err(|error| error.to_string())?;
    match ws.recv().map_err(|error| error.to_string())? {
        Message::Text(count) => count.parse().map_err(|_| format!("it said {count:?}")),
        Message::Binary(_) => Err("it sent a binary message".to_owned()),
    }
}

/// The server says that it is ready just before it is.
fn first_connection(server: &str) -> Result<WebSocket, Error> {
    let started = Instant::now();
    loop {
        match connect(&format!("{server}/getCaseCount")) {
            Err(_) if started.elapsed() < START_LIMIT => thread::sleep(RETRY),
            connected => return connected,
        }
    }
}

fn update_reports(server: &str, agent: &str) -> Result<(), Error> {
    let mut ws = connect(&format!("{server}/updateReports?agent={agent}"))?;
    match ws.recv() {
        Ok(_) | Err(Error::Closed(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Echoes until the connection ends and names the kind of ending. The server provokes
/// errors in many cases on purpose, so an error is as good an ending as a close.
fn run_case(url: &str) -> &'static str {
    let Ok(mut ws) = connect(url) else {
        return "not connected";
    };
    match echo(&mut ws) {
        Error::Closed(closed) if closed.is_clean() => "closed cleanly",
        Error::Closed(_) => "closed not cleanly",
        Error::Protocol(_) => "protocol error",
        _ => "other error",
    }
}

fn echo(ws: &mut WebSocket) -> Error {
    let sender = ws.sender();
    loop {
        let sent = match ws.next_event() {
            Ok(Event::Text(text)) => sender.send(text),
            Ok(Event::Binary(bytes)) => sender.send(bytes),
            Ok(_) => Ok(()),
            Err(error) => return error,
        };
        if let Err(error) = sent {
            return error;
        }
    }
}

fn connect(url: &str) -> Result<WebSocket, Error> {
    let builder = Builder::new().keepalive(Keepalive::OFF).proxy(None);
    // Small messages are compressed too: the cases are there to be tried. The level, which nobody
    // can see, is the fastest.
    let builder = builder.deflate(landline::deflate::Deflate::new().min_size(0).level(1));
    builder.connect(url)
}

/// `None` if `case` does not return in time, or panics. A thread that hangs is left
/// behind: only the end of the process stops it.
fn within_limit(case: impl FnOnce() -> &'static str + Send + 'static) -> Option<&'static str> {
    let (done, ending) = mpsc::channel();
    thread::spawn(move || done.send(case()));
    ending.recv_timeout(CASE_LIMIT).ok()
}

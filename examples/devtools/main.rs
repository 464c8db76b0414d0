//! Drives a browser by its DevTools: calls from several threads, events, and an end when the
//! browser dies.
//!
//! ```sh
//! cargo run --example devtools                 # against a stand-in that it starts itself
//! cargo run --example devtools -- chromium     # starts this browser, without a window
//! ```
//!
//! `devtools.rs` is the client, which is made to be copied. `stand_in.rs` is a server that answers
//! what this program asks.

mod devtools;
mod stand_in;

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use devtools::{CallError, DevTools};
use serde_json::{Value, json};
use stand_in::StandIn;

type AnyError = Box<dyn Error + Send + Sync>;

/// The limit for a call. A browser may start slowly.
const TIMEOUT: Duration = Duration::from_secs(30);
const THREADS: u64 = 4;
const CALLS: u64 = 25;

fn main() -> Result<(), AnyError> {
    let mut browser = match std::env::args_os().nth(1) {
        Some(program) => Browser::spawn(&program)?,
        None => Browser::StandIn(StandIn::start()?),
    };

    // The events that the program is interested in come through a channel.
    let (logs, logged) = mpsc::channel();
    let devtools = DevTools::connect(&browser.url()?, move |event| {
        if event["method"] == "Runtime.consoleAPICalled" {
            let _ = logs.send(event["params"]["args"][0]["value"].clone());
        }
    })?;
    let version = devtools.call(None, "Browser.getVersion", json!({}), TIMEOUT)?;
    println!("connected to {}", version["product"]);
    let page = Page::open(devtools)?;

    // One thread waits for its answer, while others call and get theirs.
    let patient = page.in_thread("console.log('ready'); new Promise(done => { finish = done })");
    expect(&logged.recv_timeout(TIMEOUT)?, "ready")?;
    let threads: Vec<_> = (0..THREADS).map(|thread| page.multiply_in_thread(thread)).collect();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    println!("{THREADS} threads made {CALLS} calls each, and each answer was right");
    page.evaluate("finish(42)", TIMEOUT)?;
    expect(&patient.join().map_err(|_| "the thread panicked")??, 42)?;
    println!("the call before them was answered after them");

    // A call that goes wrong does not end the connection.
    match page.evaluate("new Promise(() => {})", Duration::from_millis(200)) {
        Err(error @ CallError::Timeout(_)) => println!("one call: {error}"),
        other => return Err(format!("no timeout, but {other:?}").into()),
    }
    match page.devtools.call(None, "No.suchMethod", json!({}), TIMEOUT) {
        Err(error @ CallError::Refused(_)) => println!("one call: {error}"),
        other => return Err(format!("not refused, but {other:?}").into()),
    }
    expect(&page.evaluate("6 * 7", TIMEOUT)?, 42)?;

    // When the browser dies, the calls that wait end at once.
    let pending = page.in_thread("console.log('ready'); new Promise(() => {})");
    expect(&logged.recv_timeout(TIMEOUT)?, "ready")?;
    let killed = Instant::now();
    browser.kill()?;
    match pending.join().map_err(|_| "the thread panicked")? {
        Err(error @ CallError::Over(_)) => println!("the browser is killed: {error}"),
        other => return Err(format!("the browser is killed, but the call gives {other:?}").into()),
    }
    if killed.elapsed() > TIMEOUT / 2 {
        return Err(format!("the call ended only after {:?}", killed.elapsed()).into());
    }
    match page.evaluate("6 * 7", TIMEOUT) {
        Err(CallError::Over(_)) => Ok(()),
        other => Err(format!("the browser is dead, and a new call gives {other:?}").into()),
    }
}

fn expect(value: &Value, expected: impl Into<Value>) -> Result<(), AnyError> {
    let expected = expected.into();
    if *value == expected { Ok(()) } else { Err(format!("{value} is not {expected}").into()) }
}

/// Is a page that is open in the browser.
#[derive(Clone)]
struct Page {
    devtools: DevTools,
    session: String,
}

impl Page {
    fn open(devtools: DevTools) -> Result<Self, AnyError> {
        let call = |method, params| devtools.call(None, method, params, TIMEOUT);
        let target = call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let params = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = call("Target.attachToTarget", params)?;
        let session = attached["sessionId"].as_str().ok_or("the page has no session")?.to_owned();
        devtools.call(Some(&session), "Runtime.enable", json!({}), TIMEOUT)?;
        Ok(Self { devtools, session })
    }

    /// Evaluates an expression of JavaScript in the page. If it is a promise, waits for that.
    fn evaluate(&self, expression: &str, timeout: Duration) -> Result<Value, CallError> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result =
            self.devtools.call(Some(&self.session), "Runtime.evaluate", params, timeout)?;
        Ok(result["result"]["value"].take())
    }

    fn in_thread(&self, expression: &'static str) -> thread::JoinHandle<Result<Value, CallError>> {
        let page = self.clone();
        thread::spawn(move || page.evaluate(expression, TIMEOUT))
    }

    fn multiply_in_thread(&self, thread: u64) -> thread::JoinHandle<Result<(), AnyError>> {
        let page = self.clone();
        thread::spawn(move || {
            for number in thread * CALLS..(thread + 1) * CALLS {
                let product = page.evaluate(&format!("{number} * {number}"), TIMEOUT)?;
                expect(&product, number * number)?;
            }
            Ok(())
        })
    }
}

/// Is what the program talks to. Dropping it ends it.
enum Browser {
    Process { child: Child, profile: PathBuf },
    StandIn(StandIn),
}

impl Browser {
    /// Starts a browser of Chromium's family with an empty profile.
    fn spawn(program: &OsStr) -> Result<Self, AnyError> {
        let name = format!("landline-devtools-{}", std::process::id());
        let profile = std::env::temp_dir().join(name);
        let mut user_data_dir = OsString::from("--user-data-dir=");
        user_data_dir.push(&profile);
        // There is no sandbox, because root cannot have one. The page that is opened is empty.
        let child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .arg(user_data_dir)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program:?} cannot be started: {error}"))?;
        Ok(Self::Process { child, profile })
    }

    /// Returns the URL of the DevTools, which a browser prints when it is ready.
    fn url(&mut self) -> Result<String, AnyError> {
        let child = match self {
            Self::StandIn(stand_in) => return Ok(stand_in.url.clone()),
            Self::Process { child, .. } => child,
        };
        let mut lines = BufReader::new(child.stderr.take().ok_or("the URL was read before")?);
        let mut line = String::new();
        loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Err("the browser ended before it listened".into());
            }
            if let Some(url) = line.trim_end().strip_prefix("DevTools listening on ") {
                // The browser must not block, whatever else it prints.
                thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
                return Ok(url.to_owned());
            }
        }
    }

    fn kill(&mut self) -> io::Result<()> {
        match self {
            Self::StandIn(stand_in) => stand_in.kill(),
            Self::Process { child, .. } => child.kill(),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.kill(); // It may be dead already.
        if let Self::Process { child, profile } = self {
            let _ = child.wait();
            // The browser's own processes end a moment after it, and may write until then.
            let killed = Instant::now();
            while fs::remove_dir_all(&*profile).is_err()
                && profile.exists()
                && killed.elapsed() < TIMEOUT
            {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

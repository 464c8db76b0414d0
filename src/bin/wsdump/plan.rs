//! The options after all checks, before a socket is opened.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use landline::backoff::{Backoff as _, Exponential, Failure};
use landline::proto::utf8::Utf8;
use landline::{Builder, CloseCode, CloseFrame, Error, WebSocket};
use regex_lite::Regex;

use crate::args::{self, Args, Preamble};
use crate::commands;
use crate::connect::Target;
use crate::input::{Coding, Shape};
use crate::notes::Notes;
use crate::output::{Binary, Format, Output, Stamp};
use crate::preamble;

/// Says all that is to be done.
pub(crate) struct Plan {
    target: Target,
    pub(crate) preamble: Vec<Preamble>,
    pub(crate) input: Input,
    pub(crate) goal: Goal,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_time: Option<Duration>,
    pub(crate) eof_wait: Option<Duration>,
    pub(crate) ping: Option<Duration>,
    pub(crate) close: CloseFrame,
    pub(crate) format: Format,
    output: Option<PathBuf>,
    pub(crate) retry: Option<Retry>,
    pub(crate) summary: bool,
}

/// Names where the messages come from that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Nothing,
    Stream(Shape),
    /// A person types them.
    Prompt,
}

/// Says which messages the program waits for.
pub(crate) struct Goal {
    pub(crate) count: Option<u64>,
    pub(crate) until: Option<Regex>,
}

impl Goal {
    pub(crate) fn is_set(&self) -> bool {
        self.count.is_some() || self.until.is_some()
    }
}

/// Decides when to connect again.
pub(crate) struct Retry(Exponential);

impl Retry {
    fn new(args: &args::Retry) -> Option<Self> {
        let wanted = args.reconnect || args.retry.is_some();
        let mut backoff = Exponential::new().max_attempts(args.retry);
        if let Some(delay) = args.retry_delay {
            backoff = backoff.base(delay);
        }
        if let Some(delay) = args.retry_max_delay {
            backoff = backoff.cap(delay);
        }
        wanted.then_some(Self(backoff))
    }

    /// Returns how long to wait after a failure; `None` if it is final.
    pub(crate) fn delay(&mut self, failure: &Failure<'_>) -> Option<Duration> {
        if failure.is_retryable() { self.0.delay(failure) } else { None }
    }
}

impl Plan {
    /// Checks the options.
    pub(crate) fn new(args: Args, preamble: Vec<Preamble>, notes: &Notes) -> Result<Self, String> {
        let url = args.url.as_deref().unwrap_or_default();
        let Args { message, until, output, request, tls, network, retry, .. } = args;
        let close = message.close.as_deref().map(commands::parse_close).transpose();
        let close = close.map_err(|error| format!("--close: {error}"))?;
        let close = close.unwrap_or_else(|| CloseCode::NORMAL.into());
        let goal = goal(&until)?;
        let format = format(&message, &output);
        let max_size = network.max_size;
        let mut target = Target::new(url, request, tls, network, &args.curl, notes)?;
        if Output::takes_fragments(&format) && goal.until.is_none() {
            // A message is written as it comes, so it may be of any length.
            target.change(|builder| {
                builder.fragments(true).max_message_size(max_size).max_fragments(None)
            });
        } else if let Some(most) = max_size {
            target.change(|builder| builder.max_message_size(most));
        }
        preamble.iter().try_for_each(check_file)?;
        Ok(Self {
            target,
            preamble,
            input: input(&message, &output, &goal, &format),
            goal,
            timeout: until.timeout,
            max_time: until.max_time,
            eof_wait: until.eof_wait,
            ping: message.ping,
            close,
            format,
            output: output.output,
            retry: Retry::new(&retry),
            summary: output.summary,
        })
    }

    pub(crate) fn output(&self) -> Result<Output, String> {
        match &self.output {
            None => Ok(Output::stdout(self.format.clone())),
            Some(path) => Output::file(path, self.format.clone())
                .map_err(|error| format!("cannot write {path:?}: {error}")),
        }
    }

    pub(crate) fn builder(&self, deadline: Option<Instant>) -> Builder {
        self.target.builder(deadline)
    }

    pub(crate) fn connect(&self, builder: &Builder) -> Result<WebSocket, Error> {
        self.target.connect(builder)
    }

    pub(crate) fn save_cookies(&self) -> Result<(), String> {
        self.target.save_cookies()
    }
}

fn goal(until: &args::Until) -> Result<Goal, String> {
    let regex = until.until.as_deref().map(Regex::new).transpose();
    let regex = regex.map_err(|error| format!("--until: not a regular expression: {error}"))?;
    Ok(Goal { count: if until.one { Some(1) } else { until.count }, until: regex })
}

fn format(message: &args::Message, output: &args::Output) -> Format {
    let person = output.output.is_none() && !output.json && io::stdout().is_terminal();
    let binary = match () {
        () if output.hex => Binary::Hex,
        () if output.base64 => Binary::Base64,
        () if person => Binary::Described,
        () => Binary::Raw,
    };
    let stamp = match () {
        () if output.timings => Some(Stamp::Start),
        () if output.timestamps => Some(Stamp::Date),
        () if output.deltas => Some(Stamp::Delta),
        () => None,
    };
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Format {
        json: output.json,
        end: if message.null { 0 } else { b'\n' },
        binary,
        stamp,
        gunzip: output.gunzip,
        person,
        pretty: person && !output.raw,
        colour: person && !output.raw && !is_set("NO_COLOR") && !is_dumb,
        start: Instant::now(),
    }
}

fn input(message: &args::Message, output: &args::Output, goal: &Goal, format: &Format) -> Input {
    // Who waits for an answer at a terminal does not want to type.
    if message.no_input || goal.is_set() && io::stdin().is_terminal() {
        return Input::Nothing;
    }
    let is_plain = output.raw || output.hex || output.base64 || message.binary || message.null;
    if format.person && !is_plain && io::stdin().is_terminal() {
        return Input::Prompt;
    }
    let end = if message.null { 0 } else { b'\n' };
    Input::Stream(match () {
        () if output.hex => Shape { end: Some(end), coding: Coding::Hex },
        () if output.base64 => Shape { end: Some(end), coding: Coding::Base64 },
        () if message.binary => Shape { end: message.null.then_some(0), coding: Coding::Binary },
        () => Shape { end: Some(end), coding: Coding::Text },
    })
}

/// Checks that a file can be read, and that one that is sent as text is text.
fn check_file(message: &Preamble) -> Result<(), String> {
    let (Preamble::TextFile(path) | Preamble::BinaryFile(path)) = message else { return Ok(()) };
    let unreadable = |error: io::Error| format!("cannot read {path:?}: {error}");
    // A pipe can be opened and read only once.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Ok(());
    }
    let mut file = File::open(path).map_err(unreadable)?;
    if matches!(message, Preamble::BinaryFile(_)) {
        return Ok(());
    }
    let (mut utf8, mut buffer) = (Utf8::default(), vec![0; 64 * 1024]);
    loop {
        let len = file.read(&mut buffer).map_err(unreadable)?;
        let checked = if len == 0 { utf8.finish() } else { utf8.check(&buffer[..len]) };
        checked.map_err(|_| preamble::not_text(path))?;
        if len == 0 {
            return Ok(());
        }
    }
}

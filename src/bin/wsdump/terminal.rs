//! A person at a terminal: the prompt, and what arrives above it.
//!
//! One thread reads keys. It gives the lines to another one, which sends them, and never waits for
//! it. So keys work also while the server takes nothing.

use std::io::{self, Read as _, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use landline::Message;

use crate::commands::{self, Command};
use crate::completion;
use crate::control::{Control, Phase, Stop};
use crate::exit::Status;
use crate::history::History;
use crate::input::{Ended, Outgoing};
use crate::keyboard;
use crate::keys::{Decoder, Key};
use crate::line::{Line, Reach};
use crate::ping;
use crate::preamble;
use crate::screen::{Prompt, Screen};
use crate::show;
use crate::threads;

/// Is the prompt while the program runs.
#[derive(Clone)]
pub(crate) struct Terminal {
    control: Arc<Control>,
    colour: bool,
    edited: Arc<Mutex<Edited>>,
}

/// The most lines that wait to be sent.
const MOST: usize = 16;
/// A server that takes nothing for this long does not hold up what ends its connection.
const MAX_QUEUED_FOR: Duration = Duration::from_secs(1);

/// Holds the line and the screen that it is drawn on.
struct Edited {
    line: Line,
    screen: Screen<Stdout>,
    /// There is no prompt any more: the program or the input has ended.
    over: bool,
}

impl Terminal {
    /// Begins to read keys. `None` if the terminal cannot do what the prompt needs.
    pub(crate) fn begin(outgoing: &Outgoing, colour: bool, eof_wait: Duration) -> Option<Self> {
        if !keyboard::take() {
            return None;
        }
        let edited =
            Edited { line: Line::default(), screen: Screen::new(io::stdout()), over: false };
        let edited = Arc::new(Mutex::new(edited));
        let terminal = Self { control: outgoing.control.clone(), colour, edited };
        let (shown, noted) = (terminal.clone(), terminal.clone());
        let mut output = outgoing.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.show_above_prompt(Box::new(move |line| shown.print(line)));
        drop(output);
        outgoing.notes.show_above_prompt(Box::new(move |line| noted.print(line)));
        terminal.change(|_| ());
        let (lines, typed) = sync_channel(MOST);
        let (reading, typing, sending) = (terminal.clone(), outgoing.clone(), outgoing.clone());
        threads::start(&outgoing.notes, move || reading.read(&typing, &lines, eof_wait));
        threads::start(&outgoing.notes, move || execute(&sending, &typed));
        Some(terminal)
    }

    /// Takes the prompt away, and gives the terminal back.
    pub(crate) fn end(&self) {
        let mut edited = self.edited();
        edited.over = true;
        // A terminal that is gone needs nothing.
        let _ = edited.screen.clear(keyboard::width());
        keyboard::give_back();
    }

    /// Shows lines above the prompt, or just shows them if there is none.
    fn print(&self, text: &str) {
        let (prompt, width) = (self.prompt(), keyboard::width());
        let Edited { line, screen, over } = &mut *self.edited();
        // A terminal that is gone shows nothing. Reading from it fails too, which ends the program.
        let _ = if *over { screen.plain(text) } else { screen.print(text, prompt, line, width) };
    }

    /// Changes the line, and draws it.
    fn change<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        let (prompt, width) = (self.prompt(), keyboard::width());
        let Edited { line, screen, over } = &mut *self.edited();
        let value = change(line);
        if !*over {
            let _ = screen.draw(prompt, line, width);
        }
        value
    }

    /// Reads keys until the terminal is gone.
    fn read(&self, outgoing: &Outgoing, lines: &SyncSender<Typed>, eof_wait: Duration) {
        let pass_on = |command| pass_on(outgoing, lines, command, eof_wait);
        let (mut decoder, mut history) = (Decoder::default(), History::load());
        let mut buffer = [0; 4096];
        loop {
            while let Some(key) = decoder.next() {
                match self.press(key, &mut history) {
                    Pressed::Nothing => {}
                    Pressed::Line(line) => match Command::parse(&line, &outgoing.close) {
                        Ok(command) => pass_on(command),
                        Err(wrong) => outgoing.notes.error(&wrong),
                    },
                    Pressed::End => pass_on(Command::End),
                    Pressed::Interrupt => {
                        if self.control.interrupt(&outgoing.close) {
                            self.end();
                            std::process::exit(Status::Interrupted as i32);
                        }
                    }
                }
            }
            match io::stdin().read(&mut buffer) {
                Ok(len @ 1..) => decoder.feed(&buffer[..len]),
                // The terminal is gone.
                Ok(0) | Err(_) => return pass_on(Command::End),
            }
        }
    }

    fn press(&self, key: Key, history: &mut History) -> Pressed {
        match key {
            Key::Control('c') => return Pressed::Interrupt,
            Key::Control('d') if self.edited().line.text().is_empty() => return Pressed::End,
            Key::Control('j') => return self.enter(history),
            Key::Control('i') => self.complete(),
            Key::Control('z') => {
                let _ = self.edited().screen.clear(keyboard::width());
                keyboard::suspend();
                self.change(|_| ());
            }
            Key::Control('l') => {
                let _ = self.edited().screen.wipe();
                self.change(|_| ());
            }
            Key::Up | Key::Control('p') => self.change(|line| {
                if let Some(older) = history.back(line.text(), "") {
                    line.set(older);
                }
            }),
            Key::Control('r') => self.change(|line| {
                let part = line.text().to_owned();
                if let Some(older) = history.back(&part, &part) {
                    line.set(older);
                }
            }),
            Key::Down | Key::Control('n') => self.change(|line| {
                if let Some(newer) = history.forward() {
                    line.set(newer);
                }
            }),
            key => self.change(|line| edit(line, &key)),
        }
        Pressed::Nothing
    }

    /// Ends the line, unless the message goes on in another one.
    fn enter(&self, history: &mut History) -> Pressed {
        let (prompt, width) = (self.prompt(), keyboard::width());
        let mut edited = self.edited();
        if completion::goes_on(edited.line.text()) {
            drop(edited);
            self.change(|line| {
                line.right(Reach::Line);
                line.insert("\n");
            });
            return Pressed::Nothing;
        }
        let Edited { line, screen, .. } = &mut *edited;
        let _ = screen.leave(prompt, line, width);
        let mut line = line.take();
        drop(edited);
        if line.strip_suffix('\n').is_some_and(show::is_open_json) {
            line.pop(); // The empty line that ends JSON is no part of it.
        }
        history.add(&line);
        self.change(|_| ());
        Pressed::Line(line)
    }

    fn complete(&self) {
        let edited = self.edited();
        let before = edited.line.text()[..edited.line.cursor()].to_owned();
        drop(edited);
        let found = completion::complete(&before);
        let longer = completion::common(&found);
        if longer.len() > before.len() {
            let rest = &longer[before.len()..];
            self.change(|line| line.insert(rest));
        } else if found.len() > 1 {
            self.print(&found.join("  "));
        }
    }

    fn prompt(&self) -> Prompt {
        let (text, colour) = match self.control.phase() {
            Phase::Connecting => ("wait> ", "\x1b[1;33m"),
            Phase::Open => ("open> ", "\x1b[1;32m"),
            Phase::Closing => ("shut> ", "\x1b[1;31m"),
        };
        Prompt { text, colour: self.colour.then_some(colour) }
    }

    fn edited(&self) -> MutexGuard<'_, Edited> {
        self.edited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells what a key asks for besides a change of the line.
enum Pressed {
    Nothing,
    Line(String),
    Interrupt,
    End,
}

fn edit(line: &mut Line, key: &Key) {
    match key {
        Key::Character(c) => line.insert(c.encode_utf8(&mut [0; 4])),
        Key::Paste(text) => line.insert(text),
        Key::Backspace => line.cut_left(Reach::Character),
        Key::Delete | Key::Control('d') => line.cut_right(Reach::Character),
        Key::Left | Key::Control('b') => line.left(Reach::Character),
        Key::Right | Key::Control('f') => line.right(Reach::Character),
        Key::Home | Key::Control('a') => line.left(Reach::Line),
        Key::End | Key::Control('e') => line.right(Reach::Line),
        Key::WordLeft => line.left(Reach::Word),
        Key::WordRight => line.right(Reach::Word),
        Key::CutWordLeft | Key::Control('w') => line.cut_left(Reach::Word),
        Key::CutWordRight => line.cut_right(Reach::Word),
        Key::Control('u') => line.cut_left(Reach::Line),
        Key::Control('k') => line.cut_right(Reach::Line),
        Key::Control('y') => line.put_back(),
        Key::Control(_) | Key::Up | Key::Down => {}
    }
}

/// Is what the thread that sends is given.
enum Typed {
    Sending(Command),
    /// Ends the connection, unless that was done already.
    Closing(ClosingCommand),
}

/// Holds a command that ends the connection: after what was typed before is sent, or when that
/// takes too long.
#[derive(Clone)]
struct ClosingCommand {
    command: Command,
    eof_wait: Duration,
    is_done: Arc<AtomicBool>,
}

impl ClosingCommand {
    fn carry_out(&self, outgoing: &Outgoing) {
        if self.is_done.swap(true, Ordering::Relaxed) {
            return;
        }
        match &self.command {
            Command::Close(frame) => outgoing.control.stop(Stop::Finished, frame),
            Command::Reconnect => outgoing.control.restart(&outgoing.close),
            _ => {
                outgoing.control.pause(self.eof_wait);
                outgoing.control.stop(Stop::Finished, &outgoing.close);
            }
        }
    }
}

/// Gives a command to the thread that sends. Does not wait for it.
fn pass_on(outgoing: &Outgoing, lines: &SyncSender<Typed>, command: Command, eof_wait: Duration) {
    match command {
        Command::Help => outgoing.notes.info(&commands::help()),
        Command::End | Command::Close(_) | Command::Reconnect => {
            let closing = ClosingCommand { command, eof_wait, is_done: Arc::default() };
            let is_queued = lines.try_send(Typed::Closing(closing.clone())).is_ok();
            let outgoing = outgoing.clone();
            threads::start(&outgoing.notes.clone(), move || {
                if is_queued {
                    thread::sleep(MAX_QUEUED_FOR);
                }
                closing.carry_out(&outgoing);
            });
        }
        command => {
            if let Err(TrySendError::Full(_)) = lines.try_send(Typed::Sending(command)) {
                let why = format!("{MOST} lines wait already; the key Up brings this one back");
                outgoing.notes.error(&format!("not sent: {why}"));
            }
        }
    }
}

/// Does what the lines say.
fn execute(outgoing: &Outgoing, typed: &Receiver<Typed>) {
    for typed in typed {
        let done = match typed {
            Typed::Sending(command) => send(outgoing, command),
            Typed::Closing(closing) => {
                closing.carry_out(outgoing);
                Ok(())
            }
        };
        match done {
            Err(Ended::Failed(why)) => outgoing.notes.error(&why),
            Err(Ended::Over) => outgoing.notes.error("not sent: the connection is over"),
            Ok(()) => {}
        }
    }
}

fn send(outgoing: &Outgoing, command: Command) -> Result<(), Ended> {
    let sender = || outgoing.control.sender().ok_or(Ended::Over);
    let over = |_| Ended::Over;
    match command {
        Command::Text(text) => outgoing.send(&[Message::from(text)]),
        Command::Bytes(bytes) => outgoing.send(&[Message::from(bytes)]),
        Command::File(path, kind) => preamble::file(outgoing, &sender()?, &path, kind),
        Command::Ping(payload) if payload.is_empty() => {
            sender()?.ping(&ping::payload(outgoing)).map_err(over)
        }
        Command::Ping(payload) => sender()?.ping(&payload).map_err(over),
        Command::Pong(payload) => sender()?.pong(&payload).map_err(over),
        // These send nothing.
        Command::Close(_) | Command::Reconnect | Command::Help | Command::End => Ok(()),
    }
}

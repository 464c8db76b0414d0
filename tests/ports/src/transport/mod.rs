//! The transports that are compared: each sends text from any thread, and hands over the text that
//! it receives.

mod locked;
mod polled;
mod split;

use std::fmt;
use std::net::TcpStream;
use std::time::Duration;

use tungstenite::WebSocket;
use tungstenite::stream::MaybeTlsStream;

/// Sends text to the server.
pub trait Transport: Send + Sync {
    fn send(&self, text: String);

    /// Closes the connection, and waits until the transport's thread has ended.
    fn stop(self: Box<Self>);
}

/// Takes the text that a transport receives, on the transport's thread.
pub type OnText = Box<dyn FnMut(&str) + Send>;

/// Names the program whose transport is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Browser,
    Gui,
}

/// Names what the transport is written on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum On {
    Tungstenite,
    Landline,
}

pub fn connect(program: Program, on: On, url: &str, on_text: OnText) -> Box<dyn Transport> {
    match (program, on) {
        // One transport serves both programs.
        (_, On::Landline) => split::connect(url, on_text),
        (Program::Browser, On::Tungstenite) => locked::connect(url, on_text),
        (Program::Gui, On::Tungstenite) => polled::connect(url, on_text),
    }
}

impl Program {
    pub const ALL: [Self; 2] = [Self::Browser, Self::Gui];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|program| program.to_string() == name)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Browser => "browser",
            Self::Gui => "gui",
        })
    }
}

impl On {
    pub const ALL: [Self; 2] = [Self::Tungstenite, Self::Landline];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|on| on.to_string() == name)
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tungstenite => "tungstenite",
            Self::Landline => "landline",
        })
    }
}

/// Sets the timeout of the reads of a connection of tungstenite.
fn set_read_timeout(ws: &WebSocket<MaybeTlsStream<TcpStream>>, timeout: Duration) {
    let MaybeTlsStream::Plain(stream) = ws.get_ref() else { panic!("TLS is not compiled in") };
    stream.set_read_timeout(Some(timeout)).unwrap();
}

//! Runs the tool, and serves it.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use crate::support::{CLOSE, PING, PONG, Peer, Server, frame, spawn, upgraded};

/// Returns a command for the tool, without settings of the environment, and with pipes for its
/// output.
pub(crate) fn wsdump<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = bare(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns a command for the tool, without settings of the environment.
pub(crate) fn bare<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsdump"));
    command.args(args.iter().map(AsRef::as_ref));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for name in ["WSDUMP_AUTH", "WSDUMP_BEARER", "WSDUMP_PROXY_USER", "SSLKEYLOGFILE", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// Holds what a run of the tool gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Checks status and standard output, and that nothing is on standard error.
    #[track_caller]
    pub(crate) fn gave(self, status: i32, out: &str) {
        assert_eq!((self.status, &*self.out, &*self.err), (status, out, ""));
    }

    /// Checks the status, that standard output is empty, and what standard error contains.
    #[track_caller]
    pub(crate) fn failed(self, status: i32, err: &str) {
        assert_eq!((self.status, &*self.out), (status, ""), "{}", self.err);
        assert!(self.err.contains(err), "{err:?} is not in {:?}", self.err);
    }
}

/// Runs the tool with nothing on standard input.
pub(crate) fn run<S: AsRef<str>>(args: &[S]) -> Run {
    finished(wsdump(args).spawn().unwrap())
}

/// Runs the tool with this standard input.
pub(crate) fn run_with<S: AsRef<str>>(args: &[S], input: &[u8]) -> Run {
    let mut child = wsdump(args).stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writing = spawn(move || drop(stdin.write_all(&input)));
    let run = finished(child);
    writing.join();
    run
}

/// Waits for the end of the tool. It is killed by SIGKILL if the test panics meanwhile.
pub(crate) fn finished(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run {
        status: output.status.code().expect("a signal ended the tool"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Starts a server that sends back each message until the client closes.
pub(crate) fn echoes() -> Server<()> {
    upgraded(echo)
}

/// Sends back each frame until the client closes.
pub(crate) fn echo(peer: &mut Peer) {
    while let Some(received) = peer.next_frame() {
        let opcode = if received.opcode == PING { PONG } else { received.opcode };
        if received.opcode != PONG {
            // The client may be gone.
            let _ = peer.try_send(&frame(opcode, received.fin, &received.payload));
        }
        if received.opcode == CLOSE {
            return;
        }
        peer.frames.clear();
    }
}

/// Answers the client's Close, which must have this code, after all else that it sends.
pub(crate) fn answer_close(peer: &mut Peer, code: u16) {
    peer.expect_close(code);
    peer.send(&crate::support::close(code, ""));
    peer.expect_end();
}

//! The options, as the command line has them. `plan` checks them.
//!
//! The names are those of Python's wsdump. Where curl has an option for the same, its name works
//! too.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as Group, CommandFactory, FromArgMatches, Parser, ValueHint};

use crate::duration;
use crate::exit;
use crate::generate::Generate;
use crate::interface::Interface;
use crate::secret::Source;

/// Reads the command line. Returns also what is to be sent at the beginning, in the order in which
/// it was given.
pub(crate) fn parse(
    argv: impl IntoIterator<Item = OsString>,
) -> Result<(Args, Vec<Preamble>), clap::Error> {
    let matches = Args::command().try_get_matches_from(argv)?;
    let args = Args::from_arg_matches(&matches)?;
    let mut preamble: Vec<(usize, Preamble)> = Vec::new();
    let mut add = |id: &str, items: Vec<Preamble>| {
        let at = matches.indices_of(id).into_iter().flatten();
        preamble.extend(at.zip(items));
    };
    let message = &args.message;
    add("text", message.text.iter().cloned().map(Preamble::Text).collect());
    add("send_file", message.send_file.iter().cloned().map(Preamble::TextFile).collect());
    add("send_binary", message.send_binary.iter().cloned().map(Preamble::BinaryFile).collect());
    preamble.sort_by_key(|(at, _)| *at);
    Ok((args, preamble.into_iter().map(|(_, item)| item).collect()))
}

/// A message that is sent when the connection is open, and again after each reconnect.
#[derive(Clone)]
pub(crate) enum Preamble {
    Text(String),
    TextFile(PathBuf),
    BinaryFile(PathBuf),
}

/// The units of arguments, for the help.
const UNITS: &str = "\
SECONDS may have a unit, as in 500ms, 5m and 1h, and so may BYTES, as in 64k and 16M.";

/// Talks to a WebSocket server: by hand, in pipes and in scripts.
///
/// On a terminal it shows a prompt. Otherwise each line of standard input is sent as a message, and
/// each message that arrives is a line of standard output. Everything else goes to standard error.
#[derive(Parser)]
#[command(
    name = "wsdump",
    version,
    override_usage = "wsdump [OPTIONS] URL\n       wsdump --listen [ADDRESS]",
    after_help = "`--help` has the exit statuses.",
    after_long_help = format!("{UNITS}\n\n{}", exit::TABLE),
    max_term_width = 100,
)]
pub(crate) struct Args {
    /// The server, as ws://host:port/path or wss://host/path
    #[arg(required_unless_present_any = ["listen", "generate"], value_hint = ValueHint::Url)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) message: Message,
    #[command(flatten)]
    pub(crate) until: Until,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) request: Request,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) retry: Retry,
    #[command(flatten)]
    pub(crate) other: Other,
    #[command(flatten)]
    pub(crate) curl: Curl,
}

#[derive(Group)]
#[command(next_help_heading = "What is sent")]
pub(crate) struct Message {
    /// Send this text when the connection is open, and again after each reconnect; repeatable
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: Vec<String>,
    /// Send the contents of this file as a text message; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) send_file: Vec<PathBuf>,
    /// Send the contents of this file as a binary message; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) send_binary: Vec<PathBuf>,
    /// Send all of standard input as one binary message; with -0, each record
    #[arg(long)]
    pub(crate) binary: bool,
    /// End the messages with a zero byte instead of a line feed, in standard input and output
    #[arg(short = '0', long)]
    pub(crate) null: bool,
    /// Read nothing from standard input
    #[arg(long)]
    pub(crate) no_input: bool,
    /// Send a Ping this often, and show the round-trip times
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse_positive)]
    pub(crate) ping: Option<Duration>,
    /// Close with this code and reason when this side ends the connection [default: 1000]
    #[arg(long, value_name = "CODE REASON")]
    pub(crate) close: Option<String>,
}

#[derive(Group)]
#[command(next_help_heading = "When it ends")]
pub(crate) struct Until {
    /// End after one message, as --count 1
    #[arg(short = '1', long = "one", conflicts_with = "count")]
    pub(crate) one: bool,
    /// End after this number of messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after a text message in which this regular expression matches
    #[arg(long, value_name = "REGEX")]
    pub(crate) until: Option<String>,
    /// Give up when no message comes for this long
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse_positive)]
    pub(crate) timeout: Option<Duration>,
    /// Give up after this time in all
    #[arg(short, long, value_name = "SECONDS", value_parser = duration::parse_positive)]
    pub(crate) max_time: Option<Duration>,
    /// Close this long after the end of standard input [default: wait for the server's close]
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse)]
    pub(crate) eof_wait: Option<Duration>,
}

#[derive(Group)]
#[command(next_help_heading = "What is shown")]
pub(crate) struct Output {
    /// Plain lines also on a terminal: no prompt, no colours
    #[arg(short, long)]
    pub(crate) raw: bool,
    /// Show everything that happens as lines of JSON
    #[arg(long, conflicts_with_all = ["null", "timings", "timestamps", "deltas"])]
    pub(crate) json: bool,
    /// Show binary messages in hexadecimal; lines of standard input are that too
    #[arg(long, conflicts_with_all = ["base64", "binary", "json"])]
    pub(crate) hex: bool,
    /// Show binary messages in base64; lines of standard input are that too
    #[arg(long, conflicts_with_all = ["binary", "json"])]
    pub(crate) base64: bool,
    /// Decompress binary messages that hold gzip, zlib or deflate
    #[arg(long, conflicts_with = "json")]
    pub(crate) gunzip: bool,
    /// Write the messages to this file instead of standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Put the seconds since the start before each message
    #[arg(long, conflicts_with_all = ["timestamps", "deltas"])]
    pub(crate) timings: bool,
    /// Put date and time (UTC) before each message
    #[arg(long, conflicts_with = "deltas")]
    pub(crate) timestamps: bool,
    /// Put the seconds since the message before it before each message
    #[arg(long)]
    pub(crate) deltas: bool,
    /// Write a summary to standard error at the end
    #[arg(short = 'w', long)]
    pub(crate) summary: bool,
}

#[derive(Group)]
#[command(next_help_heading = "The request")]
pub(crate) struct Request {
    /// Add a header line; repeatable; @FILE reads lines from a file
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// Add several header lines, separated by commas
    #[arg(long, value_name = "A: 1, B: 2")]
    pub(crate) headers: Vec<String>,
    /// Log in with user and password; also from @FILE or the variable WSDUMP_AUTH
    #[arg(short = 'u', long, visible_alias = "user", value_name = "USER:PASSWORD")]
    pub(crate) auth: Option<Source>,
    /// Log in with a token; also from @FILE or the variable WSDUMP_BEARER
    #[arg(long, visible_alias = "oauth2-bearer", value_name = "TOKEN", conflicts_with = "auth")]
    pub(crate) bearer: Option<Source>,
    /// Send cookies, as a=1; without a = it is a file of cookies to read
    #[arg(short = 'b', long, value_name = "COOKIES")]
    pub(crate) cookie: Vec<String>,
    /// Read cookies from this file if it exists, and write them to it at the end
    #[arg(short = 'c', long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cookie_jar: Option<PathBuf>,
    /// Send this Origin
    #[arg(short, long, value_name = "ORIGIN")]
    pub(crate) origin: Option<String>,
    /// Send this User-Agent
    #[arg(short = 'A', long, value_name = "NAME")]
    pub(crate) user_agent: Option<String>,
    /// Send this Referer
    #[arg(short = 'e', long, value_name = "URL")]
    pub(crate) referer: Option<String>,
    /// Offer this subprotocol; repeatable, also separated by commas
    #[arg(
        short,
        long,
        visible_alias = "subprotocol",
        alias = "protocol",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) subprotocols: Vec<String>,
    /// Offer to compress messages (permessage-deflate)
    #[arg(long, visible_alias = "compressed")]
    pub(crate) deflate: bool,
    /// Follow no redirect
    #[arg(long, conflicts_with = "max_redirs")]
    pub(crate) no_redirect: bool,
    /// Follow this number of redirects [default: 3]
    #[arg(long, value_name = "N")]
    pub(crate) max_redirs: Option<u32>,
}

#[derive(Group)]
#[command(next_help_heading = "TLS")]
pub(crate) struct Tls {
    /// Accept any certificate: everybody in between can read and change everything
    #[arg(short = 'k', short_alias = 'n', long, visible_alias = "nocert")]
    pub(crate) insecure: bool,
    /// Trust the certificates in this file instead of the usual ones (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cacert: Option<PathBuf>,
    /// Show this client certificate (PEM)
    #[arg(short = 'E', long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cert: Option<PathBuf>,
    /// The key of the client certificate [default: in the file of --cert]
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,
    /// Expect this name in the server's certificate, and send it (SNI)
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// Accept the server only with this public key: sha256//BASE64; repeatable; holds with -k too,
    /// has no effect on ws://
    #[arg(long, visible_alias = "pinnedpubkey", value_name = "PIN")]
    pub(crate) pin: Vec<String>,
    /// Speak TLS 1.3 only
    #[arg(long, visible_alias = "tlsv1.3")]
    pub(crate) tls13: bool,
    /// Append the secrets to the file that SSLKEYLOGFILE names, for Wireshark
    #[arg(long)]
    pub(crate) keylog: bool,
}

#[derive(Group)]
#[command(next_help_heading = "The network")]
pub(crate) struct Network {
    /// Go through this proxy: http, https, socks4, socks4a, socks5 or socks5h; "" for none
    #[arg(short = 'x', short_alias = 'p', long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Log in to the proxy; also from @FILE or the variable WSDUMP_PROXY_USER
    #[arg(short = 'U', long, value_name = "USER:PASSWORD")]
    pub(crate) proxy_user: Option<Source>,
    /// Add a header line for the proxy; repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) proxy_header: Vec<String>,
    /// Trust the certificates in this file for an https proxy (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) proxy_cacert: Option<PathBuf>,
    /// Accept any certificate of an https proxy
    #[arg(long)]
    pub(crate) proxy_insecure: bool,
    /// Connect directly to these hosts, separated by commas; * for all
    #[arg(long, value_name = "HOSTS")]
    pub(crate) noproxy: Option<String>,
    /// Connect to this Unix socket; the URL gives the path and Host
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, conflicts_with = "proxy")]
    pub(crate) unix_socket: Option<PathBuf>,
    /// Connect from this address of this machine, or on Linux by this device
    #[arg(long, value_name = "ADDRESS|DEVICE", value_parser = Interface::parse,
          conflicts_with = "unix_socket")]
    pub(crate) interface: Option<Interface>,
    /// Connect to this address for this host and port; repeatable
    #[arg(long, value_name = "HOST:PORT:ADDRESS")]
    pub(crate) resolve: Vec<String>,
    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// Give up connecting after this time [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse_positive)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Give up a message that the server does not take in this time [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse_positive)]
    pub(crate) write_timeout: Option<Duration>,
    /// Wait this long for the server's answer to a Close [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse)]
    pub(crate) close_timeout: Option<Duration>,
    /// Do not ping the server every 20 s to notice when it is lost
    #[arg(long)]
    pub(crate) no_keepalive: bool,
    /// Refuse messages of more bytes than this [default: 64M if they are kept whole]
    #[arg(long, visible_alias = "max-filesize", value_name = "BYTES",
          value_parser = duration::parse_size)]
    pub(crate) max_size: Option<u64>,
}

#[derive(Group)]
#[command(next_help_heading = "Reconnecting")]
pub(crate) struct Retry {
    /// Connect again when the connection is lost or cannot be opened; not if the first one is
    /// refused for good, by a 404 or a close with 4401 for example
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Connect again, but give up after this number of failures in a row
    #[arg(long, value_name = "N")]
    pub(crate) retry: Option<u32>,
    /// The longest first wait; it doubles with each failure [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse)]
    pub(crate) retry_delay: Option<Duration>,
    /// The longest wait, unless the server asks for more: then its Retry-After, of an hour at most,
    /// is added [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse)]
    pub(crate) retry_max_delay: Option<Duration>,
}

#[derive(Group)]
#[command(next_help_heading = "Other")]
pub(crate) struct Other {
    /// Say more on standard error: -v what happens, -vv also heads and frames
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "1",
          action = ArgAction::Append, value_name = "LEVEL")]
    verbose: Vec<u8>,
    /// Say nothing on standard error, not even why it failed
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Be an echo server instead, to try things on [default address: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:9000",
          conflicts_with = "url")]
    pub(crate) listen: Option<String>,
    /// Write the completions for a shell, or the man page, to standard output instead
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["url", "listen"])]
    pub(crate) generate: Option<Generate>,
}

impl Other {
    /// Returns how much is said: 0, 1 or 2.
    pub(crate) fn verbosity(&self) -> u8 {
        self.verbose.iter().fold(0_u8, |sum, level| sum.saturating_add(*level)).min(2)
    }
}

/// Holds the options that are accepted so that a command for curl works when its first word is
/// changed.
#[derive(Group)]
pub(crate) struct Curl {
    #[arg(long, hide = true, value_name = "HOST:PORT", conflicts_with = "proxy")]
    pub(crate) socks4: Option<String>,
    #[arg(long, hide = true, value_name = "HOST:PORT", conflicts_with = "proxy")]
    pub(crate) socks4a: Option<String>,
    #[arg(long, hide = true, value_name = "HOST:PORT", conflicts_with = "proxy")]
    pub(crate) socks5: Option<String>,
    #[arg(long, hide = true, value_name = "HOST:PORT", conflicts_with = "proxy")]
    pub(crate) socks5_hostname: Option<String>,
    /// Only GET opens a WebSocket.
    #[arg(short = 'X', long, hide = true, value_parser = ["GET"])]
    request: Option<String>,
    /// Redirects are followed in any case.
    #[arg(short = 'L', long, hide = true)]
    location: bool,
    /// Nothing is buffered in any case.
    #[arg(short = 'N', long, hide = true)]
    no_buffer: bool,
    /// There is no other version of HTTP here.
    #[arg(long = "http1.1", hide = true)]
    http11: bool,
    /// A refusal is a failure in any case.
    #[arg(short, long, hide = true)]
    fail: bool,
    /// Errors are shown in any case.
    #[arg(short = 'S', long, hide = true)]
    show_error: bool,
    /// There is no progress meter.
    #[arg(long, hide = true)]
    silent: bool,
    /// URLs have no ranges.
    #[arg(short, long, hide = true)]
    globoff: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_options_has_no_contradiction() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_sent_first_keeps_its_order() {
        let argv = ["w", "-t", "a", "--send-file", "b", "--text=c", "ws://h"];
        let (_, preamble) = parse(argv.map(OsString::from)).ok().unwrap();
        let order: Vec<_> = preamble
            .iter()
            .map(|item| match item {
                Preamble::Text(text) => text.clone(),
                Preamble::TextFile(path) | Preamble::BinaryFile(path) => path.display().to_string(),
            })
            .collect();
        assert_eq!(order, ["a", "b", "c"]);
    }
}

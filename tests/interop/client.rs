//! Plays every scenario against every server that `run`, in this folder, has started.
//!
//! Usage: `interop CA.pem NAME=URL...`, where URL is `ws://HOST:PORT` or `wss://HOST:PORT`.

mod compression;

use std::error::Error as StdError;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use landline::tls::TlsOptions;
use landline::{Builder, CloseCode, Error, Event, Message, MessageKind, WebSocket};

/// The slowest scenario takes half a minute, so one that takes this long hangs.
const SCENARIO_LIMIT: Duration = Duration::from_secs(180);

const LARGE: usize = 16 << 20;

/// A scenario fails by an error or by a panic, whichever reads better.
type Outcome = Result<(), Box<dyn StdError + Send + Sync>>;

type Scenario = fn(&Peer) -> Outcome;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("text", text),
    ("binary", binary),
    ("empty text", empty_text),
    ("empty binary", empty_binary),
    ("1 byte", one_byte),
    ("125, 126, 127 bytes", around_16_bit_length),
    ("65535, 65536 bytes", around_64_bit_length),
    ("16 MiB binary", large_binary),
    ("16 MiB text", large_text),
    ("fragments from us", fragments_from_us),
    ("fragments from them", fragments_from_them),
    ("ping from us", ping_from_us),
    ("ping from them", ping_from_them),
    ("close from us", close_from_us),
    ("close from them", close_from_them),
    ("subprotocol", subprotocol),
    ("refused handshake", refused_handshake),
    ("deflate, offers", compression::every_offer),
    ("deflate, answers", compression::every_answer),
    ("deflate, sizes", compression::every_size),
    ("deflate, fragments", compression::fragments),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let ca = args.next();
    let peers: Option<Vec<Peer>> = args.map(|arg| Peer::parse(&arg, ca.as_deref()?)).collect();
    match peers {
        Some(peers) if !peers.is_empty() => play_all(&peers),
        _ => {
            eprintln!("usage: interop CA.pem NAME=URL...");
            ExitCode::from(2)
        }
    }
}

fn play_all(peers: &[Peer]) -> ExitCode {
    let started = Instant::now();
    let (mut passed, mut failed) = (0, 0);

    print!("{:<20}", "");
    for peer in peers {
        print!(" {:>14}", peer.name);
    }
    println!();
    for (name, scenario) in SCENARIOS {
        print!("{name:<20}");
        for peer in peers {
            let mark = match play(name, *scenario, peer) {
                Some(true) => {
                    passed += 1;
                    "ok"
                }
                Some(false) => {
                    failed += 1;
                    "FAILED"
                }
                None => "-",
            };
            print!(" {mark:>14}");
        }
        println!();
    }

    println!("in {:.1} s", started.elapsed().as_secs_f64());
    println!("interop: {passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

/// `None` where the server's library cannot do its part. A thread that hangs is left
/// behind: only the end of the process stops it.
fn play(name: &'static str, scenario: Scenario, peer: &Peer) -> Option<bool> {
    if !peer.can_play(name) {
        return None;
    }
    let (done, outcome) = mpsc::channel();
    let its_peer = peer.clone();
    thread::spawn(move || done.send(scenario(&its_peer)));
    let failure = match outcome.recv_timeout(SCENARIO_LIMIT) {
        Ok(Ok(())) => return Some(true),
        Ok(Err(error)) => error.to_string(),
        Err(RecvTimeoutError::Timeout) => "hung".to_owned(),
        Err(RecvTimeoutError::Disconnected) => "panicked, see above".to_owned(),
    };
    eprintln!("\n{}, {name}: {failure}", peer.name);
    Some(false)
}

#[derive(Clone)]
struct Peer {
    name: String,
    url: String,
    ca: String,
}

impl Peer {
    fn parse(arg: &str, ca: &str) -> Option<Self> {
        let (name, url) = arg.split_once('=')?;
        Some(Self { name: name.to_owned(), url: url.to_owned(), ca: ca.to_owned() })
    }

    fn builder(&self) -> Result<Builder, Error> {
        Ok(Builder::new().proxy(None).tls(TlsOptions::new().ca_pem_file(&self.ca)?))
    }

    fn connect(&self, path: &str) -> Result<WebSocket, Error> {
        self.builder()?.connect(&self.url_of(path))
    }

    fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// aiohttp sets FIN on every frame that it sends, and has no options of compression. With TLS
    /// compression is no different.
    fn can_play(&self, scenario: &str) -> bool {
        let is_tls = self.name.ends_with("+tls");
        match scenario {
            "fragments from them" | "deflate, answers" | "deflate, fragments"
                if self.name.starts_with("aiohttp") =>
            {
                false
            }
            "deflate, offers" | "deflate, answers" | "deflate, sizes" => !is_tls,
            _ => true,
        }
    }
}

fn text(peer: &Peer) -> Outcome {
    comes_back(peer, Message::Text("Καλημέρα κόσμε".to_owned()))
}

fn binary(peer: &Peer) -> Outcome {
    comes_back(peer, Message::Binary((0..=255).collect()))
}

fn empty_text(peer: &Peer) -> Outcome {
    comes_back(peer, Message::Text(String::new()))
}

fn empty_binary(peer: &Peer) -> Outcome {
    comes_back(peer, Message::Binary(Vec::new()))
}

fn one_byte(peer: &Peer) -> Outcome {
    comes_back(peer, bytes(1))
}

fn around_16_bit_length(peer: &Peer) -> Outcome {
    [125, 126, 127].into_iter().try_for_each(|length| comes_back(peer, bytes(length)))
}

fn around_64_bit_length(peer: &Peer) -> Outcome {
    [65_535, 65_536].into_iter().try_for_each(|length| comes_back(peer, bytes(length)))
}

fn large_binary(peer: &Peer) -> Outcome {
    comes_back(peer, bytes(LARGE))
}

/// Three bytes a character, so that characters lie across the ends of buffers.
fn large_text(peer: &Peer) -> Outcome {
    let mut text = "あ".repeat(LARGE / 3);
    text.push('!');
    assert_eq!(text.len(), LARGE);
    comes_back(peer, Message::Text(text))
}

fn fragments_from_us(peer: &Peer) -> Outcome {
    let mut ws = peer.connect("/echo")?;
    let sender = ws.sender();
    for kind in [MessageKind::Text, MessageKind::Binary] {
        let mut writer = sender.writer(kind)?;
        // The first cut is in the middle of a character, which a fragment may be.
        for fragment in [&b"gr\xc3"[..], b"\xbc\xc3\x9f", b" Gott"] {
            writer.write_all(fragment)?;
            writer.flush()?;
        }
        writer.finish()?;
        let expected = match kind {
            MessageKind::Text => Message::Text("grüß Gott".to_owned()),
            MessageKind::Binary => Message::Binary("grüß Gott".into()),
        };
        assert_eq!(ws.recv()?, expected);
    }
    close(ws)
}

fn fragments_from_them(peer: &Peer) -> Outcome {
    let mut ws = peer.connect("/fragment")?;
    for message in [Message::Text("いろはにほへと".to_owned()), bytes(LARGE)] {
        ws.send(&message)?;
        assert!(ws.recv()? == message, "another message came back");
    }
    close(ws)
}

fn ping_from_us(peer: &Peer) -> Outcome {
    let mut ws = peer.connect("/echo")?;
    ws.ping(b"hello?")?;
    match ws.next_event()? {
        Event::Pong(payload) => assert_eq!(payload, b"hello?"),
        event => panic!("expected a pong, not {event:?}"),
    }
    close(ws)
}

fn ping_from_them(peer: &Peer) -> Outcome {
    let mut ws = peer.connect("/ping")?;
    // Our pong goes out while we wait for this message.
    expect_text(&mut ws, "pong:are you there")?;
    close(ws)
}

fn close_from_us(peer: &Peer) -> Outcome {
    let mut ws = peer.connect("/wait-close")?;
    let closed = ws.close((CloseCode::new(4000), "done"))?;
    assert!(closed.is_clean(), "{closed:?}");

    let mut ws = peer.connect("/last-close")?;
    expect_text(&mut ws, "4000 done")?;
    close(ws)
}

fn close_from_them(peer: &Peer) -> Outcome {
    let mut ws = peer.connect("/close?code=4001&reason=bye")?;
    match ws.recv() {
        Err(Error::Closed(closed)) => {
            assert_eq!(closed.code(), CloseCode::new(4001));
            assert_eq!(closed.reason(), "bye");
            assert!(closed.is_clean(), "{closed:?}");
            Ok(())
        }
        other => panic!("expected the close, not {other:?}"),
    }
}

fn subprotocol(peer: &Peer) -> Outcome {
    let offered = ["chat.v1", "chat.v2"];
    let mut ws = peer.builder()?.subprotocols(offered).connect(&peer.url_of("/subprotocol"))?;
    let agreed = ws.subprotocol().ok_or("none was agreed")?.to_owned();
    assert!(offered.contains(&&*agreed), "{agreed} was not offered");
    expect_text(&mut ws, &agreed)?;
    close(ws)
}

fn refused_handshake(peer: &Peer) -> Outcome {
    let error = match peer.connect("/refuse") {
        Err(Error::Handshake(error)) => error,
        other => panic!("expected a refused handshake, not {other:?}"),
    };
    let response = error.response().ok_or("no response is kept")?;
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers().get("x-why"), Some("because"));
    assert_eq!(response.body(), b"no entry");
    Ok(())
}

/// Sends `message` to `/echo` and expects it back.
fn comes_back(peer: &Peer, message: Message) -> Outcome {
    let mut ws = peer.connect("/echo")?;
    ws.send(&message)?;
    // Not `assert_eq`, which would print up to 32 MiB.
    assert!(ws.recv()? == message, "another message came back");
    close(ws)
}

fn expect_text(ws: &mut WebSocket, expected: &str) -> Outcome {
    assert_eq!(ws.recv()?, Message::Text(expected.to_owned()));
    Ok(())
}

fn close(mut ws: WebSocket) -> Outcome {
    let closed = ws.close(CloseCode::NORMAL)?;
    assert!(closed.is_clean(), "{closed:?}");
    Ok(())
}

/// A binary message in which a byte out of place shows.
fn bytes(length: usize) -> Message {
    Message::Binary((0..=250).cycle().take(length).collect())
}

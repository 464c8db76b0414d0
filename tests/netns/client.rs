//! Connects over the broken network that `run`, in this folder, has made, and holds what happens
//! against what should. Usage: `netns serve`, in the server's namespace; `netns`, in the client's.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, ExitCode};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use landline::backoff::Fixed;
use landline::error::Cause;
use landline::proxy::Proxy;
use landline::{App, Builder, Callbacks, Error, Keepalive, MessageRef, Timeout};

const PORT: u16 = 9001;
/// The path at which the server says, again and again, which connection this is, from which
/// address.
const TICKS: u16 = 9002;
/// Whose rules `run` has made.
const GOOD: &str = "10.77.0.2";
const GOOD_V6: &str = "fd77::2";
const SILENT: &str = "10.77.0.3";
const SILENT_V6: &str = "fd77::3";
const RESET: &str = "10.77.0.4";
const HOST_UNREACHABLE: &str = "10.77.0.5";
const NET_UNREACHABLE: &str = "10.77.0.6";
const PROHIBITED: &str = "10.77.0.7";
const NO_ROUTE: &str = "10.77.0.8";
const ROUTE_PROHIBITED: &str = "10.77.0.9";
const BLACK_HOLE: &str = "10.77.0.10";
/// Swallows everything from 20,000 bytes on.
const SILENT_LATER: &str = "10.77.0.11";
/// Resets from 20,000 bytes on.
const RESET_LATER: &str = "10.77.0.12";

type Outcome = Result<String, Box<dyn StdError>>;

type Scenario = fn() -> Outcome;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("silent address, then a good one", || race(&[SILENT, GOOD], 250..400)),
    ("silent IPv6, then good IPv4", || race(&[SILENT_V6, GOOD], 250..400)),
    ("silent IPv4, then good IPv6", || race(&[SILENT, GOOD_V6], 250..400)),
    ("two silent ones, then a good one", || race(&[SILENT, SILENT_V6, GOOD], 500..650)),
    ("RST, then a good one", || race(&[RESET, GOOD], 0..150)),
    ("ICMP host unreachable, then a good one", || race(&[HOST_UNREACHABLE, GOOD], 0..150)),
    ("ICMP net unreachable, then a good one", || race(&[NET_UNREACHABLE, GOOD], 0..150)),
    ("ICMP prohibited, then a good one", || race(&[PROHIBITED, GOOD], 0..150)),
    ("no route, then a good one", || race(&[NO_ROUTE, GOOD], 0..150)),
    ("prohibited route, then a good one", || race(&[ROUTE_PROHIBITED, GOOD], 0..150)),
    ("black hole route, then a good one", || race(&[BLACK_HOLE, GOOD], 0..150)),
    ("all of them refuse", all_refuse),
    ("the only address is silent", silent),
    ("the name servers are silent", silent_name_server),
    ("fifty names that are not answered, and one", slow_names),
    ("a silent proxy is not gone around", silent_proxy),
    ("the network falls silent, pings notice", falls_silent),
    ("RST in the middle of a message", reset_later),
    ("the interface goes down, and up again", || {
        comes_back("10.77.0.1", "link set veth0 down", "link set veth0 up")
    }),
    // It comes last: it changes the address that the rules of `run` are made for.
    ("the address changes", || {
        comes_back("10.77.0.99", "addr flush dev veth0", "addr add 10.77.0.99/24 dev veth0")
    }),
];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        serve();
    }
    let mut failed = 0;
    for (name, scenario) in SCENARIOS {
        match scenario() {
            Ok(what) => println!("{name:<42} ok      {what}"),
            Err(error) => {
                failed += 1;
                println!("{name:<42} FAILED  {error}");
            }
        }
    }
    println!("netns: {} passed, {failed} failed", SCENARIOS.len() - failed);
    ExitCode::from(u8::from(failed > 0))
}

fn address(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse::<IpAddr>().expect("an address"), PORT)
}

/// A client for which the name `several` has these addresses.
fn client(addresses: &[&str]) -> Builder {
    let addresses: Vec<_> = addresses.iter().copied().map(address).collect();
    Builder::new()
        .proxy(None)
        .keepalive(Keepalive::OFF)
        .open_timeout(Duration::from_secs(1))
        .resolver(move |_, _| Ok(addresses.clone()))
}

fn connect(builder: &Builder) -> (Result<landline::WebSocket, Error>, Duration) {
    let start = Instant::now();
    (builder.connect("ws://several/"), start.elapsed())
}

/// Runs a scenario that measures time up to three times: the machine may be busy now and then.
fn one_of_three(scenario: impl Fn() -> Outcome) -> Outcome {
    scenario().or_else(|_| scenario()).or_else(|_| scenario())
}

/// The last address wins, after so many milliseconds.
fn race(addresses: &[&str], expected: std::ops::Range<u128>) -> Outcome {
    one_of_three(|| race_once(addresses, &expected))
}

fn race_once(addresses: &[&str], expected: &std::ops::Range<u128>) -> Outcome {
    let (ws, took) = connect(&client(addresses));
    let winner = addresses.last().copied().map(address);
    if ws?.peer_addr() != winner || !expected.contains(&took.as_millis()) {
        return Err(format!("took {took:?}, not {expected:?} ms").into());
    }
    Ok(format!("{} ms", took.as_millis()))
}

fn all_refuse() -> Outcome {
    one_of_three(all_refuse_once)
}

fn all_refuse_once() -> Outcome {
    use io::ErrorKind::{
        ConnectionRefused, HostUnreachable, InvalidInput, NetworkUnreachable, PermissionDenied,
    };
    let addresses = [
        RESET,
        HOST_UNREACHABLE,
        NET_UNREACHABLE,
        PROHIBITED,
        NO_ROUTE,
        ROUTE_PROHIBITED,
        BLACK_HOLE,
    ];
    let (refused, took) = connect(&client(&addresses));
    let Err(Error::Connect(refused)) = refused else { return Err(format!("{refused:?}").into()) };
    let tried: Vec<_> = refused.attempts().iter().map(|(address, _)| *address).collect();
    let kinds: Vec<_> = refused.attempts().iter().map(|(_, error)| error.kind()).collect();
    let expected = [
        ConnectionRefused,
        HostUnreachable,
        NetworkUnreachable,
        HostUnreachable,
        // What Linux says of routes: EHOSTUNREACH, EACCES, EINVAL.
        HostUnreachable,
        PermissionDenied,
        InvalidInput,
    ];
    if tried != addresses.map(address) || kinds != expected || took.as_millis() > 200 {
        return Err(format!("took {took:?}: {refused}").into());
    }
    Ok(format!("{} ms, each address is listed with its error", took.as_millis()))
}

/// Ends by this timeout, not much later than it.
fn times_out(builder: &Builder, url: &str, expected: Timeout) -> Outcome {
    one_of_three(|| times_out_once(builder, url, expected))
}

fn times_out_once(builder: &Builder, url: &str, expected: Timeout) -> Outcome {
    let start = Instant::now();
    let timeout = builder.connect(url);
    let took = start.elapsed().as_millis();
    match timeout {
        Err(Error::Timeout(found)) if found == expected && (1000..1200).contains(&took) => {
            Ok(format!("{expected:?} after {took} ms of 1000"))
        }
        other => Err(format!("took {took} ms: {other:?}").into()),
    }
}

fn silent() -> Outcome {
    times_out(&client(&[SILENT]), "ws://several/", Timeout::Connect)
}

/// By the lookup of the system.
fn silent_name_server() -> Outcome {
    let builder = Builder::new().proxy(None).open_timeout(Duration::from_secs(1));
    times_out(&builder, "ws://name.test/", Timeout::Resolve)
}

/// By the lookup of the system: one zone is silent, while Apps try again and again to connect to
/// fifty names in it. A name of another zone is found at once, and threads do not add up.
fn slow_names() -> Outcome {
    const APPS: usize = 50;
    const MOST: Duration = Duration::from_millis(100);
    let builder = Builder::new().proxy(None).open_timeout(Duration::from_millis(500));
    let before = threads("")?;
    let apps = (0..APPS).map(|nth| {
        App::new(format!("ws://app{nth}.silent.test:{PORT}/"), Callbacks::new())
            .with_builder(builder.clone())
            .backoff(Fixed(Duration::from_millis(50)))
            .spawn()
    });
    let apps = apps.collect::<io::Result<Vec<_>>>()?;
    let start = Instant::now();
    while threads("landline-resolv")? < APPS {
        if start.elapsed() > Duration::from_secs(5) {
            return Err(format!("{} lookups run", threads("landline-resolv")?).into());
        }
        thread::yield_now();
    }

    // The resolver of the system asks the good name server again after 10 s, if a packet is lost.
    let patient = builder.open_timeout(Duration::from_secs(30));
    let (mut took, mut most) = (Vec::new(), 0);
    // Each App tries more than five times meanwhile.
    while start.elapsed() < Duration::from_secs(4) {
        let connecting = Instant::now();
        patient.connect(&format!("ws://good.test:{PORT}/"))?;
        took.push(connecting.elapsed());
        most = most.max(threads("")? - before);
        thread::sleep(Duration::from_millis(20));
    }
    for app in &apps {
        app.handle().abort();
    }
    for app in apps {
        app.join()?;
    }
    // Of each App its own, the one that it connects in, and its lookup; and those of the good name.
    took.sort_unstable();
    // The machine may be busy now and then.
    let (usual, slowest) = (took[took.len() * 9 / 10], took[took.len() - 1]);
    if usual > MOST || most > 3 * APPS + 4 {
        return Err(format!("took {usual:?}, {slowest:?} at most, with {most} threads").into());
    }
    let (usual, slowest) = (usual.as_millis(), slowest.as_millis());
    Ok(format!("{usual} ms for 9 of 10, {slowest} at most; {most} threads"))
}

/// Counts the threads of this process whose name begins so.
fn threads(prefix: &str) -> io::Result<usize> {
    let names = std::fs::read_dir("/proc/self/task")?
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    Ok(names.filter(|name| name.starts_with(prefix)).count())
}

fn silent_proxy() -> Outcome {
    let builder = client(&[GOOD]).proxy(Proxy::new(&format!("http://{}", address(SILENT)))?);
    times_out(&builder, "ws://several/", Timeout::Connect)
}

fn falls_silent() -> Outcome {
    let (interval, timeout) = (Duration::from_millis(300), Duration::from_millis(500));
    let pings = Keepalive::new(interval, timeout);
    let mut ws = client(&[SILENT_LATER]).keepalive(pings).connect("ws://several/")?;
    ws.send(vec![7; 64 * 1024])?;
    let start = Instant::now();
    let end = ws.recv();
    let took = start.elapsed().as_millis();
    match end {
        // The 64 KiB before the ping give the peer a second more, as if it read them slowly.
        Err(Error::Timeout(Timeout::Pong)) if took < 2500 => Ok(format!("Pong after {took} ms")),
        other => Err(format!("took {took} ms: {other:?}").into()),
    }
}

fn reset_later() -> Outcome {
    let mut ws = client(&[RESET_LATER]).connect("ws://several/")?;
    let sender = ws.sender();
    let sending = thread::spawn(move || sender.send(vec![7; 8 << 20]));
    let start = Instant::now();
    let end = ws.recv();
    let took = start.elapsed().as_millis();
    let sent = sending.join().map_err(|_| "the sender panicked")?;
    let reset = |error: &Error| {
        let cause = error.closed().map(|closed| closed.cause());
        matches!(cause, Some(Cause::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset)
    };
    match (&end, &sent) {
        (Err(end), Err(Error::Closed(_))) if reset(end) && took < 1000 => {
            Ok(format!("{end}, after {took} ms"))
        }
        _ => Err(format!("took {took} ms: {end:?}, {sent:?}").into()),
    }
}

/// The way to the server goes and comes back while an App runs. It notices by its pings, connects
/// again from `address`, and gets nothing more of the old connection, which the server still has.
fn comes_back(address: &str, go: &str, come: &str) -> Outcome {
    let (tick, ticks) = channel();
    let (close, closes) = channel();
    let callbacks = Callbacks::new()
        .on_message(move |_, message| match message {
            MessageRef::Text(said) => tick.send(said.to_owned()),
            MessageRef::Binary(_) => Ok(()),
        })
        .on_close(move |closed| close.send(closed.clone()));
    let (interval, timeout) = (Duration::from_millis(100), Duration::from_millis(300));
    let builder = Builder::new()
        .proxy(None)
        .open_timeout(Duration::from_secs(1))
        .keepalive(Keepalive::new(interval, timeout));
    let app = App::new(format!("ws://{GOOD}:{TICKS}/"), callbacks)
        .with_builder(builder)
        .backoff(Fixed(Duration::from_millis(50)))
        .spawn()?;
    let limit = Duration::from_secs(3);

    let first = ticks.recv_timeout(limit)?;
    ip(go)?;
    let start = Instant::now();
    let closed = closes.recv_timeout(limit)?;
    let took = start.elapsed().as_millis();
    let last = ticks.try_iter().last();
    ip(come)?;
    let after = (0..20).map(|_| ticks.recv_timeout(limit)).collect::<Result<Vec<_>, _>>()?;
    app.handle().abort();
    app.join()?;

    let connection = |said: &str| said.split(' ').next().map(str::to_owned);
    let (old, new) = (connection(&first), connection(&after[0]));
    let expected = (0..20).map(|nth| format!("{} {nth} {address}", new.as_deref().unwrap_or("?")));
    let noticed = matches!(closed.cause(), Cause::Timeout(Timeout::Pong)) && took < 1000;
    if !noticed || old == new || !after.iter().cloned().eq(expected) {
        return Err(format!("{closed} after {took} ms; {first}, {last:?}, then {after:?}").into());
    }
    Ok(format!("noticed after {took} ms, came back from {address}"))
}

/// Changes the network of this namespace.
fn ip(arguments: &str) -> io::Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("ip {arguments}: {status}")));
    }
    Ok(())
}

/// Serves on all addresses, until it is killed.
fn serve() -> ! {
    let echoes = TcpListener::bind(("::", PORT)).expect("a free port");
    let ticks = TcpListener::bind(("0.0.0.0", TICKS)).expect("a free port");
    println!("ready");
    thread::spawn(move || {
        for (connection, stream) in ticks.incoming().flatten().enumerate() {
            thread::spawn(move || tick(connection, stream));
        }
    });
    loop {
        if let Ok((stream, _)) = echoes.accept() {
            thread::spawn(move || echo(stream));
        }
    }
}

/// Says which connection this is, a number that counts up, and where it comes from.
fn tick(connection: usize, stream: TcpStream) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let from = stream.peer_addr()?.ip();
    let timeouts = stream.try_clone()?;
    let mut server = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    timeouts.set_read_timeout(Some(Duration::from_millis(10)))?;
    for number in 0.. {
        server.send(format!("{connection} {number} {from}").into())?;
        // Answers pings.
        match server.read() {
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => drop(other?),
        }
    }
    Ok(())
}

fn echo(stream: TcpStream) {
    let Ok(mut server) = tungstenite::accept(stream) else { return };
    while let Ok(message) = server.read() {
        if matches!(message, tungstenite::Message::Binary(_)) && server.send(message).is_err() {
            return;
        }
    }
}

//! One task of one contender, in a process of its own: `one` and `counted` run it, and print what
//! they measured.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{BATCH, Connection, Target, Transport, Who, nanoseconds};
use crate::heap;
use crate::message::{Expected, Kind, Message};
use crate::process::{Another, PeakMemory, cpu_time, pin, resident};
use crate::server;

const USAGE: &str = "usage: one CONTENDER TASK LEN COUNT [KIND] [plain|tls|deflate] [--server FILE]
  CONTENDER  landline, landline-owned, nexus-web, nexus-web-owned, ws-tool, tungstenite,
             fastwebsockets, tokio-websockets, bare
  TASK       receive, send, batch (64 together), echo, connect, resume, poll, stream, listen, verify
  KIND       binary, ascii, multi, json
or: one serve";
/// The core of the client. The server has the other one.
const CLIENT_CORE: usize = 0;
const SERVER_CORE: usize = 1;
/// The part of the messages that are sent or received before the measurement, as a divisor.
const WARM: usize = 10;
/// The number of ticks of `listen`, after one that warms up.
const TICKS: usize = 10;

/// Runs what the arguments say.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if args == ["serve"] {
        serve();
    } else if let Some(task) = Task::parse(&args) {
        pin(CLIENT_CORE);
        task.run();
    } else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}

/// Prints what [`Servers::new`] takes, and serves until the other process is gone.
fn serve() {
    pin(SERVER_CORE);
    let (tls, certificate) = server::tls();
    println!("{}\n{tls}\n{}", server::plain(), certificate.pem().replace("\r\n", "\n").trim());
    Another::wait_until_dropped();
}

/// Names the servers of a process `one serve`.
struct Servers {
    plain: SocketAddr,
    tls: SocketAddr,
    pem: String,
}

impl Servers {
    fn new(said: &[impl AsRef<str>]) -> Self {
        let [plain, tls] = [0, 1].map(|at| said[at].as_ref().parse().unwrap());
        let pem: Vec<_> = said[2..].iter().map(AsRef::as_ref).collect();
        Self { plain, tls, pem: pem.join("\n") }
    }
}

struct Task<'a> {
    who: Who,
    name: &'a str,
    len: usize,
    count: usize,
    kind: Kind,
    transport: Transport,
    server: Option<&'a str>,
}

impl<'a> Task<'a> {
    fn parse(args: &[&'a str]) -> Option<Self> {
        let [who, name, len, count, rest @ ..] = args else { return None };
        let (rest, server) = match rest {
            [rest @ .., "--server", file] => (rest, Some(*file)),
            _ => (rest, None),
        };
        let (who, len, count) = (Who::parse(who)?, len.parse().ok()?, count.parse().ok()?);
        let mut task =
            Self { who, name, len, count, kind: Kind::Binary, transport: Transport::Plain, server };
        for word in rest {
            match (Kind::parse(word), Transport::parse(word)) {
                (Some(kind), _) => task.kind = kind,
                (_, Some(transport)) => task.transport = transport,
                _ => return None,
            }
        }
        Some(task)
    }

    fn run(&self) {
        // The server that is started here ends with this process.
        let (_own, servers) = match self.server {
            Some(file) => {
                let said = std::fs::read_to_string(file).unwrap();
                (None, Servers::new(&said.lines().collect::<Vec<_>>()))
            }
            None => {
                let own = Another::start(&["serve"]);
                let servers = Servers::new(&own.said);
                (Some(own), servers)
            }
        };
        let mut target = match self.transport {
            Transport::Tls => {
                Target::tls(servers.tls, servers.pem.as_bytes(), self.name == "resume")
            }
            transport => Target::plain(servers.plain, transport == Transport::Deflate),
        };
        target.longest = self.len;
        match self.name {
            "receive" => self.receive(&target),
            "send" => self.send(&target, 1, |connection, message, count| {
                connection.send(message, count);
            }),
            "batch" => self.send(&target, BATCH, |connection, message, count| {
                connection.send_batches(message, count / BATCH);
            }),
            "echo" => self.echo(&target),
            "connect" => self.connect(&target, "/full"),
            "resume" => self.connect(&target, "/resumed"),
            "poll" => self.poll(&target),
            "stream" => self.stream(&target),
            "listen" => self.listen(&target),
            "verify" => self.verify(&target),
            _ => panic!("there is no task {}", self.name),
        }
    }

    fn message(&self) -> Message {
        Message::new(self.kind, self.len)
    }

    fn receive(&self, target: &Target) {
        let expected = Expected::outline(&self.message());
        let (warm, count) = (self.count.div_ceil(WARM), self.count);
        let path = format!("/blast/{}/{}/{warm}/{count}", self.kind.name(), self.len);
        let peak = PeakMemory::start();
        let mut connection = target.connect(self.who, &path);
        let go = Message::new(Kind::Binary, 2);
        connection.send(&go, 1);
        connection.receive(warm, &expected);
        let measured = Measured::of(|| {
            connection.send(&go, 1);
            connection.receive(count, &expected);
        });
        measured.print(count);
        println!("peak={}", peak.bytes());
    }

    /// Sends messages by `send`, which gets a multiple of `step` as number.
    fn send(
        &self,
        target: &Target,
        step: usize,
        send: impl Fn(&mut dyn Connection, &Message, usize),
    ) {
        let round = |count: usize| count.div_ceil(step) * step;
        let (warm, count) = (round(self.count.div_ceil(WARM)), round(self.count));
        // The server cannot know the length of what is compressed.
        let len = if self.transport == Transport::Deflate { 0 } else { self.len };
        let path = format!("/swallow/{len}/{warm}/{count}");
        let message = self.message();
        let done = Expected::outline(&Message::new(Kind::Binary, 0));
        let peak = PeakMemory::start();
        let mut connection = target.connect(self.who, &path);
        let mut run = |count| {
            send(&mut *connection, &message, count);
            // The server says that it has all of them.
            connection.receive(1, &done);
        };
        run(warm);
        let measured = Measured::of(|| run(count));
        measured.print(count);
        println!("peak={}", peak.bytes());
    }

    fn echo(&self, target: &Target) {
        let message = self.message();
        let expected = Expected::outline(&message);
        let mut connection = target.connect(self.who, "/echo");
        let mut trips = vec![0; self.count];
        connection.echo(&message, &expected, &mut trips[..self.count.div_ceil(WARM)]);
        let measured = Measured::of(|| connection.echo(&message, &expected, &mut trips));
        measured.print(self.count);
        trips.sort_unstable();
        for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            println!("{name}={}", trips[(trips.len() as f64 * part) as usize]);
        }
    }

    /// Opens and closes connections, one after the other.
    fn connect(&self, target: &Target, path: &str) {
        let path = if self.transport == Transport::Tls { path } else { "/" };
        // The first handshake is always a full one.
        target.connect(self.who, "/").close();
        let measured = Measured::of(|| {
            for _ in 0..self.count {
                target.connect(self.who, path).close();
            }
        });
        measured.print(self.count);
    }

    /// Polls, while nothing comes.
    fn poll(&self, target: &Target) {
        let expected = Expected::outline(&self.message());
        let mut connection = target.connect(self.who, "/");
        assert!(!connection.poll(&expected));
        let measured = Measured::of(|| {
            for _ in 0..self.count {
                assert!(!connection.poll(&expected));
            }
        });
        measured.print(self.count);
    }

    /// Polls a thousand times a second while a long message comes, and measures the longest call.
    fn stream(&self, target: &Target) {
        let expected = Expected::outline(&self.message());
        let path = format!("/blast/{}/{}/{}", self.kind.name(), self.len, self.count);
        let mut connection = target.connect(self.who, &path);
        connection.send(&Message::new(Kind::Binary, 2), 1);
        let (mut wall, mut cpu, mut polls, mut came) = (0, Duration::ZERO, 0_u64, 0);
        while came < self.count {
            let call = Measured::of(|| came += usize::from(connection.poll(&expected)));
            (wall, cpu) = (wall.max(call.wall), cpu.max(call.cpu));
            connection.drop_polled();
            polls += 1;
            thread::sleep(Duration::from_millis(1));
        }
        println!("wall={wall}\ncpu={}\npolls={polls}", cpu.as_nanos());
    }

    /// Opens `count` connections, and has a message sent to each of them, several times.
    fn listen(&self, target: &Target) {
        let message = Message::new(Kind::Binary, 16);
        let expected = Expected::whole(&message);
        let (heard, hears) = channel();
        let mut control = target.connect(Who::Bare, "/tick");
        let mut tick = || {
            control.send(&message, 1);
            for _ in 0..self.count {
                hears.recv().unwrap();
            }
        };
        let before = resident();
        target.listen(self.who, self.count, &expected, &heard);
        println!("opened={}", resident().saturating_sub(before) / self.count);
        tick();
        println!("used={}", resident().saturating_sub(before) / self.count);
        let measured = Measured::of(|| (0..TICKS).for_each(|_| tick()));
        measured.print(TICKS * self.count);
        // The threads and tasks that listen end with the process.
        std::process::exit(0);
    }

    /// Sends messages, one by one and in a batch, and compares each byte of what comes back.
    fn verify(&self, target: &Target) {
        let message = self.message();
        let expected = Expected::whole(&message);
        let mut connection = target.connect(self.who, "/echo");
        for _ in 0..self.count {
            connection.send(&message, 1);
            connection.receive(1, &expected);
        }
        // The server does not read while nobody takes its answers.
        if self.len <= 1024 {
            connection.send_batches(&message, 1);
            connection.receive(BATCH, &expected);
        }
        connection.close();
        println!("verified=1");
    }
}

/// Is what an action took.
struct Measured {
    wall: u64,
    cpu: Duration,
    allocations: usize,
    heap: isize,
}

impl Measured {
    fn of(action: impl FnOnce()) -> Self {
        let (cpu, began) = (cpu_time(), Instant::now());
        let ((), heap, allocations) = heap::during(action);
        let wall = nanoseconds(began);
        Self { wall, cpu: cpu_time() - cpu, allocations, heap }
    }

    /// Prints the nanoseconds that each of `count` took. Only `counted` counts allocations.
    fn print(&self, count: usize) {
        let count = count as f64;
        println!("wall={}", self.wall as f64 / count);
        println!("cpu={}", self.cpu.as_nanos() as f64 / count);
        println!("allocations={}", self.allocations as f64 / count);
        println!("heap={}", self.heap);
    }
}

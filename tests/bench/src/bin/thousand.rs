//! Runs a thousand `App`s in one process, each on a thread of its own. Measures the memory of an
//! idle one, and the time to stop them all. The server is another process.
//!
//! `thousand [COUNT]` measures plain connections, then TLS. `thousand stacks` looks for the
//! smallest stacks.

use std::hint::black_box;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use landline::app::{AppThread, Open};
use landline::backoff::Fixed;
use landline::tls::TlsOptions;
use landline::{App, Builder, CloseCode, Closed, Error, Handler, MessageRef, Sender};
use landline_bench::process::{Another, resident, threads};
use landline_bench::server::tls_config;
use rustls::{ServerConnection, StreamOwned};
use tungstenite::protocol::WebSocketConfig;

type HandlerResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

const KIB: usize = 1024;
/// Four times what `thousand stacks` finds, as `App::stack_size` advises.
const STACK: usize = 64 * KIB;
/// The limit of the memory of an App with a plain connection.
const GOAL: usize = 32 * KIB;
const STOP_GOAL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => both("1000"),
        ["stacks"] => stacks(),
        ["serve"] => serve(),
        ["plain", count] => measure(false, count.parse().unwrap()),
        ["tls", count] => measure(true, count.parse().unwrap()),
        ["fits", kind, bytes] => fits(kind == "tls", bytes.parse().unwrap()),
        [count] if count.parse::<usize>().is_ok() => both(count),
        _ => {
            eprintln!("usage: thousand [COUNT] | thousand stacks");
            ExitCode::from(2)
        }
    }
}

/// Measures plain and TLS, each in a process of its own, so that one does not use memory that the
/// other has left.
fn both(count: &str) -> ExitCode {
    let good = ["plain", "tls"].map(|kind| run(&[kind, count], Stdio::inherit()));
    if good == [true, true] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(args: &[&str], output: Stdio) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(args).stderr(output).status().unwrap().success()
}

fn measure(tls: bool, count: usize) -> ExitCode {
    let server = Server::start();
    // Anything that is made only once, TLS options for example, does not count.
    let builder = server.builder();
    stop(vec![start(&server, &builder, tls).1]);

    let before = resident();
    let started = Instant::now();
    let (echoes, apps): (Vec<_>, Vec<_>) =
        (0..count).map(|_| start(&server, &builder, tls)).unzip();
    for echo in echoes {
        echo.recv().unwrap();
    }
    let connected = started.elapsed();
    // In this time the threads that connected end, and the others go back into `recv`.
    thread::sleep(Duration::from_secs(1));
    let each = resident().saturating_sub(before) / count;
    let threads = threads() - 1; // Without the main thread.
    let stopped = stop(apps);

    println!("{count} {} connections, stacks of {} KiB", kind(tls), STACK / KIB);
    println!("  connected, and a message echoed on each, after {connected:.1?}");
    println!("  resident memory of each:  {:.1} KiB", each as f64 / KIB as f64);
    println!("  threads:                  {threads}");
    println!("  all stopped after         {stopped:.1?}, by a closing handshake on each");
    let small = tls || each <= GOAL;
    if small && stopped <= STOP_GOAL { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Starts an App that sends a message when it is open. The channel tells when the answer has come.
fn start(server: &Server, builder: &Builder, tls: bool) -> (Receiver<()>, AppThread) {
    let (echoed, echo) = channel();
    let app = App::new(server.url(tls), Echo(echoed))
        .with_builder(builder.clone())
        .stack_size(STACK)
        .spawn()
        .unwrap();
    (echo, app)
}

/// Stops all Apps, and returns how long that took.
fn stop(apps: Vec<AppThread>) -> Duration {
    let started = Instant::now();
    for app in &apps {
        app.handle().stop(CloseCode::NORMAL).unwrap();
    }
    for app in apps {
        app.join().unwrap();
    }
    started.elapsed()
}

struct Echo(mpsc::Sender<()>);

impl Handler for Echo {
    fn on_open(&mut self, sender: &Sender, _: &Open<'_>) -> HandlerResult {
        Ok(sender.send("sixteen bytes...")?)
    }

    fn on_message(&mut self, _: &Sender, _: MessageRef<'_>) -> HandlerResult {
        Ok(self.0.send(())?)
    }
}

/// Tries all that an App does on larger and larger stacks, until the process survives. The system
/// gives no smaller stack than the first.
fn stacks() -> ExitCode {
    for kind in ["plain", "tls"] {
        let works = |kib: &usize| {
            (0..3).all(|_| run(&["fits", kind, &(kib * KIB).to_string()], Stdio::null()))
        };
        let Some(least) = (16..=512).step_by(4).find(works) else { return ExitCode::FAILURE };
        println!("{kind}: a stack of {least} KiB is enough");
    }
    ExitCode::SUCCESS
}

/// Does all that an App does, on a stack of `stack` bytes.
fn fits(tls: bool, stack: usize) -> ExitCode {
    let server = Server::start();
    let url = server.url(tls);
    let mut attempts = 0;
    let app = App::new(url, Everything { connections: 0 })
        .connect_with(move |attempt| {
            attempts += 1;
            attempt.builder.connect(if attempts == 1 { "ws://localhost:9" } else { attempt.url })
        })
        .with_builder(server.builder().bearer_auth("a token"))
        .backoff(Fixed(Duration::from_millis(10)))
        .stack_size(stack)
        .spawn()
        .unwrap();
    app.join().unwrap();
    ExitCode::SUCCESS
}

struct Everything {
    connections: usize,
}

impl Handler for Everything {
    fn on_open(&mut self, sender: &Sender, _: &Open<'_>) -> HandlerResult {
        self.connections += 1;
        sender.ping(b"are you there?")?;
        Ok(sender.send_all(["a", &"long".repeat(100_000)])?)
    }

    fn on_message(&mut self, sender: &Sender, message: MessageRef<'_>) -> HandlerResult {
        if message.as_bytes().len() > 1 {
            match self.connections {
                1 => sender.send("drop me")?,
                _ => sender.close(CloseCode::NORMAL)?,
            }
        }
        Ok(())
    }

    fn on_close(&mut self, closed: &Closed) -> HandlerResult {
        // After the second connection the App must end.
        assert!(self.connections <= 2, "{closed}");
        black_box(format!("{closed} {closed:?}"));
        Ok(())
    }

    fn on_error(&mut self, error: &Error) -> HandlerResult {
        black_box(format!("{error} {error:?}"));
        Ok(())
    }
}

fn kind(tls: bool) -> &'static str {
    if tls { "TLS" } else { "plain" }
}

/// Is the server, in a process of its own.
struct Server(Another);

impl Server {
    fn start() -> Self {
        Self(Another::start(&["serve"]))
    }

    fn url(&self, tls: bool) -> String {
        self.0.said[usize::from(tls)].clone()
    }

    fn builder(&self) -> Builder {
        let pem = self.0.said[2..].join("\n");
        Builder::new().tls(TlsOptions::new().ca_pem(pem.as_bytes()).unwrap())
    }
}

fn serve() -> ExitCode {
    let (config, certificate) = tls_config();
    println!("ws://{}/", listen(echo));
    let tls = listen(move |stream| {
        echo(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream));
    });
    println!("wss://localhost:{}/", tls.port());
    print!("{}", certificate.pem().replace("\r\n", "\n"));
    Another::wait_until_dropped();
    ExitCode::SUCCESS
}

fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || stream.set_nodelay(true).map(|()| serve(stream)));
        }
    });
    address
}

/// Echoes messages, and drops the connection if asked to.
fn echo(stream: impl std::io::Read + std::io::Write) {
    let small = WebSocketConfig::default().read_buffer_size(4 * KIB).write_buffer_size(0);
    let Ok(mut server) = tungstenite::accept_with_config(stream, Some(small)) else { return };
    while let Ok(message) = server.read() {
        if message.to_text().is_ok_and(|text| text == "drop me") {
            return;
        }
        // The next `read` fails if the client is gone.
        if message.is_text() && server.send(message).is_err() {
            return;
        }
    }
}

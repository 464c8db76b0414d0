//! Runs many connections with random traffic and faults, for any time. What is received must be
//! right, and a connection without a fault must be complete. The README says what is done and
//! counted.

mod explained;
mod ledger;
mod payload;
mod plan;
mod proxy;
mod receiving;
mod resources;
mod sending;
mod server;
mod server_process;
mod session;
mod tally;
mod watch;

use std::alloc::System;
use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use landline::tls::TlsOptions;

use crate::plan::Plan;
use crate::resources::Resources;
use crate::server_process::ServerProcess;
use crate::session::World;
use crate::tally::Report;
use crate::watch::Watch;

const USAGE: &str = "soak [--seconds 60] [--connections 200] [--seed N] [--json]\n\
                     soak plan SEED SLOT SESSION";

/// Counts the bytes of the heap.
#[global_allocator]
static HEAP: cap::Cap<System> = cap::Cap::new(System, usize::MAX);

struct Options {
    seconds: u64,
    connections: u64,
    seed: u64,
    json: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let good = match &arguments[..] {
        [role] if role == "server" => server::run().map(|()| true),
        [role, numbers @ ..] if role == "plan" => print_plan(numbers).map(|()| true),
        arguments => match Options::parse(arguments) {
            Some(options) => with_plain_memory().and_then(|()| soak(&options)),
            None => Err(io::Error::other(USAGE)),
        },
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Prints the plan of one session, to find out why it went wrong.
fn print_plan(numbers: &[String]) -> io::Result<()> {
    let numbers: Vec<u64> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let &[seed, slot, session] = &numbers[..] else { return Err(io::Error::other(USAGE)) };
    println!("{:#?}", Plan::new(seed, slot, session));
    Ok(())
}

impl Options {
    fn parse(arguments: &[String]) -> Option<Self> {
        let seed = fastrand::u64(..1_000_000);
        let mut options = Self { seconds: 60, connections: 200, seed, json: false };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            if name == "--json" {
                options.json = true;
                continue;
            }
            let number = arguments.next()?.parse().ok()?;
            match &name[..] {
                "--seconds" => options.seconds = number,
                "--connections" => options.connections = number,
                "--seed" => options.seed = number,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Starts this program again, with a C library that keeps no freed memory. So memory that grows is
/// memory that leaks. It keeps the stacks of threads that have ended: the soak drops the handles of
/// its threads, and glibc (2.36) crashes if a thread ends at that moment and its stack is gone. The
/// C library takes these settings only when a program starts.
#[cfg(target_env = "gnu")]
fn with_plain_memory() -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    const NAME: &str = "GLIBC_TUNABLES";
    const TUNING: &str = "glibc.malloc.arena_max=2:glibc.malloc.trim_threshold=131072:\
                          glibc.malloc.mmap_threshold=131072:\
                          glibc.pthread.stack_cache_size=0x100000000";
    if std::env::var_os(NAME).is_some_and(|value| value == TUNING) {
        return Ok(());
    }
    let mut again = std::process::Command::new(std::env::current_exe()?);
    Err(again.args(std::env::args_os().skip(1)).env(NAME, TUNING).exec())
}

#[cfg(not(target_env = "gnu"))]
fn with_plain_memory() -> io::Result<()> {
    Ok(())
}

fn soak(options: &Options) -> io::Result<bool> {
    let &Options { seconds, connections, seed, json } = options;
    eprintln!("seed {seed}, {connections} connections, {seconds} s");
    let server = ServerProcess::start()?;
    let tls = TlsOptions::new().ca_pem(server.certificate()).map_err(io::Error::other)?;
    // The proxies have other addresses than the server.
    let tls = tls.server_name("localhost");
    let world = Arc::new(World {
        server,
        watch: Watch::default(),
        tally: Mutex::default(),
        tls,
        big: Default::default(),
    });
    thread::spawn({
        let world = world.clone();
        move || world.watch.guard()
    });

    let warm_up = Duration::from_secs((seconds / 6).clamp(3, 20));
    run(&world, options, 0, warm_up)?;
    let before = Resources::now();
    run(&world, options, 1, Duration::from_secs(seconds))?;
    let after = Resources::settled(before);

    let complaints = world.server.complaints();
    for complaint in &complaints {
        eprintln!("server: {complaint}");
    }
    let tally = &mut *world.tally.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tally = std::mem::take(tally);
    tally.complaints = complaints.len() as u64;
    let report = Report {
        seed,
        connections,
        seconds,
        tally,
        kills: world.server.kills(),
        latest: world.watch.latest(),
        before,
        after,
        peak: Resources::peak(),
    };
    if json {
        println!("{}", report.json())
    } else {
        println!("{report}")
    }
    world.server.kill();
    Ok(report.is_good())
}

/// Runs all connections for `length`. When it returns, all that it began is over.
fn run(world: &World, options: &Options, phase: u64, length: Duration) -> io::Result<()> {
    let end = Instant::now() + length;
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let killing = scope.spawn(move || kill_now_and_then(world, options.seed ^ phase, &stopped));
        let slots: Vec<_> = (0..options.connections)
            .map(|slot| {
                scope.spawn(move || {
                    let mut number = phase << 32;
                    while Instant::now() < end {
                        let plan = Plan::new(options.seed, slot, number);
                        number += 1;
                        if !session::run(world, &plan) {
                            thread::sleep(plan.pause);
                        }
                    }
                })
            })
            .collect();
        for slot in slots {
            slot.join().map_err(|_| io::Error::other("a session panicked"))?;
        }
        drop(stop);
        killing.join().map_err(|_| io::Error::other("the killer panicked"))?
    })
}

/// Kills the server every few seconds.
fn kill_now_and_then(world: &World, seed: u64, stopped: &mpsc::Receiver<()>) -> io::Result<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    loop {
        let pause = Duration::from_millis(rng.u64(2_000..10_000));
        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return Ok(());
        }
        world.server.restart(Duration::from_millis(rng.u64(..300)))?;
    }
}

//! Runs tasks of contenders, each in a process of its own.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use landline_bench::contender::{Transport, Who};
use landline_bench::message::{Kind, Message};
use landline_bench::plan::Plan;
use landline_bench::process::Another;

/// Is a contender: one of the library, or Beast, which is a program of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Contender(&'static str);

pub const LANDLINE: Contender = Contender("landline");
pub const OWNED: Contender = Contender("landline-owned");
pub const BARE: Contender = Contender("bare");
const BEAST: Contender = Contender("beast");

impl Contender {
    /// Returns all, landline first.
    pub fn all() -> Vec<Self> {
        let mut all: Vec<_> = Who::ALL.into_iter().map(|who| Self(who.name())).collect();
        all.insert(all.len() - 1, BEAST);
        all
    }

    pub fn name(self) -> &'static str {
        self.0
    }

    pub fn is_peer(self) -> bool {
        self != LANDLINE && self != OWNED && self != BARE
    }

    pub fn is_beast(self) -> bool {
        self == BEAST
    }

    /// Returns whether a received message is lent: the next one overwrites it.
    pub fn lends(self) -> bool {
        matches!(self.0, "landline" | "nexus-web" | "ws-tool" | "beast")
    }

    /// Returns whether this is a contender again, which differs only in how it receives.
    fn only_receives(self) -> bool {
        matches!(self.0, "landline-owned" | "nexus-web-owned")
    }

    fn compresses(self) -> bool {
        matches!(self.0, "landline" | "landline-owned" | "ws-tool" | "beast")
    }

    fn polls(self) -> bool {
        matches!(self.0, "landline" | "nexus-web" | "tungstenite" | "bare")
    }
}

/// Names a task, as `one` takes it.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    pub name: &'static str,
    pub len: usize,
    pub count: usize,
    pub kind: Kind,
    pub transport: Transport,
}

impl Task {
    pub const fn new(name: &'static str, len: usize, count: usize) -> Self {
        Self { name, len, count, kind: Kind::Binary, transport: Transport::Plain }
    }

    pub fn on(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    pub fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Returns those that can do it.
    pub fn contenders(&self, runner: &Runner) -> Vec<Contender> {
        let can = |who: &Contender| match self.name {
            _ if who.is_beast() && runner.beast.is_none() => false,
            "poll" | "stream" => who.polls(),
            "listen" => !who.is_beast() && *who != BARE && !who.only_receives(),
            // Its opening handshake is written by hand here.
            "connect" | "resume" if who.0 == "fastwebsockets" => false,
            "verify" => *who != BARE && (who.compresses() || self.transport != Transport::Deflate),
            "receive" => self.transport != Transport::Deflate || who.compresses(),
            _ => !who.only_receives() && (self.transport != Transport::Deflate || who.compresses()),
        };
        Contender::all().into_iter().filter(can).collect()
    }
}

/// Is what a task printed.
pub type Figures = HashMap<String, f64>;

pub struct Runner {
    one: PathBuf,
    counted: PathBuf,
    beast: Option<PathBuf>,
    folder: PathBuf,
    messages: RefCell<HashSet<PathBuf>>,
    failed: Cell<bool>,
    /// Ends with the runner.
    _server: Another,
}

impl Runner {
    /// Starts the server. Says it loudly if Beast is not there.
    pub fn start() -> Self {
        let beside = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let folder = std::env::temp_dir().join(format!("landline-bench-{}", std::process::id()));
        // A process before may have had this number.
        fs::create_dir_all(&folder).unwrap();
        let server = Another::of(&beside.join("one"), &["serve"]);
        fs::write(folder.join("server"), server.said.join("\n")).unwrap();
        let beast = Some(beside.join("beast")).filter(|beast| beast.exists());
        if beast.is_none() {
            println!("**Boost.Beast was not measured: its program could not be built.**\n");
            eprintln!("BOOST.BEAST IS LEFT OUT: there is no {}", beside.join("beast").display());
        }
        Self {
            one: beside.join("one"),
            counted: beside.join("counted"),
            beast,
            folder,
            messages: RefCell::default(),
            failed: Cell::new(false),
            _server: server,
        }
    }

    /// Returns whether a contender did not do what it should.
    pub fn failed(&self) -> bool {
        self.failed.get()
    }

    /// Runs a task, and returns its figures, or `None` and says so if it failed.
    pub fn run(&self, task: Task, who: Contender) -> Option<Figures> {
        self.figures(self.command(task, who, &self.one), task, who)
    }

    /// Runs a task with the allocator that counts.
    pub fn run_counted(&self, task: Task, who: Contender) -> Option<Figures> {
        self.figures(self.command(task, who, &self.counted), task, who)
    }

    /// Runs a task under strace, and returns the number of system calls.
    pub fn system_calls(&self, task: Task, who: Contender) -> Option<f64> {
        let plain = self.command(task, who, &self.one);
        let (program, args) = (plain.get_program(), plain.get_args());
        let summary = self.folder.join("strace");
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(&summary).arg(program).args(args);
        self.figures(command, task, who)?;
        let summary = fs::read_to_string(&summary).unwrap();
        let total = summary.lines().find(|line| line.trim_end().ends_with("total"))?;
        // The columns: % time, seconds, microseconds a call, calls, errors if any, name.
        total.split_whitespace().nth(3)?.parse().ok()
    }

    fn command(&self, task: Task, who: Contender, one: &Path) -> Command {
        let program = self.beast.as_deref().filter(|_| who.is_beast()).unwrap_or(one);
        // A contender that hangs fails.
        let mut command = Command::new("timeout");
        command
            .arg("60")
            .arg(program)
            .args([who.0, task.name, &task.len.to_string(), &task.count.to_string()])
            .args([task.kind.name(), task.transport.name(), "--server"])
            .arg(self.folder.join("server"));
        if who.is_beast() {
            command.arg("--message").arg(self.message(task));
        }
        command
    }

    /// Returns a file with the message, which Beast reads.
    fn message(&self, task: Task) -> PathBuf {
        let file = self.folder.join(format!("{}-{}", task.kind.name(), task.len));
        if self.messages.borrow_mut().insert(file.clone()) {
            fs::write(&file, Message::new(task.kind, task.len).bytes).unwrap();
        }
        file
    }

    fn figures(&self, mut command: Command, task: Task, who: Contender) -> Option<Figures> {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        if !output.status.success() {
            let says = String::from_utf8_lossy(&output.stderr);
            eprintln!("FAILED: {} with {task:?}: {} {says}", who.0, output.status);
            self.failed.set(true);
            return None;
        }
        let lines = String::from_utf8_lossy(&output.stdout);
        let pairs = lines.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// Compares each byte that the contenders send and receive.
    pub fn verify(&self, plan: &Plan) {
        eprintln!("verify");
        let lens =
            if plan.quick { vec![125, 1 << 20] } else { vec![16, 125, 1024, 65536, 1 << 20] };
        for len in lens {
            for kind in Kind::ALL {
                for transport in Transport::ALL {
                    if (kind == Kind::Json) == (transport == Transport::Deflate) {
                        let task = Task::new("verify", len, 2).kind(kind).on(transport);
                        for who in task.contenders(self) {
                            self.run(task, who);
                        }
                    }
                }
            }
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

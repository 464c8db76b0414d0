//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::ledger::{Figures, Wrong};
use crate::plan::Fault;
use crate::resources::Resources;

/// Counts what has happened so far.
#[derive(Default)]
pub struct Tally {
    /// Sessions, counted by how they ended.
    pub complete: u64,
    pub broken: u64,
    pub secure: u64,
    pub proxied: u64,
    pub figures: Figures,
    /// Messages of sessions that a fault ended: they were sent, and no echo was seen.
    pub unacknowledged: u64,
    pub faults: BTreeMap<Fault, Harm>,
    /// The errors of the client in sessions that a fault ended.
    pub endings: BTreeMap<String, u64>,
    pub lost: u64,
    pub duplicated: u64,
    pub corrupted: u64,
    /// Ends that no fault explains, and errors of the wrong kind.
    pub wrong_ends: u64,
    /// The server's complaints about what clients must not do.
    pub complaints: u64,
}

/// Counts the effects of one kind of fault.
#[derive(Default)]
pub struct Harm {
    pub injected: u64,
    /// Sessions that were complete in spite of the fault.
    pub unfelt: u64,
    /// The longest time from the fault until all threads of the client had an error. `None` if the
    /// time of the fault is not known here.
    pub longest: Option<Duration>,
}

impl Tally {
    pub fn add_figures(&mut self, more: Figures) {
        let figures = &mut self.figures;
        figures.sent += more.sent;
        figures.sent_bytes += more.sent_bytes;
        figures.received += more.received;
        figures.received_bytes += more.received_bytes;
        figures.skipped += more.skipped;
        figures.pings += more.pings;
        figures.pongs += more.pongs;
        figures.answers += more.answers;
    }

    pub fn add_wrong(&mut self, wrong: &Wrong) {
        match wrong {
            Wrong::Lost(messages) => self.lost += messages,
            Wrong::Duplicated => self.duplicated += 1,
            Wrong::Corrupted(_) => self.corrupted += 1,
        }
    }

    pub fn faults(&self) -> u64 {
        self.faults.values().map(|harm| harm.injected).sum()
    }
}

/// The limit of how late a call may be. The machine may be busy: then threads wait for a processor.
const LATEST: Duration = Duration::from_secs(10);

/// Holds all that is printed.
pub struct Report {
    pub seed: u64,
    pub connections: u64,
    pub seconds: u64,
    pub tally: Tally,
    pub kills: u64,
    pub latest: (&'static str, Duration),
    pub before: Resources,
    pub after: Resources,
    pub peak: u64,
}

impl Report {
    pub fn is_good(&self) -> bool {
        let Tally { lost, duplicated, corrupted, wrong_ends, complaints, .. } = &self.tally;
        lost + duplicated + corrupted + wrong_ends + complaints == 0
            && self.after.is_back_to(self.before)
            && self.latest.1 <= LATEST
            && self.tally.figures.received > 0
            && self.tally.proxied > 0
            && self.tally.faults() > 0
    }

    /// Returns the figures in one line of JSON.
    pub fn json(&self) -> String {
        let Self { seed, connections, seconds, tally, kills, latest, before, after, .. } = self;
        let Tally { complete, broken, figures, lost, duplicated, corrupted, .. } = tally;
        let mut json = format!(
            "{{\"good\":{},\"seed\":{seed},\"connections\":{connections},\"seconds\":{seconds},\
             \"complete\":{complete},\"broken\":{broken},\"sent\":{},\"sent_bytes\":{},\
             \"received\":{},\"received_bytes\":{},\"unacknowledged\":{},\"lost\":{lost},\
             \"duplicated\":{duplicated},\"corrupted\":{corrupted},\"wrong_ends\":{},\
             \"complaints\":{},\"server_kills\":{kills},\"late_ms\":{},",
            self.is_good(),
            figures.sent,
            figures.sent_bytes,
            figures.received,
            figures.received_bytes,
            tally.unacknowledged,
            tally.wrong_ends,
            tally.complaints,
            latest.1.as_millis(),
        );
        for (when, used) in [("start", before), ("end", after)] {
            let Resources { heap, resident, files, threads } = used;
            let _ = write!(
                json,
                "\"{when}\":{{\"heap\":{heap},\"resident\":{resident},\"files\":{files},\
                 \"threads\":{threads}}},"
            );
        }
        let faults: Vec<_> = tally
            .faults
            .iter()
            .map(|(fault, harm)| format!("\"{fault:?}\":{}", harm.injected))
            .collect();
        let _ = write!(json, "\"faults\":{{{}}}}}", faults.join(","));
        json
    }
}

/// Writes a table for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tally, before, after, .. } = self;
        let Figures { sent, sent_bytes, received, received_bytes, skipped, pings, pongs, answers } =
            tally.figures;
        let mut row = |name: &str, value: String| writeln!(f, "{name:<34} {value}");
        row("seed", self.seed.to_string())?;
        row("connections at a time", self.connections.to_string())?;
        row("seconds, after the warm-up", self.seconds.to_string())?;
        row(
            "sessions",
            format!(
                "{}: {} complete, {} ended by a fault; {} over TLS, {} through the proxy",
                tally.complete + tally.broken,
                tally.complete,
                tally.broken,
                tally.secure,
                tally.proxied
            ),
        )?;
        row("messages sent", format!("{sent}, {} MB", sent_bytes / 1_000_000))?;
        row(
            "messages back, checked",
            format!(
                "{received}, {} MB; {skipped} of them read in part",
                received_bytes / 1_000_000
            ),
        )?;
        row("pings sent, pongs seen by events", format!("{pings}, {pongs}"))?;
        row("server's checksums compared", answers.to_string())?;
        row("unacknowledged at a fault", tally.unacknowledged.to_string())?;
        row("lost, duplicated, corrupted", {
            format!("{}, {}, {}", tally.lost, tally.duplicated, tally.corrupted)
        })?;
        row("wrong ends, server's complaints", {
            format!("{}, {}", tally.wrong_ends, tally.complaints)
        })?;
        let (late, by) = self.latest;
        row("latest call over its bound", format!("{} ms ({late})", by.as_millis()))?;
        let used = |used: &Resources| {
            let Resources { heap, resident, files, threads } = used;
            let resident = *resident as f64 / 1e6;
            format!(
                "heap {heap} bytes, resident {resident:.1} MB, {files} files, {threads} threads"
            )
        };
        row("used at the start, warm", used(before))?;
        row("used at the end", used(after))?;
        row("peak resident", format!("{:.1} MB", self.peak as f64 / 1e6))?;
        writeln!(f, "\nfaults: {} in sessions, {} server kills", tally.faults(), self.kills)?;
        writeln!(
            f,
            "  {:<14} {:>9} {:>9} {:>22}",
            "kind", "injected", "unfelt", "told after at most"
        )?;
        for (fault, Harm { injected, unfelt, longest }) in &tally.faults {
            let longest = longest
                .map_or_else(|| "-".to_owned(), |longest| format!("{} ms", longest.as_millis()));
            writeln!(f, "  {:<14} {injected:>9} {unfelt:>9} {longest:>22}", format!("{fault:?}"))?;
        }
        writeln!(f, "\nhow the clients were told")?;
        for (ending, count) in &tally.endings {
            writeln!(f, "  {count:>9}  {ending}")?;
        }
        write!(f, "\n{}", if self.is_good() { "good" } else { "NOT GOOD" })
    }
}

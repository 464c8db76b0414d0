//! Decides whether a session went as it should, and counts it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Outcome, Session};
use crate::explained;
use crate::plan::{End, Fault};

impl Session<'_> {
    /// Judges and counts the session. `faults` are those of the network and of the server, with
    /// their times. `told` is the time when all threads of the client had an error.
    pub(super) fn judge(
        &self,
        outcome: Outcome,
        mut faults: Vec<(Fault, Option<Instant>)>,
        told: Instant,
    ) {
        let figures = self.ledger.figures();
        let missing = self.ledger.missing();
        faults.extend(
            self.aborted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .map(|at| (Fault::Abort, Some(at))),
        );
        match (self.plan.end, &outcome) {
            (End::PeerClose(after), _) if figures.sent >= after => {
                faults.push((Fault::PeerClose, None));
            }
            (End::PeerDrop(after), _) if figures.sent >= after => {
                faults.push((Fault::PeerDrop, None));
            }
            (_, Outcome::Dropped) => faults.push((Fault::Drop, None)),
            _ => {}
        }
        let mut tally = self.world.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add_figures(figures);
        tally.secure += u64::from(self.plan.secure);
        tally.proxied += u64::from(self.plan.link.is_some());
        for wrong in self.ledger.wrong() {
            tally.add_wrong(&wrong);
            eprintln!("{}: {wrong}", self.plan.name);
        }
        for wrong in self.wrong.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            tally.wrong_ends += 1;
            eprintln!("{}: {wrong}", self.plan.name);
        }

        let error = match outcome {
            Outcome::NotOpened(error) | Outcome::Over(error) => Some(error),
            Outcome::Dropped => None,
        };
        let complete = missing == 0 && figures.answers == 1;
        let complete = complete && error.as_ref().is_some_and(explained::is_our_close);
        for (fault, at) in &faults {
            let harm = tally.faults.entry(*fault).or_default();
            harm.injected += 1;
            if complete {
                harm.unfelt += 1;
            } else if error.as_ref().is_some_and(|error| explained::explains(*fault, error)) {
                let Some(at) = at else { continue };
                let after = told.saturating_duration_since(*at);
                harm.longest = harm.longest.max(Some(after));
                let bound = self.plan.bounds.fault();
                let late = after.saturating_sub(bound);
                self.world.watch.late("told of a fault", late);
                if late > Duration::from_secs(2) {
                    let told = error.as_ref().map(explained::class);
                    eprintln!("{fault:?} was told {late:?} late: {told:?}, {:?}", self.plan);
                }
            }
        }
        if complete {
            tally.complete += 1;
            return;
        }
        tally.broken += 1;
        tally.unacknowledged += missing;
        let Some(error) = error else { return };
        *tally.endings.entry(explained::class(&error)).or_default() += 1;
        if !faults.iter().any(|(fault, _)| explained::explains(*fault, &error)) {
            tally.wrong_ends += 1;
            tally.lost += if faults.is_empty() { missing } else { 0 };
            let told = explained::class(&error);
            eprintln!("{told}, {missing} missing, faults: {faults:?}, {:?}", self.plan);
        }
        // All that the server answered before its Close must be here.
        if let End::PeerClose(after) = self.plan.end
            && explained::explains(Fault::PeerClose, &error)
        {
            tally.lost += after.abs_diff(figures.received);
        }
    }
}

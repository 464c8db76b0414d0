//! How a connection ends: the facts as they come to be known, and the verdict, which is final.

use std::time::{Duration, Instant};

use crate::error::{Advice, Cause, Closed, Side};
use crate::proto::close::CloseFrame;
use crate::sync::{Mutex, MutexGuard, OnceLock, now};

/// Shared by the receiver, which gives the verdict, and everybody who must know.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    facts: Mutex<Facts>,
    verdict: OnceLock<Closed>,
}

/// Who has us send a Close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Whoever uses the connection.
    User,
    /// Ourselves: nothing can follow what happened.
    Need,
    /// The peer: it is the answer.
    Peer,
}

#[derive(Debug, Default)]
struct Facts {
    /// The Close that we sent, or must send.
    local: Option<CloseFrame>,
    /// That Close was written.
    sent: bool,
    /// The peer did not take it while that was waited for.
    not_taken: bool,
    /// It was the user's wish.
    asked: bool,
    remote: Option<CloseFrame>,
    initiator: Option<Side>,
    /// When the closing handshake must be over.
    close_at: Option<Instant>,
    aborted: bool,
    write_failed: Option<Cause>,
    /// The peer has been pinged, and has never answered.
    never_answered: bool,
}

impl Ending {
    /// The verdict, if there is one.
    pub(crate) fn verdict(&self) -> Option<&Closed> {
        self.verdict.get()
    }

    /// Gives the verdict, unless there is one.
    pub(crate) fn decide(&self, cause: Cause) -> &Closed {
        let advice = self.facts().never_answered.then_some(Advice::NoPings);
        let picture = self.picture(cause, advice);
        self.verdict.get_or_init(|| picture)
    }

    /// How it stands, for whoever cannot send any more while the receiver still reads.
    pub(crate) fn snapshot(&self) -> Closed {
        let failed = self.facts().write_failed.clone();
        let advice = failed.is_some().then_some(Advice::Receive);
        let now = || self.picture(failed.unwrap_or(Cause::Handshake), advice);
        self.verdict().cloned().unwrap_or_else(now)
    }

    /// Whether nothing of an end is known.
    pub(crate) fn is_open(&self) -> bool {
        let facts = self.facts();
        let ending = facts.local.is_some() || facts.aborted || facts.write_failed.is_some();
        self.verdict().is_none() && !ending
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.facts().aborted
    }

    /// Whether this side ends the connection: by a Close that is sent or noted, or by an abort.
    pub(crate) fn is_closing(&self) -> bool {
        let facts = self.facts();
        facts.local.is_some() || facts.aborted
    }

    /// When the closing handshake must be over; `None` while there is none, or no limit.
    pub(crate) fn close_at(&self) -> Option<Instant> {
        self.facts().close_at
    }

    /// Notes the Close to send, and says whether it is the first. If so, `note` is called before
    /// any other thread learns of it.
    pub(crate) fn close(
        &self,
        close: &CloseFrame,
        by: By,
        timeout: Option<Duration>,
        note: impl FnOnce(),
    ) -> bool {
        let mut facts = self.facts();
        let first = facts.local.is_none() && !facts.aborted;
        if first {
            facts.local = Some(close.clone());
            facts.asked = by == By::User;
            let side = if by == By::Peer { Side::Peer } else { Side::Local };
            facts.initiator.get_or_insert(side);
            facts.close_at = timeout.and_then(|timeout| now().checked_add(timeout));
            note();
        }
        first
    }

    pub(crate) fn peer_closed(&self, close: CloseFrame) {
        self.facts().remote = Some(close);
    }

    /// Notes that our Close was written.
    pub(crate) fn close_sent(&self) {
        self.facts().sent = true;
    }

    /// Notes that the peer did not take our Close in time.
    pub(crate) fn close_not_taken(&self) {
        self.facts().not_taken = true;
    }

    /// Notes an abort; `stop` is called before any other thread learns of it.
    pub(crate) fn abort(&self, stop: impl FnOnce()) {
        let mut facts = self.facts();
        stop();
        facts.aborted = true;
        facts.initiator.get_or_insert(Side::Local);
    }

    /// Notes that the peer has never answered a keepalive ping.
    pub(crate) fn never_answered(&self) {
        self.facts().never_answered = true;
    }

    pub(crate) fn write_failed(&self, cause: &Cause) {
        self.facts().write_failed.get_or_insert_with(|| cause.clone());
    }

    /// Why the reading end failed, in the light of how the writing end did.
    pub(crate) fn why(&self, cause: Cause) -> Cause {
        let mut facts = self.facts();
        let cause = match (&facts.write_failed, cause) {
            // What failed first is why; the other end of the stream fails because of it.
            (Some(failed @ Cause::Timeout(_)), _) | (Some(failed), Cause::Eof | Cause::Io(_)) => {
                failed.clone()
            }
            (_, cause) => cause,
        };
        if let Cause::Timeout(_) = cause {
            facts.initiator.get_or_insert(Side::Local);
        }
        cause
    }

    fn picture(&self, cause: Cause, advice: Option<Advice>) -> Closed {
        let facts = self.facts();
        let cause = if facts.aborted { Cause::Aborted } else { cause };
        // Only what was written, or still can be, counts as sent.
        let unsent = facts.not_taken || facts.write_failed.is_some();
        let local = facts.local.clone().filter(|_| facts.sent || !unsent);
        let remote = facts.remote.clone();
        Closed::new(local, remote, facts.initiator, facts.asked, cause, advice)
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock()
    }
}

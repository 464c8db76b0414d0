//! Tells the beginning and the end of a connection: by a note, and by a line of JSON.

use std::time::Duration;

use landline::error::Side;
use landline::{Closed, WebSocket};

use super::Session;
use crate::duration;
use crate::plan::Input;
use crate::summary::Opening;

impl Session {
    /// Tells that a connection is open, and what was agreed on.
    pub(super) fn tell_opened(
        &self,
        ws: &WebSocket,
        took: Duration,
        reconnected: bool,
    ) -> std::io::Result<()> {
        let (response, peer) = (ws.response(), ws.peer_addr().map(|peer| peer.to_string()));
        let compressed = ws.deflate().is_some();
        // The rest may be a secret.
        let url = response.url().split('?').next().unwrap_or_default();
        let mut text = format!("connected to {url}");
        if let Some(peer) = &peer {
            text += &format!(" at {peer}");
        }
        text += &format!(" in {}", duration::time(took));
        if let Some(subprotocol) = ws.subprotocol() {
            text += &format!(", subprotocol {subprotocol}");
        }
        if compressed {
            text += ", compressed";
        }
        if self.plan.input == Input::Prompt {
            text += if reconnected { "" } else { "; /help lists the commands, Ctrl-D closes" };
            self.outgoing.notes.info(&text);
        } else if reconnected {
            self.outgoing.notes.info(&text);
        } else {
            self.outgoing.notes.verbose(&text);
        }
        let opening = Opening::of(ws, took);
        self.outgoing.notes.verbose(&format!("opened by {}", opening.details()));
        self.outgoing.summary.opened(opening);
        let mut output = self.output();
        output.event("open", |line| {
            line.text("url", url);
            line.text_or_null("peer", peer.as_deref());
            line.seconds("took", took);
            line.boolean("reconnected", reconnected);
            line.number("status", u64::from(response.status()));
            line.text_or_null("subprotocol", ws.subprotocol());
            line.boolean("compressed", compressed);
            line.headers(response.headers().iter());
        })?;
        output.flush()
    }

    /// Tells how a connection ended.
    pub(super) fn tell_closed(&self, closed: &Closed) {
        let control = &self.outgoing.control;
        if self.plan.input != Input::Prompt {
            self.outgoing.notes.verbose(&closed.to_string());
        } else if control.stopped().is_some() || control.restarts() {
            // Any other end is an error or a normal close, which `failed` tells.
            self.outgoing.notes.info(&closed.to_string());
        }
        let told = self.output().event("close", |line| {
            line.number("code", u64::from(closed.code().value()));
            line.text("reason", closed.reason());
            line.text_or_null(
                "by",
                closed.initiator().map(|side| match side {
                    Side::Local => "client",
                    Side::Peer => "server",
                }),
            );
            line.boolean("clean", closed.is_clean());
            line.text("text", &closed.to_string());
        });
        // The flush that follows fails too, and is looked at.
        drop(told);
    }
}

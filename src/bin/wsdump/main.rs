//! `wsdump` talks to a WebSocket server from the command line: by hand, in pipes and in scripts.
//!
//! ```sh
//! wsdump wss://example.com/chat                        # a prompt
//! wsdump wss://example.com/feed | jq .price            # a filter
//! wsdump -1 -t '{"ping":1}' wss://example.com/health   # one answer, and a status that tells
//! ```
//!
//! It is written on the public API of the crate only. `RECIPES.md`, beside this file, has more
//! examples, and `wsdump --help` has the table of exit statuses.
//!
//! `args` defines the options and `plan` checks them, before a socket is opened. `session` holds
//! the connection: it runs on the main thread, receives, and connects again. What is sent comes
//! from a thread of its own: `input` reads pipes, and `terminal` is the prompt. `control` is what
//! these threads share. Everything for standard output goes through `output`, and everything for
//! standard error through `notes`.

mod args;
mod argv;
mod clock;
mod commands;
mod completion;
mod connect;
mod control;
mod cookies;
mod duration;
mod exit;
mod generate;
mod headers;
mod history;
mod inflate;
mod input;
mod interface;
mod json;
mod keyboard;
mod keys;
mod line;
mod listen;
mod notes;
mod output;
mod ping;
mod plan;
mod preamble;
mod progress;
mod resolve;
mod screen;
mod secret;
mod session;
mod show;
mod summary;
mod terminal;
mod threads;

use std::process::ExitCode;

use exit::Status;

fn main() -> ExitCode {
    let status = match args::parse(argv::rewrite(std::env::args_os())) {
        Ok((args, preamble)) => run(args, preamble),
        Err(error) => {
            // If nobody reads the help, there is nobody to tell.
            let _ = error.print();
            if error.use_stderr() { Status::Usage } else { Status::Clean }
        }
    };
    status.into()
}

fn run(args: args::Args, preamble: Vec<args::Preamble>) -> Status {
    let notes = notes::Notes::start(args.other.quiet, args.other.verbosity());
    if let Some(what) = args.other.generate {
        return generate::run(what, &notes);
    }
    if let Some(address) = &args.other.listen {
        return listen::run(address, &notes);
    }
    match plan::Plan::new(args, preamble, &notes) {
        Ok(plan) => session::run(plan, notes),
        Err(wrong) => {
            notes.usage(&wrong);
            Status::Usage
        }
    }
}

//! `--generate`: the completions of shells and the man page, from the definition of the options.

use std::io::{self, Write as _};

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::args::Args;
use crate::exit::{self, Status};
use crate::notes::Notes;

/// Names what is generated.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Generate {
    Bash,
    Elvish,
    Fish,
    Man,
    Powershell,
    Zsh,
}

/// Writes it to standard output.
pub(crate) fn run(what: Generate, notes: &Notes) -> Status {
    let mut command = Args::command();
    let mut bytes = Vec::new();
    let shell = match what {
        Generate::Bash => Some(Shell::Bash),
        Generate::Elvish => Some(Shell::Elvish),
        Generate::Fish => Some(Shell::Fish),
        Generate::Powershell => Some(Shell::PowerShell),
        Generate::Zsh => Some(Shell::Zsh),
        Generate::Man => None,
    };
    let made = match shell {
        Some(shell) => {
            clap_complete::generate(shell, &mut command, "wsdump", &mut bytes);
            Ok(())
        }
        None => man(command, &mut bytes),
    };
    let written = made.and_then(|()| {
        let mut stdout = io::stdout();
        stdout.write_all(&bytes)?;
        stdout.flush()
    });
    match written {
        Ok(()) => Status::Clean,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Status::Clean,
        Err(error) => {
            notes.error(&format!("cannot write the output: {error}"));
            Status::Local
        }
    }
}

/// Writes the man page, in which the exit statuses have a section of their own.
fn man(command: clap::Command, out: &mut Vec<u8>) -> io::Result<()> {
    let page = clap_mangen::Man::new(command);
    page.render_title(out)?;
    page.render_name_section(out)?;
    let lines = [".SH SYNOPSIS", "\\fBwsdump\\fR [\\fIOPTIONS\\fR] \\fIURL\\fR"];
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    let mut lines = exit::TABLE.lines();
    writeln!(out, ".SH \"{}\"\n.nf", lines.next().unwrap_or_default().trim_end_matches(':'))?;
    lines.try_for_each(|line| writeln!(out, "{}", line.replace('-', "\\-")))?;
    writeln!(out, ".fi")?;
    page.render_version_section(out)
}

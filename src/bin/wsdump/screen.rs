//! Draws the prompt and the line that is edited, and what arrives above them.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

use crate::line::Line;
use crate::show;

/// Draws on a terminal. The prompt and the line are drawn as a block of rows, which begins in the
/// first column, and are taken away before anything else is written.
pub(crate) struct Screen<W> {
    out: W,
    /// The text of the block, and the part of it before the cursor, as they are drawn.
    drawn: Option<(String, String)>,
}

/// Is a prompt, and the sequence that colours it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) text: &'static str,
    pub(crate) colour: Option<&'static str>,
}

impl<W: Write> Screen<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, drawn: None }
    }

    /// Draws the prompt and the line. `width` is the number of columns of the terminal.
    pub(crate) fn draw(&mut self, prompt: Prompt, line: &Line, width: usize) -> io::Result<()> {
        let mut output = self.taken_away(width);
        self.add_block(&mut output, prompt, line, width);
        self.write(&output)
    }

    /// Writes text above the prompt, and draws both again.
    pub(crate) fn print(
        &mut self,
        text: &str,
        prompt: Prompt,
        line: &Line,
        width: usize,
    ) -> io::Result<()> {
        let mut output = self.taken_away(width);
        output.push_str(text);
        output.push('\n');
        self.add_block(&mut output, prompt, line, width);
        self.write(&output)
    }

    /// Writes text where there is no prompt.
    pub(crate) fn plain(&mut self, text: &str) -> io::Result<()> {
        self.write(&format!("{text}\n"))
    }

    /// Leaves the line as it is, and begins a new one below it.
    pub(crate) fn leave(&mut self, prompt: Prompt, line: &Line, width: usize) -> io::Result<()> {
        let mut at_end = line.clone();
        at_end.set(line.text());
        self.draw(prompt, &at_end, width)?;
        self.drawn = None;
        self.write("\n")
    }

    /// Takes the prompt and the line away.
    pub(crate) fn clear(&mut self, width: usize) -> io::Result<()> {
        let output = self.taken_away(width);
        self.write(&output)
    }

    /// Takes everything away.
    pub(crate) fn wipe(&mut self) -> io::Result<()> {
        self.drawn = None;
        self.write("\x1b[H\x1b[2J")
    }

    /// Returns what takes the block away.
    fn taken_away(&mut self, width: usize) -> String {
        let Some((_, before)) = self.drawn.take() else { return String::new() };
        let (row, _) = position(&before, width);
        let up = if row > 0 { format!("\x1b[{row}A") } else { String::new() };
        format!("{up}\r\x1b[J")
    }

    fn add_block(&mut self, output: &mut String, prompt: Prompt, line: &Line, width: usize) {
        let (before, after) = line.text().split_at(line.cursor());
        let before = format!("{}{}", prompt.text, show::escape(before));
        let all = format!("{before}{}", show::escape(after));
        match prompt.colour {
            Some(colour) => {
                output.extend([colour, prompt.text, "\x1b[0m", &all[prompt.text.len()..]]);
            }
            None => output.push_str(&all),
        }
        let ((last, end), (row, column)) = (position(&all, width), position(&before, width));
        if end == 0 && last > 0 && !all.ends_with('\n') {
            output.push('\n'); // A terminal wraps only before the next character.
        }
        if last > row {
            *output += &format!("\x1b[{}A", last - row);
        }
        output.push('\r');
        if column > 0 {
            *output += &format!("\x1b[{column}C");
        }
        self.drawn = Some((all, before));
    }

    fn write(&mut self, output: &str) -> io::Result<()> {
        self.out.write_all(output.as_bytes())?;
        self.out.flush()
    }
}

/// Returns the row and the column behind a text that begins in the first column.
fn position(text: &str, width: usize) -> (usize, usize) {
    let width = width.max(2);
    let (mut row, mut column) = (0, 0);
    for c in text.chars() {
        match c {
            '\n' => (row, column) = (row + 1, 0),
            '\t' => column = (column / 8 + 1) * 8,
            _ => {
                let len = c.width().unwrap_or(0);
                if column + len > width {
                    (row, column) = (row + 1, 0); // A wide character does not fit.
                }
                column += len;
            }
        }
        if column >= width {
            (row, column) = (row + 1, 0);
        }
    }
    (row, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: Prompt = Prompt { text: "> ", colour: None };

    fn line(text: &str) -> Line {
        let mut line = Line::default();
        line.set(text);
        line
    }

    /// Returns what is written by `action` after a line was drawn.
    fn written(text: &str, action: impl FnOnce(&mut Screen<Vec<u8>>, &Line)) -> String {
        let mut screen = Screen::new(Vec::new());
        let line = line(text);
        screen.draw(PROMPT, &line, 10).unwrap();
        screen.out.clear();
        action(&mut screen, &line);
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn rows_and_columns_are_those_of_a_terminal() {
        assert_eq!(position("", 10), (0, 0));
        assert_eq!(position("123456789", 10), (0, 9));
        assert_eq!(position("1234567890", 10), (1, 0));
        assert_eq!(position("a\nbc", 10), (1, 2));
        assert_eq!(position("123456789世", 10), (1, 2));
        assert_eq!(position("e\u{301}", 10), (0, 1));
        assert_eq!(position("a\tb", 20), (0, 9));
        assert_eq!(position("abc", 0), (1, 1));
    }

    #[test]
    fn what_arrives_is_above_the_line() {
        let above = written("ab", |screen, line| screen.print("news", PROMPT, line, 10).unwrap());
        assert_eq!(above, "\r\x1b[Jnews\n> ab\r\x1b[4C");
    }

    #[test]
    fn a_line_of_several_rows_is_taken_away_whole() {
        let text = "0123456789abcdef";
        let above = written(text, |screen, line| screen.print("news", PROMPT, line, 10).unwrap());
        assert_eq!(above, format!("\x1b[1A\r\x1b[Jnews\n> {text}\r\x1b[8C"));
        let mut at_start = line(text);
        at_start.left(crate::line::Reach::Line);
        let moved = written(text, |screen, _| screen.draw(PROMPT, &at_start, 10).unwrap());
        assert_eq!(moved, format!("\x1b[1A\r\x1b[J> {text}\x1b[1A\r\x1b[2C"));
    }

    #[test]
    fn a_full_row_is_wrapped_at_once() {
        let full = written("", |screen, _| screen.draw(PROMPT, &line("01234567"), 10).unwrap());
        assert_eq!(full, "\r\x1b[J> 01234567\n\r");
    }

    #[test]
    fn a_line_that_is_done_stays() {
        assert_eq!(
            written("a", |screen, line| screen.leave(PROMPT, line, 10).unwrap()),
            "\r\x1b[J> a\r\x1b[3C\n"
        );
        assert_eq!(written("a", |screen, _| screen.clear(10).unwrap()), "\r\x1b[J");
    }
}
